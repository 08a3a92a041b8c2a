"""Occurrences: each instant of an event, what became of it, and every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import Tag
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment, Request
from qhronos.api.requests import actor_of, event_id_of
from qhronos.core.occurrence import Identity, Origin, Status, occurrence_id, parse_occurrence_id
from qhronos.engine.change import NO_EVENT
from qhronos.engine.replay import NO_OCCURRENCE
from qhronos.errors import Conflict, Gone, NotFound
from qhronos.store import events, occurrences
from qhronos.store.occurrences import Attempt, Filter, Occurrence

Match = Literal["any", "all"]
Closed = Literal["completed", "failed", "skipped", "cancelled"]
Reason = Annotated[str, Meta(min_length=1, max_length=200, description="A part of the reason, in any case.")]


class ListOfEvent(Paging, frozen=True, kw_only=True):
    status: tuple[Status, ...] | None = None
    since: Annotated[Moment, Meta(description="Due at this instant or later.")] | None = None
    until: Annotated[Moment, Meta(description="Due before this instant.")] | None = None
    reason: Reason | None = None


class ListOccurrences(ListOfEvent, frozen=True, kw_only=True):
    event_id: UUID | None = None
    tags: tuple[Tag, ...] | None = None
    tags_match: Match = "any"


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which closed occurrences."""

    event_id: UUID | None = None
    status: Annotated[tuple[Closed, ...], Meta(min_length=1)] = ("failed",)
    tags: Annotated[tuple[Tag, ...], Meta(max_length=50)] | None = None
    tags_match: Match = "any"
    since: Moment | None = None
    until: Moment | None = None
    reason: Reason | None = None


class ReplayMany(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filter: Wanted = Wanted()
    dry_run: Annotated[bool, Meta(description="Only say what would be replayed.")] = False
    limit: Annotated[int, Meta(ge=1, le=10_000, description="The oldest so many.")] = 1000
    rate: Annotated[float, Meta(ge=0.1, le=10_000, description="A second; left out: all at once.")] | None = None


class Purge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what has failed; the filter's `status` says nothing."""

    filter: Wanted = Wanted()
    dry_run: Annotated[bool, Meta(description="Only say what would be purged.")] = False
    limit: Annotated[int, Meta(ge=1, le=10_000, description="The oldest so many.")] = 1000


class PurgedView(Struct, frozen=True, kw_only=True):
    matched: int
    purged: int
    ids: list[str]


class ReplayedView(Struct, frozen=True, kw_only=True):
    matched: int
    replayed: int
    ids: list[str]


class OccurrenceView(Struct, frozen=True, kw_only=True):
    id: str
    event_id: UUID
    scheduled_at: datetime
    status: Status
    reason: str | None
    origin: Origin
    version: Annotated[int, Meta(description="Of the event that it is bound to.")]
    attempt: Annotated[int, Meta(description="The number of the last attempt; 0 before the first.")]
    next_attempt_at: datetime | None
    move_to: Annotated[datetime | None, Meta(description="When it happens instead, if it was moved.")]
    local: Annotated[str | None, Meta(description="The local time that the rule asked for.")]
    finished_at: datetime | None
    callback: Annotated[str | None, Meta(description="`on_success` or `on_failure`, if it tells of another.")]
    parent: Annotated[str | None, Meta(description="The id of the one that it tells of.")]


class AttemptView(Struct, frozen=True, kw_only=True):
    attempt: int
    outcome: Literal["delivered", "failed", "refused"]
    status_code: int | None
    reason: str | None
    response: Annotated[str | None, Meta(description="The beginning of what the endpoint answered.")]
    version: int
    started_at: datetime
    finished_at: datetime
    duration_ms: float


class After(Struct, frozen=True, array_like=True):
    """Where a page ended."""

    due_at: Moment
    event_id: UUID


READ: dict[str, Any] = {"opt": needs(Access.READ), "tags": ["occurrences"]}
WRITE: dict[str, Any] = {"tags": ["occurrences"], "status_code": 200}
CHANGES = needs(Access.WRITE) | {"refusals": [Conflict]}


@get("/events/{event_id:str}/occurrences", **READ, summary="List the occurrences of an event, newest due first")
async def list_occurrences_of_event(
    deps: Given[Deps], caller: Given[Caller], event_id: FromPath[str], wanted: Given[ListOfEvent]
) -> Page[OccurrenceView]:
    parsed = event_id_of(event_id)
    async with deps.database.connection() as conn:
        if await events.get(conn, parsed, caller.visible, deps.clock.now()) is None:
            raise NotFound(NO_EVENT)
    return await _page(deps, caller, wanted, _filter(wanted, parsed))


@get("/occurrences", **READ, summary="List occurrences, newest due first")
async def list_occurrences(
    deps: Given[Deps], caller: Given[Caller], wanted: Given[ListOccurrences]
) -> Page[OccurrenceView]:
    """Also those of events that are deleted, as long as their history is kept."""
    return await _page(deps, caller, wanted, _tagged(_filter(wanted, wanted.event_id), wanted.tags, wanted.tags_match))


@get("/occurrences/{occurrence_id:str}", **READ, summary="Show an occurrence")
async def get_occurrence(deps: Given[Deps], caller: Given[Caller], occurrence_id: FromPath[str]) -> OccurrenceView:
    return view_of(await _find(deps, caller, occurrence_id))


@get("/occurrences/{occurrence_id:str}/attempts", **READ, summary="List the attempts of an occurrence, oldest first")
async def list_attempts(
    deps: Given[Deps], caller: Given[Caller], occurrence_id: FromPath[str], wanted: Given[Paging]
) -> Page[AttemptView]:
    after = decode_cursor(wanted.cursor, int) or 0
    occurrence = await _find(deps, caller, occurrence_id)
    async with deps.database.connection() as conn:
        rows = await occurrences.attempts(conn, occurrence.identity, after, wanted.limit + 1)
    page = page_of(rows, wanted.limit, lambda attempt: attempt.attempt)
    return Page([_attempt(attempt) for attempt in page.data], page.pagination)


@post(
    "/occurrences/{occurrence_id:str}/replay",
    **WRITE,
    opt=needs(Access.WRITE) | {"refusals": [Conflict, Gone]},
    summary="Make a closed occurrence happen again",
)
async def replay_occurrence(
    deps: Given[Deps], caller: Given[Caller], request: Request, occurrence_id: FromPath[str]
) -> OccurrenceView:
    """With the same id and the next attempt number, now, as its event stands today."""
    return view_of(await deps.replays.replay(actor_of(caller, request), identity_of(occurrence_id)))


@post("/occurrences/{occurrence_id:str}/cancel", **WRITE, opt=CHANGES, summary="Cancel an occurrence")
async def cancel_occurrence(
    deps: Given[Deps], caller: Given[Caller], request: Request, occurrence_id: FromPath[str]
) -> OccurrenceView:
    """As long as it has not started."""
    return view_of(await deps.replays.cancel(actor_of(caller, request), identity_of(occurrence_id)))


@post("/occurrences/replay", **WRITE, opt=CHANGES, summary="Make many closed occurrences happen again")
async def replay_occurrences(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[ReplayMany]
) -> ReplayedView:
    asked, actor = _asked(data.filter, data.filter.status), actor_of(caller, request)
    if data.dry_run:
        matched, reopened = await deps.replays.preview(actor, asked, data.limit), 0
    else:
        matched, reopened = await deps.replays.replay_many(actor, asked, data.limit, data.rate)
    return ReplayedView(matched=len(matched), replayed=reopened, ids=[occurrence_id(identity) for identity in matched])


@post("/occurrences/purge", **WRITE, opt=CHANGES, summary="Call off for good what has failed")
async def purge_occurrences(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[Purge]
) -> PurgedView:
    """It stays in the history, as cancelled."""
    asked, actor = _asked(data.filter, ("failed",)), actor_of(caller, request)
    if data.dry_run:
        matched, purged = await deps.replays.preview(actor, asked, data.limit), 0
    else:
        matched, purged = await deps.replays.purge(actor, asked, data.limit)
    return PurgedView(matched=len(matched), purged=purged, ids=[occurrence_id(identity) for identity in matched])


def _asked(wanted: Wanted, statuses: Sequence[str]) -> Filter:
    asked = Filter(
        statuses=list(statuses),
        event_id=wanted.event_id,
        since=wanted.since,
        until=wanted.until,
        reason=wanted.reason,
    )
    return _tagged(asked, wanted.tags, wanted.tags_match)


def view_of(occurrence: Occurrence) -> OccurrenceView:
    return OccurrenceView(
        id=occurrence_id(occurrence.identity),
        event_id=occurrence.event_id,
        scheduled_at=occurrence.due_at,
        status=Status(occurrence.status),
        reason=occurrence.reason,
        origin=Origin(occurrence.origin),
        version=occurrence.version,
        attempt=occurrence.attempt,
        next_attempt_at=occurrence.fire_at if occurrence.status == Status.SCHEDULED else None,
        move_to=occurrence.move_to,
        local=occurrence.wall.isoformat() if occurrence.wall else None,
        finished_at=occurrence.finished_at,
        callback=occurrence.callback,
        parent=occurrence_id(Identity(occurrence.event_id, occurrence.parent)) if occurrence.parent else None,
    )


def _attempt(attempt: Attempt) -> AttemptView:
    took = attempt.finished_at - attempt.started_at
    return AttemptView(
        attempt=attempt.attempt,
        outcome=attempt.outcome,  # type: ignore[arg-type]  # a CHECK in the schema holds it to these three
        status_code=attempt.status_code,
        reason=attempt.reason,
        response=attempt.excerpt,
        version=attempt.version,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        duration_ms=round(took.total_seconds() * 1000, 3),
    )


async def _page(deps: Deps, caller: Caller, paging: Paging, wanted: Filter) -> Page[OccurrenceView]:
    after = decode_cursor(paging.cursor, After)
    before = Identity(after.event_id, after.due_at) if after else None
    async with deps.database.connection() as conn:
        rows = await occurrences.page(conn, wanted, caller.visible, before, paging.limit + 1, deps.clock.now())
    page = page_of(rows, paging.limit, lambda row: After(row.due_at, row.event_id))
    return Page([view_of(row) for row in page.data], page.pagination)


async def _find(deps: Deps, caller: Caller, text: str) -> Occurrence:
    async with deps.database.connection() as conn:
        found = await occurrences.get(conn, identity_of(text), caller.visible, deps.clock.now())
    if found is None:
        raise NotFound(NO_OCCURRENCE)
    return found


def identity_of(text: str) -> Identity:
    try:
        return parse_occurrence_id(text)
    except NotFound as error:
        raise NotFound(NO_OCCURRENCE) from error


def _filter(wanted: ListOfEvent, event_id: UUID | None) -> Filter:
    return Filter(
        statuses=[str(status) for status in wanted.status] if wanted.status else None,
        event_id=event_id,
        since=wanted.since,
        until=wanted.until,
        reason=wanted.reason,
    )


def _tagged(wanted: Filter, tags: tuple[str, ...] | None, match: Match) -> Filter:
    if not tags:
        return wanted
    return msgspec.structs.replace(wanted, **{f"{match}_tags": list(tags)})


HANDLERS = [
    list_occurrences_of_event,
    list_occurrences,
    get_occurrence,
    list_attempts,
    replay_occurrence,
    cancel_occurrence,
    replay_occurrences,
    purge_occurrences,
]
