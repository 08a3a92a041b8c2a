"""Service: keeps this process' clock on Postgres' clock."""

from __future__ import annotations

import asyncio

from qhronos import metrics
from qhronos.clock import SystemClock
from qhronos.log import get_logger
from qhronos.store import Database, clock

REST = 10.0
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
            asked = self._system.monotonic()
            instant = await clock.read(conn)
            answered = self._system.monotonic()
        # The answer was made somewhere between asking and hearing it; the middle is off by half of that at most.
        moved = self._system.anchor(instant, (asked + answered) / 2)
        metrics.CLOCK_OFFSET_SECONDS.set(self._system.wall_offset())
        if abs(moved.total_seconds()) > NOTEWORTHY:
            log.warning("clock.moved", seconds=moved.total_seconds())
        return REST

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
