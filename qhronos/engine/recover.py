"""Four loops that bring back what a fault took. Each is a service of its own and needs none of the others.

Reaper     leases of dead workers, and leases that ended
Rebuilder  the plan, when Redis lost it, or some of it in a failover
Sweeper    whatever else is overdue and in nobody's hands; it alone is enough for correctness
Standby    what expanders should have opened, when there are none
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.core.recurrence import tzdata_version
from qhronos.engine.expand import expand_due
from qhronos.engine.stores import Stores
from qhronos.engine.worker import DEAD_AFTER
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.plan import Lost
from qhronos.store import expansion, lanes, pending
from qhronos.store.clock import read as read_clock
from qhronos.store.pending import FIRST, Entry

REAPER_REST = 2.0
REST = 3.0
PAGE = 2_000
GRACE = 3.0  # seconds that Postgres must have been reachable: settlements of the outage come first
# With expanders. Less where they look less far ahead: what is opened in their place must be in time.
PATIENCE = timedelta(seconds=30)
STANDBY_REST = 10.0
OVERDUE_AFTER = timedelta(seconds=1.5)
MOST_LANES = 1_000
START = Entry(*FIRST, datetime.min.replace(tzinfo=UTC))

log = get_logger()


class Recovery:
    """What they have in common: the stores, and nothing in hand to drain."""

    name = "recovery"

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._clock = clock

    async def drain(self) -> None:
        """Nothing is in hand."""


class Reaper(Recovery):
    name = "reaper"
    _reachable_since: float | None = None

    async def tick(self) -> float:
        try:
            return await self._reap()
        except Unavailable as error:
            if error.what == "postgres":
                self._reachable_since = None
            raise

    async def _reap(self) -> float:
        now = self._clock.now()
        async with self._stores.database.connection() as conn:
            if not self._postgres_is_steady():
                await read_clock(conn)
                self._reachable_since = self._reachable_since or self._clock.monotonic()
                return GRACE
            entries = await pending.reclaim(conn, now, now - DEAD_AFTER, PAGE)
        await self._stores.plan.add((entry.identity, entry.fire_at) for entry in entries)
        if entries:
            metrics.RECLAIMED.inc(len(entries))
            log.warning("leases.reclaimed", count=len(entries))
        return 0.0 if len(entries) == PAGE else REAPER_REST

    def _postgres_is_steady(self) -> bool:
        return self._reachable_since is not None and self._clock.monotonic() - self._reachable_since >= GRACE


class Rebuilder(Recovery):
    name = "rebuilder"

    async def tick(self) -> float:
        lost = await self._stores.plan.lost()
        if lost.shards:
            await self._rebuild(lost)
        return REST

    async def _rebuild(self, lost: Lost) -> None:
        """Plan everything open, then say that the plan is whole. Dying in between leaves it to the next tick."""
        count, after = 0, FIRST
        async with self._stores.database.connection() as conn:
            while page := await pending.free_after(conn, after, PAGE):
                await self._stores.plan.add_missing((entry.identity, entry.fire_at) for entry in page)
                count, after = count + len(page), page[-1].identity
        await self._stores.plan.mark_whole(*lost)
        metrics.REBUILDS.inc()
        log.info("plan.rebuilt", shards=lost.shards, count=count)


class Sweeper(Recovery):
    name = "sweeper"
    _after = START

    async def tick(self) -> float:
        """A page of what is overdue; the next tick goes on from there, so a long backlog is not swept over and over."""
        now = self._clock.now()
        async with self._stores.database.connection() as conn, conn.pipeline():  # idle, it is one round trip
            page, waited_in = await asyncio.gather(
                pending.overdue(conn, now - OVERDUE_AFTER, self._after, PAGE), lanes.waited_in(conn, MOST_LANES)
            )
        if self._after is START:
            metrics.OVERDUE_SECONDS_MAX.set((now - page[0].fire_at).total_seconds() if page else 0)
        self._after = page[-1] if len(page) == PAGE else START
        found = page + await self._in_lanes(waited_in)
        added = await self._stores.plan.add_missing((entry.identity, entry.fire_at) for entry in found)
        if added:
            metrics.SWEEP_RECOVERED.inc(added)
            log.warning("plan.swept", count=added)
        return 0.0 if len(page) == PAGE else REST

    async def _in_lanes(self, waited_in: list[str | None]) -> list[Entry]:
        """What waits for a turn that has come: whoever was before it may have died before it could say so, or was
        cancelled or deleted."""
        if not waited_in:
            return []
        async with self._stores.database.transaction() as conn:
            stray = await lanes.free_stray(conn) if None in waited_in else []
            return stray + await lanes.free(conn, filter(None, waited_in))


class Standby(Recovery):
    name = "standby"

    def __init__(self, stores: Stores, clock: Clock, settings: Scheduler) -> None:
        super().__init__(stores, clock)
        self._settings = settings
        # An event is to be expanded when half of the look-ahead is left.
        self._patience = min(PATIENCE, settings.look_ahead_duration / 4)
        self._longest = min(STANDBY_REST, self._patience.total_seconds())

    async def tick(self) -> float:
        """A batch in the place of expanders, if they have kept one waiting. Where they live, it costs a look at an index."""
        now = self._clock.now()
        async with self._stores.database.connection() as conn:
            next_at = await expansion.next_at(conn, tzdata_version())
        if next_at is None:
            return self._longest
        if (left := next_at + self._patience - now) > timedelta():
            return min(self._longest, left.total_seconds())
        expanded = await expand_due(self._stores, now, self._settings)
        if not expanded.taken:
            return self._longest
        log.warning("expanders.missed", events=expanded.taken, opened=len(expanded.opened))
        return 0.0
