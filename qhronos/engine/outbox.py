"""What becomes of messages that wait for clients: a client's word settles them, and so does time.

An attempt is what lies between handing a message over and the client's word. It ends as that says: taken, or not this time
(`nack`, or no word within the event's `ack_timeout` from a client that is there), and then the event's retry policy decides,
as for any other action. A connection that breaks ends nothing: the message is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from qhronos.clock import Clock
from qhronos.core.attempt import Outcome
from qhronos.core.event import Policies
from qhronos.core.occurrence import Status
from qhronos.core.retry import Retry
from qhronos.engine.deliver import count, dropped, read_policies, settlement, telling
from qhronos.engine.settle import Settler
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import outbox
from qhronos.store.outbox import Message, Stale
from qhronos.store.pending import Settlement

REST = 5.0
MOST = 500

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

        def ended(is_first: bool) -> None:  # noqa: FBT001 - what a settlement says
            if is_first:
                count("websocket", outcome, message.handed_at, now)
            if then:
                then(is_first)

        self._settler.put(_waited(telling(message, policies, settled), ended))


class Keeper:
    """Service: gives up what has waited too long, and the oldest where too much waits."""

    name = "keeper"

    def __init__(self, stores: Stores, settler: Settler, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._settler = settler
        self._clock = clock

    async def tick(self) -> float:
        async with self._stores.database.connection() as conn:
            stale = await outbox.stale(conn, self._clock.now(), MOST)
        for message in stale:
            end = dropped(message, Status.FAILED, _why(message), self._clock.now())
            self._settler.put(_waited(telling(message, _policies(message), end)))
        if stale:
            log.warning("messages.given_up", count=len(stale))
            await self._clock.wait(self._settler.idle, REST)
        return 0.0 if len(stale) >= MOST else REST

    async def drain(self) -> None:
        """The dispatcher drains the settler."""


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
