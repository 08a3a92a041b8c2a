"""The report on growth: a curve for each cost, and what is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from tests.benchmarks.page import amount
from tests.benchmarks.report import document, table
from tests.benchmarks.results import Growth

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 260, 70, 30, 12, 34


def html(growth: Growth) -> str:
    parts = [f"<h1>Qhronos: growth</h1><p>{escape(growth.began_at)}, medians of {growth.rounds}</p>"]
    parts.append(table(growth.machine.items()))
    for what, costs in growth.costs.items():
        parts.append(f"<h2>{escape(what)}: µs of processor time for each, by how many are stored</h2>{curve(costs)}")
    parts.append("<h2>Bytes for each that is stored</h2>")
    for what, stored in growth.stored.items():
        sizes = ", ".join(f"{size:,}: {amount(number)}" for size, number in stored.items())
        parts.append(table([(what, sizes)]))
    ratios = ((what, f"{ratio:.2f} ×") for what, ratio in growth.ratios().items())
    parts += ["<h2>A million beside ten thousand</h2>", table(ratios)]
    return document("Qhronos: growth", "\n".join(parts))


def curve(costs: Mapping[int, float]) -> str:
    """From zero, so that what is flat looks flat."""
    least, most = math.log10(min(costs)), math.log10(max(costs))
    top = max(costs.values()) * 1.2
    points = []
    for size, cost in costs.items():
        x = LEFT + (math.log10(size) - least) / max(most - least, 1e-9) * (WIDTH - LEFT - RIGHT)
        y = TOP + (1 - cost / top) * (HEIGHT - TOP - BOTTOM)
        points.append((x, y, size, cost))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2563eb"/>'
        f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{amount(cost)}</text>'
        f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{size:,}</text>'
        for x, y, size, cost in points
    )
    axis = f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".3"/>'
    path = f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="costs">{axis}{path}{marks}</svg>'
