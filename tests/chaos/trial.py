"""One run of a scenario: its fleet, its dice, and the row that comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple, TypeAlias

from tests.chaos import load, oracle
from tests.chaos.fleet import Fleet, Size
from tests.chaos.load import Load
from tests.chaos.oracle import Findings

SETTLED_WITHIN = 120.0


class Row(NamedTuple):
    """What was measured, and which of it misses its figure."""

    figures: str
    missed: tuple[str, ...] = ()


class Trial:
    def __init__(self, fleet: Fleet, seed: int, size: Size) -> None:
        self.fleet = fleet
        self.seed = seed
        self.size = size
        self.random = Random(seed)  # noqa: S311 - the same seed, the same faults
        self.background: list[asyncio.Task[object]] = []

    def count(self, whole: int, least: int = 1) -> int:
        """So many of the faults of a full run as belong into this one."""
        return max(least, round(whole * self.size.share))

    def moments(self, count: int) -> list[float]:
        """Seconds after the first instant, all while the load lasts."""
        return sorted(self.random.uniform(0.05, 0.9) * self.size.seconds for _ in range(count))

    def aside(self, work: Awaitable[object]) -> None:
        """To be done meanwhile, and before the end."""
        self.background.append(asyncio.ensure_future(work))

    async def ask(self, path: str = "flaky/100", seconds: float | None = None) -> Load:
        return await load.ask(
            self.fleet,
            self.seed,
            occurrences=self.size.occurrences,
            seconds=seconds or self.size.seconds,
            path=path,
        )

    async def reach(self, asked: Load, after: float) -> None:
        """Until so many seconds after the first instant."""
        await self.fleet.rest(asked.seconds_until(self.fleet, after))

    async def finish(
        self,
        asked: Load,
        explained: set[oracle.Identity] | None = None,
        ignored: frozenset[oracle.Identity] = frozenset(),
    ) -> Findings:
        """Wait until nothing is open, then compare."""
        await asyncio.gather(*self.background)
        last = max(identity.due_at for identity in asked.expected)
        await self.fleet.rest((last - self.fleet.clock.now()).total_seconds())
        await oracle.all_closed(self.fleet, asked.expected | ignored, SETTLED_WITHIN)
        return await oracle.compare(self.fleet, asked.expected, explained, ignored)


Scenario: TypeAlias = Callable[[Trial], Awaitable[Row]]


def judge(findings: Findings, *wrong: str, most_doubled: int | None = None, says: str = "") -> Row:
    """What must hold everywhere, at most so many doubled, and whatever else is `wrong`."""
    missed = [*findings.faults, *(one for one in wrong if one)]
    if most_doubled is not None and findings.doubled > most_doubled:
        missed.append(f"doubled {findings.doubled} > {most_doubled}")
    return Row(f"{findings}{'; ' if says else ''}{says}", tuple(missed))
