"""Service: keeps business calendars up to date, and the events that name them.

Any number may run. What one takes nobody else reads meanwhile, and what it leaves behind when it dies another goes on with.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from qhronos.clock import Clock
from qhronos.engine.actor import Actor
from qhronos.engine.calendars import bring_along
from qhronos.engine.change import Changes
from qhronos.engine.sources import read_again
from qhronos.errors import Refusal, Unreachable
from qhronos.http import Client
from qhronos.log import get_logger
from qhronos.store import calendars
from qhronos.store.calendars import Calendar

REST = 60.0
# An event that was being created when its calendar changed has the older copy; it is stored by then, or never.
SETTLED = timedelta(minutes=1)
LEAST_RETRY, LONGEST_RETRY = timedelta(minutes=15), timedelta(days=1)
ACTOR = Actor("qhronos", None, "", None)

log = get_logger()


class Almanac:
    name = "almanac"

    def __init__(self, changes: Changes, client: Client, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._changes = changes
        self._database = changes.stores.database
        self._client = client
        self._clock = clock

    async def tick(self) -> float:
        now = self._clock.now()
        async with self._database.connection() as conn:
            stale = await calendars.take_stale(conn, now, now + LEAST_RETRY)
        if stale is not None:
            await self._read(stale, now)
        for name, changed_at in await self._unfollowed():
            await bring_along(self._changes, ACTOR, name)
            if now >= changed_at + SETTLED:
                async with self._database.connection() as conn:
                    await calendars.followed(conn, name, changed_at, now)
        return REST if stale is None else 0.0

    async def _read(self, calendar: Calendar, now: datetime) -> None:
        try:
            content = await read_again(self._client, calendar, now)
        except (Refusal, Unreachable) as error:
            log.warning("calendar.unreadable", calendar=calendar.name, error=str(error))
            async with self._database.connection() as conn:
                await calendars.fail(conn, calendar, str(error), _retry_at(calendar, now))
            return
        async with self._database.connection() as conn:
            changed = await calendars.refresh(conn, calendar, content, now)
        if changed:
            log.info("calendar.changed", calendar=calendar.name, closed=len(content.dates))

    async def _unfollowed(self) -> list[tuple[str, datetime]]:
        async with self._database.connection() as conn:
            return await calendars.unfollowed(conn)

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""


def _retry_at(calendar: Calendar, now: datetime) -> datetime:
    """The longer it has failed, the later."""
    failing = now - (calendar.fetched_at or now)
    return now + min(max(failing / 4, LEAST_RETRY), LONGEST_RETRY)
