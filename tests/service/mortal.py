"""A process that dies in the middle of what it asks of the stores: before or after any statement, as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection

from qhronos.broadcast import Broadcast, Notice
from qhronos.core.occurrence import Identity
from qhronos.engine.stores import Stores
from qhronos.plan import Plan
from qhronos.store import Database

T = TypeVar("T")


class Killed(Exception):
    """Nothing in the product catches it: what would have come after is not done."""


class Fate:
    """Counts what is asked of the stores, BEGIN and COMMIT as well; the `dies_at`-th is the last, heard or not even sent."""

    def __init__(self, url: str, dies_at: int | None = None, *, sent: bool = True) -> None:
        self.asked = 0
        self.connection: AsyncConnection[Any] | None = None  # at a statement; it dies with the process
        self._url = url
        self._dies_at = dies_at
        self._sent = sent

    async def ask(self, asking: Awaitable[T]) -> T:
        self.asked += 1
        if self.asked != self._dies_at:
            return await asking
        if self._sent:
            await asking
        else:
            asking.close()  # type: ignore[attr-defined] - a coroutine
        await self._die()
        raise Killed

    async def _die(self) -> None:
        """Postgres sees that the other end is gone, and rolls back what was not committed."""
        if self.connection is not None:
            async with await AsyncConnection.connect(self._url, autocommit=True) as admin:
                await admin.execute("SELECT pg_terminate_backend(%s, 5000)", [self.connection.info.backend_pid])


def connection_of(fate: Fate) -> type[AsyncConnection[Any]]:
    class Mortal(AsyncConnection[Any]):
        async def wait(self, gen: Any, *more: Any, **options: Any) -> Any:
            fate.connection = self
            return await fate.ask(super().wait(gen, *more, **options))

    return Mortal


class MortalPlan(Plan):
    fate: Fate

    async def _add(self, entries: Iterable[tuple[Identity, datetime]], *, only_new: bool) -> int:
        self.fate.connection = None
        return await self.fate.ask(super()._add(entries, only_new=only_new))


class MortalBroadcast(Broadcast):
    fate: Fate

    async def _send(self, notice: Notice) -> None:
        self.fate.connection = None
        await self.fate.ask(super()._send(notice))


@asynccontextmanager
async def mortal(stores: Stores, url: str, fate: Fate) -> AsyncIterator[Stores]:
    """The same stores, for a process with this fate; it has connections of its own."""
    database = Database(url, 2)
    database._pool.connection_class = connection_of(fate)
    await database.open()
    plan = MortalPlan(stores.plan.redis, stores.plan.prefix, stores.plan.shards)
    broadcast = MortalBroadcast(stores.plan.redis, stores.plan.prefix)
    plan.fate = broadcast.fate = fate
    yield stores._replace(database=database, plan=plan, broadcast=broadcast)
    await database.close()
