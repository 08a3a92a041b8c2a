"""What has to be reached, as ratios within one run wherever that can be, so that it does not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.benchmarks.api import BULK_CPU
from tests.benchmarks.results import QHRONOS, Case, Contender, Results, Sockets


class Gate(NamedTuple):
    name: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{self.name:58}{self.value:12,.2f}   {sign} {self.bound:<8,g} {'met' if self.is_met else 'NOT MET'}"


class Bounds(NamedTuple):
    burst_engine: float  # our burst's rate over the bare engine's
    burst_aiohttp: float  # the same over bare aiohttp's
    spread_p99: float  # milliseconds
    idle: float  # % of a core
    bulk_cpu: float  # microseconds of the API for each event of a bulk request
    fan_out: float  # messages a second from one gateway to a thousand listeners
    burst_cpu: float | None  # our workers' processor time for each over the bare engine's


FULL = Bounds(
    burst_engine=0.4, burst_aiohttp=0.8, spread_p99=5.0, idle=1.0, bulk_cpu=100.0, fan_out=40_000.0, burst_cpu=None
)
# For machines that are busy with other things. What depends on that least is processor time.
QUICK = Bounds(
    burst_engine=0.2, burst_aiohttp=0.3, spread_p99=100.0, idle=3.0, bulk_cpu=300.0, fan_out=10_000.0, burst_cpu=6.0
)


class Lead(NamedTuple):
    """Over the best of the durable peers in the burst."""

    rate: float  # our rate over its
    cpu: float  # the processor time of its workers over that of ours, for each item


USUAL = Lead(rate=8.0, cpu=8.0)
TUNED = Lead(rate=1.5, cpu=1.0)  # beside one whose client was chosen for speed
PEER_LATE = 20.0  # the best peer's p99 in the spread over ours
LARGE_MB = 200.0
CONNECTED_MB = 300.0  # of a gateway with ten thousand sockets
TOLD_P99 = 20.0  # milliseconds from due to a client


def gates(results: Results, bounds: Bounds) -> list[Gate]:
    return [*ours(results, bounds), *beside_peers(results), *always(results)]


def ours(results: Results, bounds: Bounds) -> Iterator[Gate]:
    cases = results.cases
    if "burst" in cases and QHRONOS in cases["burst"].rounds:
        rate = cases["burst"].median(QHRONOS, "rate")
        if "bare engine" in results.limits:
            yield Gate("burst, a second / bare engine's", rate / results.limit("bare engine"), bounds.burst_engine)
            if bounds.burst_cpu:
                ratio = cases["burst"].median(QHRONOS, "cpu_us") / results.limit("bare engine", "cpu_us")
                yield Gate("burst, worker CPU / bare engine's", ratio, bounds.burst_cpu, at_most=True)
        if "bare aiohttp" in results.limits:
            yield Gate("burst, a second / bare aiohttp's", rate / results.limit("bare aiohttp"), bounds.burst_aiohttp)
    if "spread" in cases and QHRONOS in cases["spread"].rounds:
        p99 = cases["spread"].median(QHRONOS, "late_p99")
        yield Gate("spread, p99 lateness in ms", p99, bounds.spread_p99, at_most=True)
    if "large" in cases and QHRONOS in cases["large"].rounds:
        yield Gate("large burst, MB of the dispatcher", cases["large"].median(QHRONOS, "largest_mb"), LARGE_MB, True)
    if "sockets" in results.numbers:
        yield Gate("fan-out, messages a second", results.numbers["sockets"]["a second"], bounds.fan_out)
    if "idle" in results.numbers:
        share = results.numbers["idle"]["% of a core, dispatcher"]
        yield Gate("idle dispatcher, % of a core", share, bounds.idle, at_most=True)
    if "api" in results.numbers:
        yield Gate(
            "bulk, µs of the API for each event", results.numbers["api"][BULK_CPU], bounds.bulk_cpu, at_most=True
        )


def beside_peers(results: Results) -> Iterator[Gate]:
    burst, spread = results.cases.get("burst"), results.cases.get("spread")
    for is_tuned, whose, bounds in ((False, "durable peer", USUAL), (True, "tuned peer", TUNED)):
        names = [name for name in whole(burst) if is_rival(results.contenders[name], is_tuned)] if burst else []
        if burst and names and QHRONOS in burst.rounds:
            best = max(burst.median(name, "rate") for name in names)
            yield Gate(f"burst, a second / best {whose}'s", burst.median(QHRONOS, "rate") / best, bounds.rate)
            least = min(burst.median(name, "cpu_us") for name in names)
            ratio = least / burst.median(QHRONOS, "cpu_us")
            yield Gate(f"burst, best {whose}'s worker CPU / ours", ratio, bounds.cpu)
    if spread and QHRONOS in spread.rounds and (peers := whole(spread)):
        best = min(spread.median(name, "late_p99") for name in peers)
        yield Gate("spread, best peer's p99 lateness / ours", best / spread.median(QHRONOS, "late_p99"), PEER_LATE)


def whole(case: Case) -> list[str]:
    """The peers that did all of it."""
    return [name for name in case.peers() if all(one.is_whole for one in case.rounds[name])]


def is_rival(contender: Contender, is_tuned: bool) -> bool:  # noqa: FBT001 - one of two sorts
    return contender.is_durable and contender.is_tuned == is_tuned


def always(results: Results) -> Iterator[Gate]:
    """What no load may change."""
    yield Gate("of ours that broke", len(results.broken), 0, at_most=True)
    own = [one for case in results.cases.values() for one in case.rounds.get(QHRONOS, [])]
    if own:
        yield Gate("items that did not come", sum(one.count - one.unique for one in own), 0, at_most=True)
        yield Gate("items that came twice", sum(one.doubled for one in own), 0, at_most=True)
        yield Gate("items that came early", sum(one.early for one in own), 0, at_most=True)
    if "crash" in results.numbers:
        yield Gate("crash, lost", results.numbers["crash"]["lost"], 0, at_most=True)
    if "sockets" in results.numbers:
        yield Gate("fan-out, messages that did not come", results.numbers["sockets"]["missing"], 0, at_most=True)
    if "expand" in results.numbers:
        yield Gate("added by expanding again", results.numbers["expand"]["added by expanding again"], 0, at_most=True)


def sockets(found: Sockets) -> list[Gate]:
    connected, fan_out, clients = (found.numbers[name] for name in ("connections", "fan-out", "clients"))
    return [
        Gate("10,000 sockets, MB (PSS) of the gateway", connected["MB (PSS) with all"], CONNECTED_MB, at_most=True),
        Gate("10,000 sockets, MB (RSS) of the gateway", connected["MB (RSS) with all"], CONNECTED_MB, at_most=True),
        Gate("10,000 sockets, connected and told", connected["one message to all: heard by"], connected["connected"]),
        Gate("fan-out to 1,000 listeners, messages a second", fan_out["a second"], FULL.fan_out),
        Gate("fan-out, messages that did not come", fan_out["missing"], 0, at_most=True),
        Gate("200 a second to 20 clients, ms late p50", clients["ms late, p50"], TOLD_P99, at_most=True),
        Gate("200 a second to 20 clients, ms late p99", clients["ms late, p99"], TOLD_P99, at_most=True),
        Gate("200 a second to 20 clients, messages that did not come", clients["missing"], 0, at_most=True),
    ]
