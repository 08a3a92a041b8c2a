"""What is due, how it ended and which events have changed, told to whoever listens. At most once: what cannot be told is
counted and left out.

It is told in batches, each while the one before is on its way, so that nothing that is due waits for it. As long as nobody
listens nothing is written, only counted, about once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from qhronos.actions.endpoint import rfc3339
from qhronos.broadcast import Broadcast, Hearing, Lost, Notice, end_if_cancelled
from qhronos.clock import Clock
from qhronos.core.occurrence import Status, occurrence_id
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store.pending import Claimed, Settlement

BATCH = 200
MOST_WAITING = 10_000  # frames; beyond it they are left out
LONGEST_METADATA = 64 * 1024
ASK_EVERY = 1.0  # seconds, whether somebody listens
Kind: TypeAlias = Literal["due", "completed", "failed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ENDS: dict[Status, Kind] = {Status.COMPLETED: "completed", Status.FAILED: "failed"}
# What can be listened to: changes of events, their occurrences, and numbers of both.
Topic: TypeAlias = Literal["events", "occurrences", "stats"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

log = get_logger()
_encode = msgspec.json.Encoder().encode


class Frame(Struct, kw_only=True, omit_defaults=True):
    """What listeners are sent, but for its number."""

    type: Literal["event"]
    kind: Kind
    event_id: str
    occurrence_id: str
    name: str
    description: str
    scheduled_at: str
    attempt: int | None = None
    reason: str | None = None
    metadata: msgspec.Raw
    metadata_omitted: bool = False
    tags: list[str]


class ChangeFrame(Struct, kw_only=True):
    """The same of a change: no action, no metadata, no secret."""

    type: Literal["change"] = "change"
    kind: str
    event_id: UUID
    name: str
    status: str
    tags: Sequence[str]
    version: int
    updated_at: datetime


class Subject(Protocol):
    """An event, as far as its changes are told."""

    @property
    def id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def version(self) -> int: ...
    @property
    def updated_at(self) -> datetime: ...


class Changed(NamedTuple):
    """`kind` is what the audit calls the change, or what the service did by itself."""

    kind: str
    event: Subject


class News(NamedTuple):
    """To be written down when it is told: what is due must not wait for that."""

    row: Claimed
    kind: Kind
    attempt: int | None = None
    reason: str | None = None


class Announcer:
    def __init__(self, broadcast: Broadcast, clock: Clock) -> None:
        self._broadcast = broadcast
        self._clock = clock
        self._is_heard = True  # until it is known better
        self._hearings = 0  # how often somebody began to listen
        self._asked_at = float("-inf")
        self._waiting: list[News | Changed] = []
        self._left_out = 0
        self._reminder: asyncio.TimerHandle | None = None
        self._put = asyncio.Event()

    def heard(self) -> None:
        """Somebody listens from now on."""
        self._is_heard = True
        self._hearings += 1
        self._put.set()

    def heed(self, notice: Notice) -> None:
        if isinstance(notice, Hearing | Lost):
            self.heard()  # or may do so

    def due(self, row: Claimed) -> None:
        """It is due for the first time. Nothing is told of callbacks, of retries and of what was put off or lost before."""
        if row.callback is None and not row.attempt and not row.losses and row.meant_at == row.fire_at:
            self._add(News(row, "due"))

    def ended(self, settlement: Settlement) -> None:
        """It is committed."""
        kind = ENDS.get(settlement.status)
        row = settlement.row
        if kind and row and row.callback is None:
            attempt = row.attempt + (settlement.outcome is not None)
            self._add(News(row, kind, attempt, settlement.reason))

    def changed(self, kind: str, events: Sequence[Subject]) -> None:
        """It is committed. Not every process hears that somebody listens, so it is found out by telling."""
        if events and self._clock.monotonic() - self._asked_at >= ASK_EVERY:
            self._is_heard = True
        for event in events:
            self._add(Changed(kind, event))

    async def run(self) -> None:
        """Tell, until it is cancelled."""
        while True:
            end_if_cancelled()  # the driver keeps that to itself now and then
            await self._put.wait()
            self._put.clear()
            while self._waiting:
                await self._tell()
            await self._tell()  # so that what was left out has its numbers

    async def _tell(self) -> None:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        if not batch and not self._left_out:
            return
        left_out, self._left_out = self._left_out, 0
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None
        self._asked_at = self._clock.monotonic()
        hearings = self._hearings
        try:
            is_heard = await self._broadcast.tell([_encode(_frame(one)) for one in batch], left_out)
            self._is_heard = is_heard or hearings != self._hearings
            if not self._is_heard and self._waiting:
                self._left_out += len(self._waiting)
                self._waiting = []
        except Unavailable:  # whoever follows broadcasts says so in the log
            self._leave_out(left_out + len(batch))
        except Exception:  # a bug here must not end the telling; logged here once
            log.exception("announcer.failed", count=len(batch))
            self._leave_out(left_out + len(batch))

    def _add(self, one: News | Changed) -> None:
        if self._is_heard and len(self._waiting) < MOST_WAITING:
            self._waiting.append(one)
            self._put.set()
            return
        self._leave_out(1)

    def _leave_out(self, count: int) -> None:
        """It has its numbers soon, before somebody comes who would think to have missed it."""
        self._left_out += count
        if self._reminder is None:
            self._reminder = asyncio.get_running_loop().call_later(ASK_EVERY, self._put.set)


def _frame(one: News | Changed) -> Frame | ChangeFrame:
    return _event_frame(one) if isinstance(one, News) else _change_frame(one)


def _change_frame(changed: Changed) -> ChangeFrame:
    event = changed.event
    return ChangeFrame(
        kind=changed.kind,
        event_id=event.id,
        name=event.name,
        status=event.status,
        tags=event.tags,
        version=event.version,
        updated_at=event.updated_at,
    )


def _event_frame(news: News) -> Frame:
    row = news.row
    is_long = len(bytes(row.metadata)) > LONGEST_METADATA
    return Frame(
        type="event",
        kind=news.kind,
        event_id=str(row.event_id),
        occurrence_id=occurrence_id(row.identity),
        name=row.name,
        description=row.description,
        scheduled_at=rfc3339(row.due_at),
        attempt=news.attempt,
        reason=news.reason,
        metadata=msgspec.Raw(b"null") if is_long else row.metadata,
        metadata_omitted=is_long,
        tags=row.tags,
    )
