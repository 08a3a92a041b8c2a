"""Service: turns rules into open occurrences, a window ahead. Any number may run; none leads."""

from __future__ import annotations

import asyncio

from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.engine.expand import BATCH, expand_batch
from qhronos.engine.notify import announce
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import expansion

log = get_logger()


class Expander:
    name = "expander"

    def __init__(self, stores: Stores, clock: Clock, settings: Scheduler) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._clock = clock
        self._settings = settings

    async def tick(self) -> float:
        now = self._clock.now()
        async with self._stores.database.transaction() as conn:
            expanded = await expand_batch(conn, now, self._settings.look_ahead_duration, self._settings.max_open)
            next_at = None if expanded.taken == BATCH else await expansion.next_at(conn)
        await announce(self._stores, expanded.opened, now)
        if expanded.taken:
            log.info("window.expanded", events=expanded.taken, opened=len(expanded.opened))
        if expanded.taken == BATCH:
            return 0.0
        longest = self._settings.expansion_interval.total_seconds()
        if next_at is None:
            return longest
        return max(0.0, min(longest, (next_at - now).total_seconds()))

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
