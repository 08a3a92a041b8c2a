"""Service: turns rules into open occurrences, a window ahead. Any number may run; none leads."""

from __future__ import annotations

import asyncio

from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.engine.expand import expand_batch
from qhronos.engine.notify import announce
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import expansion

CROWDED = 0.1  # seconds; what is due is in the hands of other expanders

log = get_logger()


class Expander:
    name = "expander"

    def __init__(self, stores: Stores, clock: Clock, settings: Scheduler) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._clock = clock
        self._settings = settings

    async def tick(self) -> float:
        """A batch, if one is due; asking whether it is costs one look at an index."""
        now = self._clock.now()
        async with self._stores.database.connection() as conn:
            next_at = await expansion.next_at(conn)
        longest = self._settings.expansion_interval.total_seconds()
        if next_at is None or next_at > now:
            return longest if next_at is None else min(longest, (next_at - now).total_seconds())
        async with self._stores.database.transaction() as conn:
            expanded = await expand_batch(conn, now, self._settings.look_ahead_duration, self._settings.max_open)
        await announce(self._stores, expanded.opened, now)
        if not expanded.taken:
            return CROWDED
        log.info("window.expanded", events=expanded.taken, opened=len(expanded.opened))
        return 0.0

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
