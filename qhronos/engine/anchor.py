"""Service: keeps this process' clock on Postgres' clock, as long as another clock confirms that one.

A clock that decides about everything must not be wrong alone. The node's own clock and Redis' decide nothing, so that one of
them is wrong changes nothing; if both contradict Postgres', that one is disputed: this clock goes on by monotonic time from
where it was last confirmed, and nothing is claimed until one of them agrees again. A process that starts meanwhile stands
on the node's clock if Redis' agrees with that, and else on Postgres', which decides where nobody can tell.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple

from qhronos import metrics
from qhronos.clock import MOST_SKEW, SystemClock
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.plan import Plan
from qhronos.store import Connection, Database, clock

REST = 10.0
DISPUTED_REST = 1.0
SAMPLES = 4
PROMPT = 0.001  # seconds; an answer that came as soon leaves no doubt that matters, and one is enough
NOTEWORTHY = 0.5  # seconds

log = get_logger()


class Reading(NamedTuple):
    """Of a clock elsewhere. It was read somewhere between asking and hearing: the shortest wait leaves the least doubt."""

    took: float
    middle: float  # monotonic
    instant: datetime

    def ahead_of(self, other: Reading) -> float:
        return (self.instant - other.instant).total_seconds() - (self.middle - other.middle)


class Anchor:
    name = "anchor"

    def __init__(self, database: Database, plan: Plan, system: SystemClock) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._plan = plan
        self._system = system
        self._is_anchored = False

    async def tick(self) -> float:
        postgres = await self._postgres()
        node, redis = self._node().ahead_of(postgres), await self._redis_ahead_of(postgres)
        self._weigh({"node": node, "redis": redis})
        outvoted = redis is not None and abs(node - redis) <= MOST_SKEW
        if self._system.skew <= MOST_SKEW or not (self._is_anchored or outvoted):
            self._anchor(postgres)
        metrics.CLOCK_OFFSET_SECONDS.set(self._system.wall_offset())
        for state, count in self._database.connections().items():
            metrics.DB_POOL.labels(state).set(count)
        return DISPUTED_REST if self._system.skew > MOST_SKEW else REST

    async def _postgres(self) -> Reading:
        async with self._database.connection() as conn:
            readings = [await self._ask_postgres(conn)]
            while len(readings) < SAMPLES and readings[-1].took > PROMPT:
                readings.append(await self._ask_postgres(conn))
        return min(readings)

    def _weigh(self, ahead: dict[str, float | None]) -> None:
        """How far the clocks that could be read are ahead of Postgres': the closest one tells."""
        before, skew = self._system.skew, min(abs(seconds) for seconds in ahead.values() if seconds is not None)
        self._system.skew = skew
        metrics.CLOCK_SKEW_SECONDS.set(skew)
        if before <= MOST_SKEW < skew:
            log.error("clock.disputed", skew=skew, **ahead)
        elif skew <= MOST_SKEW < before:
            log.warning("clock.confirmed", skew=skew, **ahead)

    def _anchor(self, postgres: Reading) -> None:
        self._is_anchored = True
        moved = self._system.anchor(postgres.instant, postgres.middle)
        if abs(moved.total_seconds()) > NOTEWORTHY:
            log.warning("clock.moved", seconds=moved.total_seconds(), doubt=postgres.took / 2)

    def _node(self) -> Reading:
        return Reading(0.0, self._system.monotonic(), self._system.wall())

    async def _redis_ahead_of(self, postgres: Reading) -> float | None:
        """None: it cannot be asked, and then nothing can be claimed either."""
        asked = self._system.monotonic()
        try:
            instant = await self._plan.time()
        except Unavailable:
            return None
        return self._reading(asked, instant).ahead_of(postgres)

    async def _ask_postgres(self, conn: Connection) -> Reading:
        asked = self._system.monotonic()
        return self._reading(asked, await clock.read(conn))

    def _reading(self, asked: float, instant: datetime) -> Reading:
        answered = self._system.monotonic()
        return Reading(answered - asked, (asked + answered) / 2, instant)

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
