"""Events of which the last occurrence was settled are completed, apart from settling and behind it.

To complete an event costs the stores more than to deliver: it is in many indexes. So a burst of one-time events is delivered
first. Nor is anything held up by an event that somebody else holds: that one is asked for again. Whoever dies before leaves
it to the janitor.
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

LONGEST = 30.0  # seconds for which they wait while there is something to settle
ENOUGH = 50_000  # that wait; they have their turn then
AT_ONCE = 1_000  # which are held so long that nobody who edits one of them waits for the others
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
        self._is_quiet = True
        self._due = asyncio.Event()
        self._never = asyncio.Event()
        self._since = 0.0
        self.is_idle = True

    def add(self, event_ids: Iterable[UUID]) -> None:
        """Those that may have nothing left, once that is committed."""
        if not self._waiting:
            self._since = self._clock.monotonic()
        self._waiting.update(event_ids)
        self.is_idle = self.is_idle and not self._waiting

    def hint(self, *, is_quiet: bool) -> None:
        """Whether nothing waits to be settled."""
        self._is_quiet = is_quiet
        if self._waiting and (is_quiet or self._has_waited()):
            self._due.set()

    def _has_waited(self) -> bool:
        return len(self._waiting) >= ENOUGH or self._clock.monotonic() - self._since >= LONGEST

    async def run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            ending = {self._waiting.pop() for _ in range(min(AT_ONCE, len(self._waiting)))}
            for _ in range(TIMES):
                if not (ending := await self._end(ending)):
                    break
                await self._clock.wait(self._never, AGAIN)
            if not self._waiting:
                self.is_idle = True
                self._on_idle()
            elif self._is_quiet:
                self._due.set()

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
