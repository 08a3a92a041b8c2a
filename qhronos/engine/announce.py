"""What is due and how it ended, told to whoever listens. At most once: what cannot be told is counted and left out.

It is told in batches, each while the one before is on its way, so that nothing that is due waits for it. As long as nobody
listens nothing is written, only counted, about once a second.
"""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from qhronos.actions.endpoint import rfc3339
from qhronos.broadcast import Broadcast, end_if_cancelled
from qhronos.clock import Clock
from qhronos.core.occurrence import Status, occurrence_id
from qhronos.errors import Unavailable
from qhronos.store.pending import Claimed, Settlement

BATCH = 200
MOST_WAITING = 10_000  # frames; beyond it they are left out
LONGEST_METADATA = 64 * 1024
ASK_EVERY = 1.0  # seconds, whether somebody listens
Kind: TypeAlias = Literal["due", "completed", "failed"]
ENDS: dict[Status, Kind] = {Status.COMPLETED: "completed", Status.FAILED: "failed"}

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
        self._asked_at = float("-inf")
        self._waiting: list[News] = []
        self._left_out = 0
        self._put = asyncio.Event()

    def heard(self) -> None:
        """Somebody listens from now on."""
        self._is_heard = True
        self._put.set()

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
        self._asked_at = self._clock.monotonic()
        try:
            self._is_heard = await self._broadcast.tell([_encode(_frame(news)) for news in batch], left_out)
        except Unavailable:  # whoever follows broadcasts says so in the log
            self._left_out += left_out + len(batch)

    def _add(self, news: News) -> None:
        if self._is_heard and len(self._waiting) < MOST_WAITING:
            self._waiting.append(news)
            self._put.set()
            return
        self._left_out += 1
        if self._clock.monotonic() - self._asked_at >= ASK_EVERY:
            self._put.set()


def _frame(news: News) -> Frame:
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
