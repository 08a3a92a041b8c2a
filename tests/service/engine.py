"""Services put together by hand: real stores, a clock that the test owns, and an action that only notes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from qhronos.actions.base import Act, Acts
from qhronos.broadcast import Broadcast, Revoke
from qhronos.clock import Clock, SystemClock
from qhronos.config import Scheduler
from qhronos.core.attempt import Delivered, Delivery, Outcome
from qhronos.core.retry import Backoff, Retry
from qhronos.core.vault import Vault
from qhronos.dispatcher import Dispatcher
from qhronos.engine.announce import Announcer
from qhronos.engine.deliver import Defaults
from qhronos.engine.stores import Stores
from qhronos.engine.worker import Worker
from qhronos.plan import Plan
from qhronos.redis_link import connect
from qhronos.store import Database

VAULT = Vault([b"k" * 32])
DEFAULTS = Defaults(Retry(max_attempts=3, backoff=Backoff(base=10, factor=2, jitter=0)), "default-secret", VAULT)


class Noting:
    """An action that notes what it is given and ends as `answer` says."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answer: Callable[[Delivery], Outcome] = lambda _: Delivered(status_code=200)
        self.place: str | None = None
        self.room = 10
        self.gate = asyncio.Event()
        self.gate.set()
        self._called = asyncio.Condition()

    def prepare(self, _stored: msgspec.Raw, delivery: Delivery) -> Act:
        return Noted(self, delivery, self.place)

    def capacity(self, _place: str) -> int:
        return self.room

    async def perform(self, delivery: Delivery) -> Outcome:
        self.deliveries.append(delivery)
        async with self._called:
            self._called.notify_all()
        await self.gate.wait()
        return self.answer(delivery)

    async def called(self, times: int = 1) -> None:
        """Until it was given so many."""
        async with asyncio.timeout(15), self._called:
            await self._called.wait_for(lambda: len(self.deliveries) >= times)


class Notes(Protocol):
    async def perform(self, delivery: Delivery) -> Outcome: ...


class Noted(NamedTuple):
    noting: Notes
    delivery: Delivery
    place: str | None
    type: str = "noting"

    async def perform(self, _now: datetime) -> Outcome:
        return await self.noting.perform(self.delivery)


class Heeding(Broadcast):
    """Also says what its follower has heeded."""

    def __init__(self, broadcast: Broadcast) -> None:
        super().__init__(broadcast._redis, broadcast._channel.removesuffix(":broadcast"))
        self.heeded: asyncio.Queue[object] = asyncio.Queue()

    async def follow(self, clock, subscribed, heed):
        def both(notice):
            heed(notice)
            self.heeded.put_nowait(notice)

        await super().follow(clock, subscribed, both)

    async def caught_up(self) -> None:
        """Until everything sent before has been heeded."""
        mark = Revoke((uuid.uuid4(),))
        await self.revoke(mark.event_ids)
        async with asyncio.timeout(15):
            while await self.heeded.get() != mark:
                pass


@asynccontextmanager
async def open_stores(database_url: str, redis_url: str, prefix: str) -> AsyncIterator[Stores]:
    database = Database(database_url, 6)
    await database.open()
    redis = connect(redis_url)
    plan = Plan(redis, prefix, shards=4)
    await plan.mark_whole(range(4), "test")
    broadcast = Broadcast(redis, prefix)
    yield Stores(database, plan, broadcast, Announcer(broadcast, SystemClock()), VAULT)
    await redis.aclose()
    await database.close()


def make_dispatcher(
    stores: Stores, clock: Clock, acts: Acts, defaults: Defaults = DEFAULTS, **settings: object
) -> Dispatcher:
    worker = Worker("test", stores.database, clock)
    return Dispatcher(stores, worker, acts, defaults, clock, Scheduler(**settings))


async def settled(dispatcher: Dispatcher) -> None:
    """Until everything in flight has landed and is committed."""
    async with asyncio.timeout(15):
        while dispatcher._in_flight:
            await asyncio.gather(*dispatcher._in_flight)
        await dispatcher.settler.idle.wait()
