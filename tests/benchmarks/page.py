"""The page of the documentation, from what was measured."""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.gates import Gate
from tests.benchmarks.gates import sockets as judged_sockets
from tests.benchmarks.results import QHRONOS, Case, Growth, Results, Sockets

OPENING = """<!-- Made from a run: make bench ARGS=--write-docs -->

# Benchmarks

Everyone does the same work on one machine: items that each are one POST to one receiver, due at once or spread evenly.
The stores are the same for all, with the settings of `qhronos up`, on the same two cores as the workers and the receiver,
and they are emptied before each turn. Rounds are interleaved, and a figure is the median of its rounds.

Rates depend on the machine and on what else it does. Compare only what stands in one table.

- *a second*: items, from the instant at which they were due to the last arrival.
- *lateness*: arrival less the item's own instant.
- *CPU*: processor time of the workers for each item, from 1.5 s before the first is due, as Qhronos claims a second ahead.
- *memory*: of all workers, with shared pages shared out (PSS), at its highest.
- *durable*: whether what a worker had in hand when it died is done by another, as its documentation says. The crash of
  Qhronos alone was tried.

Qhronos signs each delivery and writes a ledger of it; the peers do neither. Each peer has the settings that did best, and the
HTTP client that its users have: `fetch` in Node, aiohttp or http.client in Python. One is shown with a quicker one as well.

To repeat: `make bench-peers` installs the peers into `build/bench-peers`, `make bench` measures and writes
`build/bench/report.html`; `make bench-quick` takes two minutes and leaves the peers out; `make bench-growth` measures what
more stored events cost, and `make bench-ws` the gateway.
"""
LIMITS = "| | a second | CPU µs | of the receiver, µs |\n|---|---:|---:|---:|"
GROWTH = (
    "Processor time for each, of all that takes part, stores included, while so many events are stored and so many"
    " occurrences planned; and what is stored for each.\n"
)
HEAD = (
    "| | items | a second | late p50 ms | p99 ms | max ms | CPU µs | Postgres µs | Valkey µs | memory MB | taken in a second | rounds |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def markdown(
    results: Results, judged: Iterable[Gate], growth: Growth | None = None, sockets: Sockets | None = None
) -> str:
    parts = [OPENING, *machine(results), "## What has to be reached\n", *met(judged)]
    for case in results.cases.values():
        parts += [f"## {case.heading}\n", HEAD, *rows(case), ""]
    parts += limits(results) if results.limits else []
    for name, numbers in results.numbers.items():
        parts += [f"## {TITLES[name]}\n", "| | |\n|---|---:|"]
        parts += [f"| {what} | {amount(number)} |" for what, number in numbers.items()] + [""]
    parts += growing(growth) if growth else []
    parts += gateway(sockets) if sockets else []
    return "\n".join(parts + settings(results)) + "\n"


TITLES = {
    "crash": "A dispatcher killed in mid-burst, another started",
    "expand": "Expanding, and what is stored",
    "api": "The API, one process, 64 callers",
    "sockets": "60 occurrences due at once, each told to 1,000 listeners",
    "idle": "With nothing to do, 1,000 events due in 45 minutes",
}


def limits(results: Results) -> list[str]:
    lines = ["## With no scheduler at all\n", LIMITS]
    for name in results.limits:
        fields = (results.limit(name, field) for field in ("rate", "cpu_us", "receiver_us"))
        lines.append(f"| {name} | {' | '.join(map(amount, fields))} |")
    return [*lines, ""]


def settings(results: Results) -> list[str]:
    lines = ["## Settings\n", "| | durable | settings |\n|---|---|---|"]
    lines += [f"| {name} | {who.durable} | {who.settings} |" for name, who in results.contenders.items()]
    said = results.said()
    return [*lines, "", "## Remarks\n", *(f"- {remark}" for remark in said)] if said else lines


def growing(growth: Growth) -> list[str]:
    """The costs, then what is stored, by how much is stored."""
    sizes = sorted({size for costs in growth.costs.values() for size in costs})
    ratios = growth.ratios()
    lines = [f"## Among many, {growth.began_at[:10]}\n", GROWTH]
    lines.append(f"| | {' | '.join(f'{size:,}' for size in sizes)} | a million / ten thousand |")
    lines.append("|---|" + "---:|" * (len(sizes) + 1))
    for unit, table in (("µs", growth.costs), ("bytes", growth.stored)):
        for what, of in table.items():
            ratio = f"{ratios[what]:.2f}" if what in ratios else ""
            lines.append(f"| {what}, {unit} | {' | '.join(amount(of[size]) for size in sizes)} | {ratio} |")
    return [*lines, ""]


SOCKETS = (
    "One `qhronos gateway` at the defaults, on the same two cores as the stores, the other processes of Qhronos and those that"
    " open the sockets. Messages are counted, and their instants taken, where they arrive.\n"
)
SOCKET_TITLES = {
    "fan-out": TITLES["sockets"],
    "clients": "200 messages a second to 20 clients by name, each acknowledged",
    "connections": "10,000 listeners, each with a token of its own",
}


def gateway(sockets: Sockets) -> list[str]:
    before = (
        f"Rounds of the fan-out: {sockets.rounds}, of which medians; load before: {sockets.machine['Load before']}.\n"
    )
    lines = [f"## The gateway, {sockets.began_at[:10]}\n", SOCKETS, before, *met(judged_sockets(sockets))]
    for name, numbers in sockets.numbers.items():
        lines += [f"### {SOCKET_TITLES[name]}\n", "| | |\n|---|---:|"]
        lines += [f"| {what} | {amount(number)} |" for what, number in numbers.items()] + [""]
    return lines


def machine(results: Results) -> list[str]:
    minutes = f"{results.seconds / 60:.0f} minutes, {results.rounds} rounds"
    lines = [f"## {results.began_at[:10]}, {minutes}\n", "| | |\n|---|---|"]
    return [*lines, *(f"| {name} | {value} |" for name, value in results.machine.items()), ""]


def met(judged: Iterable[Gate]) -> list[str]:
    lines = ["| | measured | wanted | |\n|---|---:|---:|---|"]
    for gate in judged:
        sign = "≤" if gate.at_most else "≥"
        lines.append(f"| {gate.name} | {amount(gate.value)} | {sign} {gate.bound:g} | {'met' if gate.is_met else '**not met**'} |")  # fmt: skip
    return [*lines, ""]


def rows(case: Case) -> list[str]:
    """The fastest first."""
    names = sorted(case.rounds, key=lambda name: -case.median(name, "rate"))
    return [row(case, name) for name in names]


def row(case: Case, name: str) -> str:
    one = case.rounds[name][0]
    items = f"{one.count:,}" if one.is_whole else f"{one.unique:,} of {one.count:,}"
    fields = ("rate", "late_p50", "late_p99", "late_max", "cpu_us", "postgres_us", "valkey_us", "pss_mb", "enqueued_per_second")  # fmt: skip
    cells = [amount(case.median(name, field)) for field in fields]
    shown = f"**{name}**" if name == QHRONOS else name
    return "| " + " | ".join([shown, items, *cells, str(len(case.rounds[name]))]) + " |"


def amount(number: float) -> str:
    """With as many digits as mean something."""
    if number == int(number) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
