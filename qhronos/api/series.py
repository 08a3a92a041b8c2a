"""The series of an event: one occurrence of it changed, what another schedule would change, and the series in two."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import Said, Schedule, Start, Zone, calendars_of, encode_bounded, fields_of
from qhronos.api.event_view import EventView, answer_of, respond
from qhronos.api.event_view import view_of as view_of_event
from qhronos.api.events import writes
from qhronos.api.occurrences import CHANGES, OccurrenceView, identity_of, view_of
from qhronos.api.reading import Moment, Request
from qhronos.api.recurrences import OccurrenceView as InstantView
from qhronos.api.recurrences import RecurrenceView, canonical, instant_view_of
from qhronos.api.requests import TAKES_MATCH, actor_of, event_id_of, if_match, require_sight
from qhronos.core.occurrence import Identity
from qhronos.core.recurrence import diff
from qhronos.core.recurrence.model import Dst, Subdaily
from qhronos.engine.calendars import named
from qhronos.engine.change import NO_EVENT
from qhronos.engine.draft import Fields, reschedule
from qhronos.engine.replay import NO_OCCURRENCE
from qhronos.engine.single import Difference, override
from qhronos.engine.split import split
from qhronos.errors import Conflict, Invalid, NotFound, Outdated
from qhronos.store import events
from qhronos.store.events import Event

AHEAD = timedelta(days=30)  # of a comparison that names no end

MoveTo = Annotated[Moment, Meta(description="When it happens instead. Null: at its own instant.")]
Payload = Annotated[Any, Meta(description="Stands in for the metadata of the event. Null: those of the event.")]


class OccurrenceEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    move_to: MoveTo | UnsetType | None = UNSET
    metadata: Payload | UnsetType = UNSET


class Override(OccurrenceEdit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scheduled_at: Moment


class Split(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first instant of the new event, and what is to be different from there on."""

    scheduled_at: Moment
    name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


class SplitView(EventView, frozen=True, kw_only=True):
    split_from: Annotated[UUID, Meta(description="The event that ends before.")]


class DiffRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An edit that says when. What is not said stays as it is."""

    schedule: Schedule | UnsetType = UNSET
    start_time: Start | UnsetType | None = UNSET
    timezone: Zone | UnsetType | None = UNSET
    dst: Dst | UnsetType | None = UNSET
    subdaily: Subdaily | UnsetType | None = UNSET
    since: Annotated[Moment, Meta(description="Inclusive; now, if left out.")] | None = None
    until: Annotated[Moment, Meta(description="Exclusive; 30 days after `since`, if left out.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="Instants looked at, of either schedule.")] = 100


class DiffView(Struct, frozen=True, kw_only=True):
    recurrence: Annotated[RecurrenceView, Meta(description="What the event would have.")]
    added: list[InstantView]
    removed: list[InstantView]
    kept: list[InstantView]
    complete: Annotated[bool, Meta(description="The window holds no other.")]


OVERRIDES = writes(
    OccurrenceView,
    [Conflict, Outdated],
    TAKES_MATCH,
    example={"scheduled_at": "2030-01-01T08:00:00Z", "move_to": "2030-01-01T10:00:00Z"},
)
SPLITS = writes(
    SplitView,
    [Conflict, Outdated],
    TAKES_MATCH,
    example={"scheduled_at": "2030-01-02T08:00:00Z", "metadata": {"from": "now on"}},
)
DIFF = needs(Access.READ, example={"schedule": "FREQ=DAILY;BYHOUR=10;BYMINUTE=0;BYSECOND=0"})


@patch("/occurrences/{occurrence_id:str}", opt=CHANGES, tags=["occurrences"], summary="Move or change an occurrence")
async def edit_occurrence(
    deps: Given[Deps],
    caller: Given[Caller],
    request: Request,
    occurrence_id: FromPath[str],
    data: JSONBody[OccurrenceEdit],
) -> OccurrenceView:
    """As long as it has not begun. Its id and `scheduled_at` stay."""
    identity = identity_of(occurrence_id)
    try:
        return view_of(await override(deps.changes, actor_of(caller, request), identity, difference_of(data), None))
    except NotFound as error:
        raise NotFound(NO_OCCURRENCE) from error
    except Invalid as error:
        if error.field == "scheduled_at":  # which the id says
            raise NotFound(NO_OCCURRENCE) from error
        raise


@post(
    "/events/{event_id:str}/override", **OVERRIDES, status_code=200, summary="Move or change one occurrence of an event"
)
async def override_occurrence(
    deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str], data: JSONBody[Override]
) -> OccurrenceView:
    """By its instant: one that is not open yet is in no list, so its id is not at hand."""
    identity = Identity(event_id_of(event_id), data.scheduled_at)
    actor = actor_of(caller, request)
    return view_of(await override(deps.changes, actor, identity, difference_of(data), if_match(request)))


@post("/events/{event_id:str}/split", **SPLITS, status_code=201, summary="Go on with another event from an instant on")
async def split_event(
    deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str], data: JSONBody[Split]
) -> Response[bytes]:
    """This and following: the event ends before the instant, and a new one begins at it, like it but for what is given."""
    fields = fields_of(data, deps.egress, await named(deps.database, calendars_of(data)))
    if not isinstance(fields.tags, UnsetType):
        require_sight(caller, fields.tags)
    wanted, actor = event_id_of(event_id), actor_of(caller, request)
    made = await split(deps.changes, actor, wanted, data.scheduled_at, fields, if_match(request))
    view = SplitView(**msgspec.structs.asdict(view_of_event(made)), split_from=wanted)
    return respond(answer_of(view, 201, made, {"Location": f"/events/{made.id}"}))


@post(
    "/events/{event_id:str}/diff",
    opt=DIFF,
    tags=["events"],
    status_code=200,
    summary="Show what another schedule would change",
)
async def diff_event(
    deps: Given[Deps], caller: Given[Caller], event_id: FromPath[str], data: JSONBody[DiffRequest]
) -> DiffView:
    """Nothing changes. What an edit would refuse is refused."""
    wanted, now = event_id_of(event_id), deps.clock.now()
    async with deps.database.connection() as conn:
        event = await events.get(conn, wanted, caller.visible, now)
    if event is None:
        raise NotFound(NO_EVENT)
    # Apart from the event loop: hostile rules use up their whole budget of steps, and others are waiting.
    return await asyncio.to_thread(_diff, event, data, now, deps.config.scheduler.min_period)


def difference_of(data: OccurrenceEdit) -> Difference:
    if data.move_to is UNSET and data.metadata is UNSET:
        raise Invalid("nothing to change; give move_to or metadata")
    payload = data.metadata if data.metadata in (UNSET, None) else encode_bounded(data.metadata, "metadata")
    return Difference(data.move_to, payload)


def _diff(event: Event, data: DiffRequest, now: datetime, min_period: timedelta) -> DiffView:
    since = data.since or now
    until = data.until or since + AHEAD
    if until <= since:
        raise Invalid("until: must be later than since", field="until")
    if not isinstance(data.schedule, UnsetType | None):
        encode_bounded(data.schedule, "schedule")
    said = {name: getattr(data, name) for name in ("schedule", "start_time", "timezone", "dst", "subdaily")}
    before, after = reschedule(event, Fields(**said), now, min_period)
    found = diff(before, after, since, until, data.limit)
    return DiffView(
        recurrence=canonical(after),
        added=[instant_view_of(after, instant) for instant in found.added],
        removed=[instant_view_of(before, instant) for instant in found.removed],
        kept=[instant_view_of(after, instant) for instant in found.kept],
        complete=found.complete,
    )


HANDLERS = [edit_occurrence, override_occurrence, split_event, diff_event]
