"""Which tokens no longer hold, known in this process and never much out of date.

The set is read again from Postgres when it is older than FRESH and somebody asks. While Postgres is away the last one
serves up to STALE; after that nobody can say whether a token holds, and it is not accepted blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Never
from uuid import UUID

from qhronos.broadcast import Broadcast, Notice, TokenRevoked
from qhronos.clock import Clock
from qhronos.errors import Unauthenticated, Unavailable
from qhronos.store import Database
from qhronos.store.tokens import list_revoked

FRESH = 5.0
STALE = 60.0
PATIENCE = 1.0  # seconds that a request waits for a fresher set
REST = 1.0  # seconds between tries while Postgres is away


class Revocations:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._revoked: frozenset[UUID] = frozenset()
        self._added: frozenset[UUID] = frozenset()
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def check(self, token_id: UUID) -> None:
        """Raises Unauthenticated for a revoked token and Unavailable when nobody knows."""
        if self._age() > FRESH:
            await self._refresh()
        if self._age() > STALE:
            raise Unavailable("postgres", "whether the token was revoked cannot be looked up")
        if token_id in self._revoked:
            raise Unauthenticated("invalid token")

    def add(self, token_id: UUID) -> None:
        """It was revoked, and that is committed: from now on it is refused here."""
        self._revoked |= {token_id}
        self._added |= {token_id}

    async def follow(self, broadcast: Broadcast, also: Callable[[Notice], None]) -> Never:
        """Hear of revocations in other processes as they happen, for ever. `also` hears all that is said."""

        def heed(notice: Notice) -> None:
            also(notice)
            self._heed(notice)

        await broadcast.follow(self._clock, asyncio.Event(), heed)

    def _heed(self, notice: Notice) -> None:
        if isinstance(notice, TokenRevoked):
            self.add(notice.token_id)

    def _age(self) -> float:
        return self._clock.monotonic() - self._read_at

    async def _refresh(self) -> None:
        """One read for all who wait; with a set in hand nobody waits long for a better one."""
        if self._reading is None:
            if self._clock.monotonic() - self._tried_at < REST:
                return
            self._tried_at = self._clock.monotonic()
            self._added = frozenset()  # what is added from here on, the read may miss
            self._reading = asyncio.create_task(self._read())
        await asyncio.wait({self._reading}, timeout=PATIENCE)

    async def _read(self) -> None:
        started = self._clock.monotonic()
        try:
            async with self._database.connection() as conn:
                revoked = await list_revoked(conn, self._clock.now() - timedelta(minutes=1))
            self._revoked = revoked | self._added
            self._read_at = started
        except Unavailable:
            pass  # the age of the set says it all
        finally:
            self._reading = None
