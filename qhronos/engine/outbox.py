"""What becomes of messages that wait for clients: a client's word settles them, and so does time.

An attempt is what lies between handing a message over and the client's word. It ends as that says: taken, or not this time
(`nack`, or no word within the event's `ack_timeout` from a client that is there), and then the event's retry policy decides,
as for any other action. A connection that breaks ends nothing: the message is sent again. Nor does a fallback: what nobody
has acknowledged in time is taken back, and the next attempt is made in another way; as it is when a client has had the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random

import msgspec

from qhronos import metrics
from qhronos.actions import fallback_of
from qhronos.clock import Clock
from qhronos.core.attempt import Failed, Outcome
from qhronos.core.event import Policies
from qhronos.core.occurrence import Status
from qhronos.core.retry import Retry
from qhronos.engine.deliver import action_of, count, dropped, read_policies, settlement, telling
from qhronos.engine.notify import replan
from qhronos.engine.settle import Settler
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import Connection, outbox
from qhronos.store.outbox import Message, Stale, Unheard
from qhronos.store.pending import Settlement

REST = 10.0
MOST = 500
MEASURED_EVERY = 15.0  # seconds

log = get_logger()


class Words:
    """Settles what clients say."""

    def __init__(self, settler: Settler, retry: Retry, clock: Clock) -> None:
        self._settler = settler
        self._retry = retry
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter, not a secret

    def say(self, message: Message, outcome: Outcome, then: Callable[[bool], None] | None = None) -> None:
        """That attempt has ended so. `then` is told after the commit whether that counted: the first word does."""
        now = self._clock.now()
        policies = _policies(message)
        retry = policies.retry or self._retry
        settled = settlement(message, outcome, retry, message.handed_at, now, self._random.uniform(-1, 1))
        settled = _or_otherwise(message, outcome, settled)

        def ended(is_first: bool) -> None:  # noqa: FBT001 - what a settlement says
            if is_first:
                count("websocket", outcome, message.handed_at, now)
            if is_first and settled.fallback:
                _count_taken_back(1)
            if then:
                then(is_first)

        self._settler.put(_waited(telling(message, policies, settled), ended))


class Keeper:
    """Service: takes back what has a fallback, and gives up what else has waited too long or is too much."""

    name = "keeper"

    def __init__(self, stores: Stores, settler: Settler, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._settler = settler
        self._clock = clock
        self._looks_at: datetime | None = None  # when what has a fallback is looked at again; null: it is just now
        self._measured_at = float("-inf")
        settler.on_fallback = self._expect

    async def tick(self) -> float:
        now, self._looks_at = self._clock.now(), None
        async with self._stores.database.connection() as conn:
            stale = await outbox.stale(conn, now, MOST)
            unheard = await outbox.unheard(conn, now + timedelta(seconds=REST), MOST)
            await self._measure(conn, now)
        late = [message for message in unheard if message.fallback_at <= now]
        rescued = [message for message in stale if message.fallback_at and _falls_back(message)]
        await self._take_back([*late, *rescued], now)
        kept = {message.identity for message in rescued}
        await self._give_up([message for message in stale if message.identity not in kept])
        if max(len(stale), len(late)) >= MOST:
            return 0.0
        return self._rest(unheard[len(late) :], now)

    async def drain(self) -> None:
        """The dispatcher drains the settler."""

    def _rest(self, later: Sequence[Unheard], now: datetime) -> float:
        self._looks_at = later[0].fallback_at if later else now + timedelta(seconds=REST)
        return max(0.0, (self._looks_at - self._clock.now()).total_seconds())

    def _expect(self, fallback_at: datetime) -> None:
        """Something was handed over, to be taken back then."""
        if self._looks_at is None or fallback_at < self._looks_at:
            self.wake.set()

    async def _give_up(self, stale: Sequence[Stale]) -> None:
        for message in stale:
            end = dropped(message, Status.FAILED, _why(message), self._clock.now())
            self._settler.put(_waited(telling(message, _policies(message), end)))
        if stale:
            log.warning("messages.given_up", count=len(stale))
            await self._clock.wait(self._settler.settled, REST)

    async def _take_back(self, late: Sequence[Message], now: datetime) -> None:
        """To the dispatchers, who do the fallback; but what an edit has left without one stays, and so does what would be
        called off as its event is deleted."""
        if not late:
            return
        going = [message for message in late if _falls_back(message)]
        staying = [message for message in late if not _falls_back(message)]
        async with self._stores.database.connection() as conn:
            await outbox.leave(conn, staying)
        async with self._stores.database.transaction() as conn:
            entries = await outbox.take_back(conn, going, now)
        if entries:
            _count_taken_back(len(entries))
        await replan(self._stores, entries, now)

    async def _measure(self, conn: Connection, now: datetime) -> None:
        if self._clock.monotonic() - self._measured_at < MEASURED_EVERY:
            return
        self._measured_at = self._clock.monotonic()
        waiting = await outbox.measure(conn)
        metrics.MESSAGES_WAITING.set(waiting.messages)
        metrics.MESSAGES_OLDEST_SECONDS.set(max(0.0, (now - waiting.oldest).total_seconds()) if waiting.oldest else 0)


def _or_otherwise(message: Message, outcome: Outcome, settled: Settlement) -> Settlement:
    """By its fallback, where the client would be told no more, or not before that is due. What is refused for good is not."""
    due = message.fallback_at
    if not isinstance(outcome, Failed) or due is None or not _falls_back(message):
        return settled
    if settled.fire_at is not None and settled.fire_at < due:
        return settled
    at = settled.finished_at if settled.fire_at is None else max(settled.finished_at, due)
    return msgspec.structs.replace(settled, status=Status.SCHEDULED, fire_at=at, fallback=True)


def _count_taken_back(count: int) -> None:
    log.info("messages.taken_back", count=count)
    metrics.MESSAGES_TAKEN_BACK.inc(count)


def _falls_back(message: Message) -> bool:
    stored = action_of(message, _policies(message))
    return not message.orphaned and stored is not None and fallback_of(stored) is not None


def _policies(message: Message) -> Policies:
    """The usual ones, where a newer version of us wrote what is not understood here."""
    try:
        return read_policies(message.policies)
    except msgspec.MsgspecError:
        return Policies()


def _why(message: Stale) -> str:
    if message.expired:
        return f"expired: client {message.client} did not take it in time"
    return f"backlog: more than {message.max_backlog} wait for client {message.client}"


def _waited(settled: Settlement, then: Callable[[bool], None] | None = None) -> Settlement:
    return msgspec.structs.replace(settled, waited=True, then=then)
