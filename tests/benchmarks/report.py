"""The report: one HTML file with plots, which needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from math import log10
from statistics import median

from tests.benchmarks.gates import Gate
from tests.benchmarks.gates import sockets as judged_sockets
from tests.benchmarks.page import SOCKET_TITLES, TITLES, amount
from tests.benchmarks.results import QHRONOS, Case, Results, Sockets

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin-bottom:.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .7rem;border-bottom:1px solid #d8dee4;text-align:left}
td+td{text-align:right}.no{color:#b3261e;font-weight:600}svg{display:block;max-width:100%}text{font:13px system-ui,sans-serif;fill:currentColor}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#15181b}td,th{border-color:#343a40}.no{color:#ff8a80}}
"""
PLOTS = (
    ("rate", "items a second"),
    ("late_p99", "lateness, p99, ms; logarithmic"),
    ("cpu_us", "processor time of the workers for each item, µs"),
    ("pss_mb", "memory of the workers, MB"),
)
WIDTH, LABEL, BAR, ROW = 880, 170, 560, 26


def html(results: Results, judged: Iterable[Gate], sockets: Sockets | None = None) -> str:
    parts = [f"<h1>Qhronos: benchmarks</h1><p>{escape(results.began_at)}, {results.rounds} rounds, medians</p>"]
    parts += [table(results.machine.items()), "<h2>What has to be reached</h2>", gate_table(judged)]
    for case in results.cases.values():
        parts.append(f"<h2>{escape(case.heading)}</h2>")
        parts += [plot(case, field, title) for field, title in PLOTS]
    limits = ((name, f"{results.limit(name):,.0f} a second") for name in results.limits)
    parts += ["<h2>With no scheduler at all</h2>", table(limits)]
    for name, numbers in results.numbers.items():
        found = ((what, amount(number)) for what, number in numbers.items())
        parts += [f"<h2>{escape(TITLES[name])}</h2>", table(found)]
    parts += gateway(sockets) if sockets else []
    settings = ((name, f"{who.settings} (durable: {who.durable})") for name, who in results.contenders.items())
    parts += ["<h2>Settings</h2>", table(settings)]
    parts += [f"<p>{escape(remark)}</p>" for remark in results.said()]
    return document("Qhronos: benchmarks", "\n".join(parts))


def gateway(sockets: Sockets) -> list[str]:
    parts = [f"<h2>The gateway</h2><p>{escape(sockets.began_at)}</p>", gate_table(judged_sockets(sockets))]
    for name, numbers in sockets.numbers.items():
        found = ((what, amount(number)) for what, number in numbers.items())
        parts += [f"<h3>{escape(SOCKET_TITLES[name])}</h3>", table(found)]
    return parts


def document(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>\n'


def table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<table>{''.join(f'<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>' for name, value in rows)}</table>"
    )


def gate_table(judged: Iterable[Gate]) -> str:
    lines = []
    for gate in judged:
        sign, verdict = "≤" if gate.at_most else "≥", "met" if gate.is_met else '<span class="no">not met</span>'
        lines.append(
            f"<tr><td>{escape(gate.name)}</td><td>{amount(gate.value)}</td><td>{sign} {gate.bound:g}</td><td>{verdict}</td></tr>"
        )
    return f"<table>{''.join(lines)}</table>"


def plot(case: Case, field: str, title: str) -> str:
    """A bar for each contender, with a tick for each of its rounds."""
    names = sorted(case.rounds, key=lambda name: case.median(name, field), reverse=field == "rate")
    values = {name: [float(getattr(one, field)) for one in case.rounds[name]] for name in names}
    scale = logarithmic(values) if field == "late_p99" else linear(values)
    bars = "".join(bar(name, values[name], number * ROW, scale) for number, name in enumerate(names))
    box = f'viewBox="0 0 {WIDTH} {len(names) * ROW + 6}" role="img" aria-label="{escape(title)}"'
    return f"<h3>{escape(title)}</h3><svg {box}>{bars}</svg>"


def bar(name: str, values: list[float], top: int, scale: Callable[[float], float]) -> str:
    colour = "#2563eb" if name == QHRONOS else "#94a3b8"
    middle, y = median(values), top + 17
    ticks = "".join(
        f'<path d="M{LABEL + scale(value):.1f} {top + 4}v18" stroke="currentColor" stroke-width="1.5"/>'
        for value in values
    )
    return (
        f'<text x="{LABEL - 8}" y="{y}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABEL}" y="{top + 4}" width="{scale(middle):.1f}" height="18" rx="2" fill="{colour}"/>{ticks}'
        f'<text x="{LABEL + scale(max(values)) + 8:.1f}" y="{y}">{amount(middle)}</text>'
    )


def linear(values: dict[str, list[float]]) -> Callable[[float], float]:
    most = max(value for each in values.values() for value in each)
    return lambda value: max(1.0, value / most * BAR)


def logarithmic(values: dict[str, list[float]]) -> Callable[[float], float]:
    """From a little below the least; what is under a hundredth counts as that."""
    logs = [log10(max(value, 0.01)) for each in values.values() for value in each]
    floor, span = min(logs) - 0.3, max(logs) - min(logs) + 0.3
    return lambda value: max(1.0, (log10(max(value, 0.01)) - floor) / span * BAR)
