"""Service: turns rules into open occurrences, a window ahead, and lets them follow to new zone rules first.

Any number may run; none leads.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.core.recurrence import tzdata_version
from qhronos.engine.expand import expand_due
from qhronos.engine.follow import follow_batch
from qhronos.engine.notify import announce, recall
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import expansion, zonerules

CROWDED = 0.1  # seconds; what is due is in the hands of other expanders

log = get_logger()


class Expander:
    name = "expander"

    def __init__(self, stores: Stores, clock: Clock, settings: Scheduler) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._clock = clock
        self._settings = settings
        self._warned = False

    async def tick(self) -> float:
        """A batch, if one is due; asking whether it is costs a look at each of two indexes, in one round trip."""
        now = self._clock.now()
        async with self._stores.database.connection() as conn, conn.pipeline():
            apart, next_at = await asyncio.gather(
                zonerules.apart(conn, tzdata_version()), expansion.next_at(conn, tzdata_version())
            )
        self._warn(apart.ahead)
        if apart.behind:
            await self._follow(now)
        longest = self._settings.expansion_interval.total_seconds()
        if next_at is None or next_at > now:
            rest = CROWDED if apart.behind else longest
            return rest if next_at is None else min(rest, (next_at - now).total_seconds())
        expanded = await expand_due(self._stores, now, self._settings)
        if not expanded.taken:
            return CROWDED
        log.info("window.expanded", events=expanded.taken, opened=len(expanded.opened))
        return 0.0

    async def _follow(self, now: datetime) -> None:
        async with self._stores.database.transaction() as conn:
            followed = await follow_batch(conn, now)
        if followed.recalled:
            await recall(self._stores, followed.recalled)
        self._stores.announcer.changed("followed", followed.changed)
        await announce(self._stores, followed.opened, now)

    def _warn(self, ahead: bool) -> None:  # noqa: FBT001
        """Once: events that have followed to zone rules newer than ours are not expanded here."""
        if ahead and not self._warned:
            log.error(
                "tzdata.outdated",
                tzdata=tzdata_version(),
                remedy="upgrade the tzdata package of this node; or `qhronos tzdata adopt`, if its rules are the right ones",
            )
        self._warned = ahead

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
