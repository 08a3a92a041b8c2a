"""How the benchmark counts and judges. What it measures, it measures by itself: `make bench`."""

from __future__ import annotations

import pytest

from tests.benchmarks.bed import Used
from tests.benchmarks.gates import FULL, QUICK, Gate, gates
from tests.benchmarks.gates import sockets as judged_sockets
from tests.benchmarks.limit import Limit
from tests.benchmarks.page import markdown
from tests.benchmarks.peers.table import PEERS
from tests.benchmarks.report import html
from tests.benchmarks.results import QHRONOS, Case, Contender, Results, Sockets
from tests.benchmarks.sink import Record
from tests.benchmarks.work import Figures, Memory, Nothing, Work, figures

WORK = Work(4, spread=2.0, first=1_000.0)
SOME = Used(0.1, 0.1, 0.1)


def figures_of(*records: Record, used: Used = SOME) -> Figures:
    return figures(WORK, list(records), used, Memory(80.0, 60.0), 1_000.0)


def records(late_ms: float = 1.0) -> list[Record]:
    return [Record(item, WORK.due_us(item) / 1e3, WORK.due_us(item) / 1e3 + late_ms) for item in range(WORK.count)]


def results(case: str, **rounds: list[Figures]) -> Results:
    contenders = {name: Contender("yes", name != "forgetful", "") for name in rounds}
    cases = {case: Case("Due at once", 4, 0.0, rounds)}
    return Results(
        began_at="2026-11-29T12:00+00:00", command="", rounds=1, machine={}, contenders=contenders, cases=cases
    )


def rounded(found: list[Gate]) -> list[Gate]:
    return [gate._replace(value=round(gate.value, 6)) for gate in found]


def verdicts(found: Results) -> dict[str, bool]:
    return {gate.name: gate.is_met for gate in gates(found, FULL)}


def test_items_are_spread_evenly_over_whole_microseconds():
    assert [1_000_000_000, 1_000_500_000, 1_001_000_000, 1_001_500_000] == [WORK.due_us(item) for item in range(4)]


def test_the_rate_is_of_all_items_until_the_last_arrived():
    late = records(late_ms=500.0)

    assert 2.0 == figures_of(*late).rate


def test_an_item_that_came_twice_counts_once_and_is_said():
    found = figures_of(*records(), records()[0])

    assert (True, 1) == (found.is_whole, found.doubled)


def test_an_item_that_is_missing_is_noticed():
    found = figures_of(*records()[1:])

    assert (False, 3) == (found.is_whole, found.unique)


def test_an_item_before_its_instant_is_noticed():
    found = figures_of(*records()[1:], records(late_ms=-2.0)[0])

    assert 1 == found.early


def test_processor_time_is_shared_out_over_what_arrived():
    found = figures_of(*records(), used=Used(4e-4, 8e-4, 0.0))

    assert (100, 200, 0) == (round(found.cpu_us), round(found.postgres_us), round(found.valkey_us))


def test_nothing_is_no_result():
    with pytest.raises(Nothing):
        figures_of()


@pytest.mark.parametrize(("late_ms", "is_met"), [(4.0, True), (6.0, False)])
def test_a_gate_of_lateness_is_met_or_not(late_ms: float, is_met: object):
    found = results("spread", **{QHRONOS: [figures_of(*records(late_ms))]})

    assert is_met is verdicts(found)["spread, p99 lateness in ms"]


def test_a_duplicate_misses_a_gate():
    found = results("burst", **{QHRONOS: [figures_of(*records(), records()[0])]})

    assert not verdicts(found)["items that came twice"]


def test_what_broke_misses_a_gate():
    found = results("burst", **{QHRONOS: [figures_of(*records())]})
    found.broken.append("Qhronos, due at once: it did not settle")

    assert not verdicts(found)["of ours that broke"]


def test_only_durable_peers_that_did_it_all_are_compared_with():
    slow, fast = figures_of(*records(late_ms=8_500.0)), figures_of(*records(late_ms=-1_400.0))
    partly = figures_of(*records(late_ms=-1_400.0)[:3])
    found = results("burst", **{QHRONOS: [fast], "durable": [slow], "forgetful": [fast], "partly": [partly]})

    assert 100.0 == next(round(gate.value, 6) for gate in gates(found, FULL) if "best durable peer's" in gate.name)


def test_our_rate_is_judged_by_the_bare_engines():
    found = results("burst", **{QHRONOS: [figures_of(*records(late_ms=500.0))]})
    found.limits["bare engine"] = [Limit(4, 4.0, 1.0, 1.0), Limit(4, 4.2, 1.0, 1.0), Limit(4, 1.0, 1.0, 1.0)]

    assert Gate("burst, a second / bare engine's", 0.5, 0.4) in gates(found, FULL)


def test_less_processor_time_than_the_bare_engine_takes_is_doubted():
    found = results("burst", **{QHRONOS: [figures_of(*records(), used=Used(4e-4, 0.0, 0.0))]})
    found.limits["bare engine"] = [Limit(4, 4.0, 150.0, 1.0)]

    assert ["Qhronos, Due at once, 4 items: 100 µs of"] == [doubt[:40] for doubt in found.doubts()]


def test_a_quick_run_is_judged_by_processor_time_too():
    found = results("burst", **{QHRONOS: [figures_of(*records(), used=Used(4e-4, 0.0, 0.0))]})
    found.limits["bare engine"] = [Limit(4, 4.0, 50.0, 1.0)]

    assert Gate("burst, worker CPU / bare engine's", 2.0, QUICK.burst_cpu, at_most=True) in rounded(gates(found, QUICK))


def test_the_page_and_the_report_name_everyone_and_every_gate():
    found = results("burst", **{QHRONOS: [figures_of(*records())], "<other>": [figures_of(*records())]})
    judged = gates(found, FULL)
    page, report = markdown(found, judged), html(found, judged)

    assert [] == [gate.name for gate in judged if gate.name not in page]
    assert "&lt;other&gt;" in report
    assert "<other>" not in report


def sockets(**changed: float) -> Sockets:
    numbers = {
        "connections": {
            "MB (PSS) with all": 250.0,
            "MB (RSS) with all": 280.0,
            "connected": 10_000.0,
            "heard": 10_000.0,
        },
        "fan-out": {"a second": 50_000.0, "missing": 0.0},
        "clients": {"ms late, p50": 4.0, "ms late, p99": 18.0, "missing": 0.0},
    }
    connected = numbers["connections"]
    connected["one message to all: heard by"] = connected.pop("heard")
    for name, of in numbers.items():
        numbers[name] = {what: changed.get(what, number) for what, number in of.items()}
    return Sockets(began_at="2026-11-29T12:00+00:00", machine={"Load before": "0.1"}, rounds=1, numbers=numbers)


def test_a_quick_run_looks_at_the_gateway_too():
    found = results("burst", **{QHRONOS: [figures_of(*records())]})
    found.numbers["sockets"] = {"a second": 9_999.0, "missing": 1.0}
    missed = [gate.name for gate in gates(found, QUICK) if not gate.is_met]

    assert ["fan-out, messages a second", "fan-out, messages that did not come"] == missed


@pytest.mark.parametrize(
    ("what", "number", "missed"),
    [
        ("MB (PSS) with all", 301.0, 1),
        ("one message to all: heard by", 9_999.0, 1),
        ("a second", 39_999.0, 1),
        ("ms late, p99", 20.1, 1),
        ("missing", 1.0, 2),
    ],
)
def test_the_gateway_is_judged(what, number, missed):
    assert 0 == sum(not gate.is_met for gate in judged_sockets(sockets()))
    assert missed == sum(not gate.is_met for gate in judged_sockets(sockets(**{what: number})))


def test_the_page_and_the_report_show_the_gateway():
    found, its = results("burst", **{QHRONOS: [figures_of(*records())]}), sockets()
    page, report = markdown(found, [], sockets=its), html(found, [], its)

    assert [] == [gate.name for gate in judged_sockets(its) if gate.name not in page or gate.name not in report]


def test_every_peer_says_how_it_was_set_up():
    assert [] == [peer.name for peer in PEERS if not (peer.durable and peer.settings)]
