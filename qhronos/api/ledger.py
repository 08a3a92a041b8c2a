"""The ledger of an event: what was expected of a window of time, and what is recorded of it."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Cursor, Pagination, decode_cursor, encode_cursor
from qhronos.api.reading import Moment
from qhronos.api.requests import event_id_of
from qhronos.core.ledger import Fate, Line, Passed
from qhronos.core.occurrence import Origin, Status, occurrence_id
from qhronos.engine.ledger import MOST, Rules, read_ledger
from qhronos.errors import Invalid
from qhronos.store.ledger import Window
from qhronos.store.occurrences import Occurrence

DAY = timedelta(days=1)
EARLIEST = datetime.min.replace(tzinfo=UTC)


class LedgerStatus(enum.StrEnum):
    """That of the occurrence; without one, what became of the instant."""

    SCHEDULED = Status.SCHEDULED
    DISPATCHED = Status.DISPATCHED
    COMPLETED = Status.COMPLETED
    FAILED = Status.FAILED
    SKIPPED = Status.SKIPPED
    CANCELLED = Status.CANCELLED
    PASSED_OVER = Fate.PASSED_OVER
    PLANNED = Fate.PLANNED
    DROPPED = Fate.DROPPED
    MISSING = Fate.MISSING


class ListLedger(Struct, frozen=True, kw_only=True):
    since: Annotated[Moment, Meta(description="Inclusive; a day before `until`, if left out.")] | None = None
    until: Annotated[Moment, Meta(description="Exclusive; now, if left out.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most lines in one answer.")] = 200
    cursor: Cursor | None = None


class From(Struct, frozen=True, array_like=True):
    """Where a page ended."""

    at: Moment


class LedgerLine(Struct, frozen=True, kw_only=True):
    scheduled_at: datetime
    expected: Annotated[bool, Meta(description="The schedule of the event, as it was then, has this instant.")]
    status: LedgerStatus
    reason: str | None
    id: Annotated[str | None, Meta(description="Of the occurrence, if there is one.")]
    origin: Origin | None
    version: Annotated[int | None, Meta(description="Of the event that the occurrence is bound to.")]
    attempts: Annotated[int, Meta(description="The number of the last attempt; 0 before the first.")]
    move_to: Annotated[datetime | None, Meta(description="When it happens instead, if it was moved.")]
    finished_at: datetime | None


class LedgerGap(Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    count: Annotated[int, Meta(description="Instants passed over when it was written.")]
    reason: str


class LedgerView(Struct, frozen=True, kw_only=True):
    data: list[LedgerLine]
    gaps: Annotated[list[LedgerGap], Meta(description="Spans of which instants were deliberately not made.")]
    expected: Annotated[int, Meta(description="Instants of this page that must be recorded.")]
    recorded: Annotated[int, Meta(description="Those that are: as an occurrence, or passed over.")]
    missing: Annotated[int, Meta(description="`expected` minus `recorded`.")]
    covered: Annotated[datetime, Meta(description="The page holds everything from its beginning to here.")]
    pagination: Pagination


@get(
    "/events/{event_id:str}/ledger",
    opt=needs(Access.READ, Invalid),
    tags=["events"],
    summary="Compare what an event promised with what is recorded",
)
async def get_ledger(
    deps: Given[Deps], caller: Given[Caller], event_id: FromPath[str], wanted: Given[ListLedger]
) -> LedgerView:
    """Also of an event that is deleted, as long as its history is kept."""
    now = deps.clock.now()
    window = _window(event_id_of(event_id), wanted, now)
    found = await read_ledger(deps.database, window, caller.visible, Rules.of(deps.config), now, wanted.limit)
    more = found.covered < window.until
    return LedgerView(
        data=[_line(line) for line in found.lines],
        gaps=[_gap(gap) for gap in found.gaps],
        expected=found.expected,
        recorded=found.recorded,
        missing=found.missing,
        covered=found.covered,
        pagination=Pagination(
            limit=wanted.limit, next_cursor=encode_cursor(From(found.covered)) if more else None, has_more=more
        ),
    )


def _window(event_id: UUID, wanted: ListLedger, now: datetime) -> Window:
    until = wanted.until or now
    since = wanted.since or max(until, EARLIEST + DAY) - DAY
    if until <= since:
        raise Invalid("until: must be later than since", field="until")
    after = decode_cursor(wanted.cursor, From)
    return Window(event_id, min(after.at, until) if after else since, until)


def _line(line: Line[Occurrence]) -> LedgerLine:
    row = line.record
    return LedgerLine(
        scheduled_at=line.at,
        expected=line.expected,
        status=LedgerStatus(row.status if row else line.fate),
        reason=row.reason if row else line.reason,
        id=occurrence_id(row.identity) if row else None,
        origin=Origin(row.origin) if row else None,
        version=row.version if row else None,
        attempts=row.attempt if row else 0,
        move_to=row.move_to if row else None,
        finished_at=row.finished_at if row else None,
    )


def _gap(gap: Passed) -> LedgerGap:
    return LedgerGap(since=gap.since, until=gap.until, count=gap.instants, reason=gap.reason)


HANDLERS = [get_ledger]
