"""Events of which the last occurrence was settled are completed, apart from settling and behind it.

A burst of one-time events is not held up by ending them, nor is anything by an event that somebody else holds: that one is
asked for again. Whoever dies before leaves it to the janitor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

from qhronos.clock import Clock
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import pending

LONGEST = 1.0  # seconds for which they wait while there is something to settle
AGAIN = 0.1  # seconds until one that somebody held is asked for again
TIMES = 5  # that it is; then the janitor does it
OUTAGE_REST = 0.2

log = get_logger()


class Endings:
    def __init__(self, stores: Stores, clock: Clock, on_idle: Callable[[], None]) -> None:
        self._stores = stores
        self._clock = clock
        self._on_idle = on_idle
        self._waiting: set[UUID] = set()
        self._due = asyncio.Event()
        self._never = asyncio.Event()
        self._since = 0.0
        self.is_idle = True

    def add(self, event_ids: Iterable[UUID]) -> None:
        """Those that may have nothing left, once that is committed."""
        if self.is_idle:
            self._since = self._clock.monotonic()
        self._waiting.update(event_ids)
        self.is_idle = self.is_idle and not self._waiting

    def hint(self, *, is_quiet: bool) -> None:
        """Whether nothing waits to be settled."""
        if self._waiting and (is_quiet or self._clock.monotonic() - self._since >= LONGEST):
            self._due.set()

    async def run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            ending, self._waiting = self._waiting, set()
            self._since = self._clock.monotonic()
            for _ in range(TIMES):
                if not (ending := await self._end(ending)):
                    break
                await self._clock.wait(self._never, AGAIN)
            if not self._waiting:
                self.is_idle = True
                self._on_idle()

    async def _end(self, event_ids: set[UUID]) -> set[UUID]:
        """Those that somebody else held."""
        try:
            async with self._stores.database.transaction() as conn:
                ended = await pending.complete_events(conn, event_ids, self._clock.now())
        except Unavailable as error:
            log.warning("events.unended", count=len(event_ids), error=str(error))
            await self._clock.wait(self._never, OUTAGE_REST)
            return event_ids
        except Exception:  # a bug here must not end this loop; logged here once
            log.exception("endings.failed", count=len(event_ids))
            return set()
        self._stores.announcer.changed("completed", ended.completed)
        return ended.held
