"""How long one pass of anything holds a process, at the worst: `make bench-hostile`.

Every hostile recurrence goes through every operation, each measured in processor time; the best of several rounds counts, as
what is asked is what the pass costs and not what the machine does beside it. Ends with 1 if one is past the limit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from qhronos.core.recurrence import Recurrence, check, describe, expand, explain, settle, start
from qhronos.errors import Invalid
from tests.hostile import NOW, recurrences

TARGET = 0.050  # seconds; a step is meant to be a microsecond
DAY = timedelta(days=1)


def main() -> int:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--limit", type=float, default=1.5, help="times the target")
    options = flags.parse_args()
    everything = list(recurrences())
    say(f"{len(everything)} hostile recurrences; ms of processor time for one pass, best of {options.rounds}\n")
    say(f"{'operation':24}{'median':>8}{'worst':>8}  {'over 50':>8}  the worst of them")
    worst = [row(name, work, everything, options.rounds) for name, work in OPERATIONS.items()]
    return int(max(worst) > options.limit * TARGET)


def row(
    name: str, work: Callable[[Recurrence], object], everything: list[tuple[str, Recurrence]], rounds: int
) -> float:
    costs = sorted((min(cost(work, one) for _ in range(rounds)), what) for what, one in everything)
    over = sum(spent > TARGET for spent, _ in costs)
    middle, (worst, what) = costs[len(costs) // 2][0], costs[-1]
    say(f"{name:24}{middle * 1000:8.1f}{worst * 1000:8.1f}  {over:8}  {what}")
    return worst


def cost(work: Callable[[Recurrence], object], recurrence: Recurrence) -> float:
    began = time.process_time()
    with suppress(Invalid):
        work(recurrence)
    return time.process_time() - began


OPERATIONS: dict[str, Callable[[Recurrence], object]] = {
    "check": lambda one: check(one, NOW),
    "settle": settle,
    "expand from its start": lambda one: expand(one, start(one), None, 1_000_000),
    "expand from now": lambda one: expand(one, NOW, None, 1_000_000),
    "expand a day": lambda one: expand(one, NOW, NOW + DAY, 1000),
    "find the next": lambda one: expand(one, NOW, None, 1),
    "explain": lambda one: explain(one, NOW),
    "describe": describe,
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
