"""Service: keeps this process' clock on Postgres' clock."""

from __future__ import annotations

import asyncio
from datetime import datetime

from qhronos import metrics
from qhronos.clock import SystemClock
from qhronos.log import get_logger
from qhronos.store import Connection, Database, clock

REST = 10.0
SAMPLES = 4
NOTEWORTHY = 0.5  # seconds

log = get_logger()


class Anchor:
    name = "anchor"

    def __init__(self, database: Database, system: SystemClock) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._system = system

    async def tick(self) -> float:
        async with self._database.connection() as conn:
            samples = [await self._sample(conn) for _ in range(SAMPLES)]
        # The instant was read somewhere between asking and hearing: the shortest wait leaves the least doubt.
        took, middle, instant = min(samples)
        moved = self._system.anchor(instant, middle)
        metrics.CLOCK_OFFSET_SECONDS.set(self._system.wall_offset())
        for state, count in self._database.connections().items():
            metrics.DB_POOL.labels(state).set(count)
        if abs(moved.total_seconds()) > NOTEWORTHY:
            log.warning("clock.moved", seconds=moved.total_seconds(), doubt=took / 2)
        return REST

    async def _sample(self, conn: Connection) -> tuple[float, float, datetime]:
        asked = self._system.monotonic()
        instant = await clock.read(conn)
        answered = self._system.monotonic()
        return answered - asked, (asked + answered) / 2, instant

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
