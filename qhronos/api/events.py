"""Events: what should happen, and when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import (
    EventEdit,
    NewEvent,
    Tag,
    calendars_of,
    encode_bounded,
    fields_of,
    new_fields_of,
    status_of,
)
from qhronos.api.event_view import EventView, RunView, answer_of, created, respond, run_view_of, view_of
from qhronos.api.paging import Page, Paging, decode_cursor, page_until
from qhronos.api.reading import Moment, Request, decode
from qhronos.api.requests import TAKES_KEY, TAKES_MATCH, actor_of, event_id_of, if_match, keyed, require_sight
from qhronos.core.event import EventStatus
from qhronos.core.ids import RANDOM_BYTES
from qhronos.core.occurrence import Identity
from qhronos.engine.actor import Actor
from qhronos.engine.backlog import Backlog
from qhronos.engine.calendars import named
from qhronos.engine.change import NO_EVENT
from qhronos.engine.create import Created, Creation
from qhronos.engine.draft import Fields, Prepared, is_quick, prepare
from qhronos.engine.resume import resume
from qhronos.engine.single import run, skip
from qhronos.errors import Conflict, Malformed, NotFound, Outdated, Refusal
from qhronos.store import events
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer
from qhronos.store.idempotency import Request as Keyed

Words = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(max_length=500)]


class ListEvents(Paging, frozen=True, kw_only=True):
    tags: tuple[Tag, ...] | None = None
    tags_match: Literal["any", "all"] = "any"
    status: Annotated[tuple[EventStatus, ...], Meta(description="Left out: all but deleted ones.")] | None = None
    q: Annotated[Words, Meta(description="Beginnings of words in name, description and key.")] | None = None
    metadata: Annotated[str, Meta(max_length=4096, description="A JSON object that is contained.")] | None = None


class Pause(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason | None = None
    until: Annotated[Moment, Meta(description="Then it resumes by itself.")] | None = None
    backlog: Annotated[Backlog, Meta(description="Beside `until`: what becomes of what fell due meanwhile.")] = (
        Backlog.FIRE_ALL
    )


class Resume(Struct, frozen=True, forbid_unknown_fields=True):
    backlog: Annotated[Backlog, Meta(description="What becomes of what fell due meanwhile.")] = Backlog.FIRE_ALL


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    payload: Annotated[Any, Meta(description="Stands in for the metadata this once.")] | UnsetType = UNSET


class Skip(Struct, frozen=True, forbid_unknown_fields=True):
    scheduled_at: Annotated[Moment, Meta(description="Left out: the next.")] | None = None


PLAIN_PAUSE, PLAIN_RESUME, PLAIN_RUN, PLAIN_SKIP = Pause(), Resume(), Run(), Skip()  # what an empty body says


def reads(answer: Any = None) -> dict[str, Any]:
    return {"opt": needs(Access.READ, answer=answer), "tags": ["events"]}


def writes(
    answer: Any,
    refusals: Sequence[type[Refusal]],
    headers: dict[str, str],
    example: object = None,
    also: tuple[int, ...] = (),
) -> dict[str, Any]:
    opt = needs(Access.WRITE, *refusals, headers=headers, example=example, answer=answer, also=also)
    return {"opt": opt, "tags": ["events"]}


# What most changes of an event have in common.
CHANGES = writes(EventView, [Conflict, Outdated], TAKES_MATCH)
EDITS = writes(EventView, [Conflict, Outdated], TAKES_MATCH, example={"description": "For the team"})
SKIPS = writes(EventView, [Conflict, Outdated], TAKES_MATCH, example={"scheduled_at": "2030-01-01T08:00:00Z"})
EXAMPLE = {
    "name": "Morning report",
    "action": {"type": "webhook", "params": {"url": "https://example.com/hooks/report"}},
    "schedule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
    "timezone": "Europe/Berlin",
    "tags": ["reports"],
}


@post("/events", **writes(EventView, [Conflict], TAKES_KEY, EXAMPLE, also=(200,)), summary="Create an event")
async def create_event(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[NewEvent]
) -> Response[bytes]:
    """With the `key` of an event that exists, that one is edited instead: 200, and only what is given changes."""
    fields = new_fields_of(data, deps.egress, await named(deps.database, calendars_of(data)))
    require_sight(caller, () if isinstance(fields.tags, UnsetType) else fields.tags)
    actor = actor_of(caller, request)
    asked = await keyed(caller, request)
    answer: Answer | None = None
    while answer is None:
        answer = await _create(deps, actor, fields, asked)
    return respond(answer)


@get("/events", **reads(), summary="List events, newest first")
async def list_events(deps: Given[Deps], caller: Given[Caller], wanted: Given[ListEvents]) -> Page[EventView]:
    before = decode_cursor(wanted.cursor, UUID)
    asked = events.Filter(
        any_tags=list(wanted.tags) if wanted.tags and wanted.tags_match == "any" else None,
        all_tags=list(wanted.tags) if wanted.tags and wanted.tags_match == "all" else None,
        statuses=[str(status) for status in wanted.status] if wanted.status else None,
        metadata=_contained(wanted.metadata),
        words=wanted.q,
    )
    async with deps.database.connection() as conn:
        found = await events.page(conn, asked, caller.visible, before, wanted.limit, deps.clock.now())
    return page_until([view_of(event) for event in found.events], wanted.limit, found.after)


@get("/events/{event_id:str}", **reads(EventView), summary="Show an event")
async def get_event(deps: Given[Deps], caller: Given[Caller], event_id: FromPath[str]) -> Response[bytes]:
    wanted = event_id_of(event_id)
    async with deps.database.connection() as conn:
        event = await events.get(conn, wanted, caller.visible, deps.clock.now())
    if event is None:
        raise NotFound(NO_EVENT)
    return respond(edited(event))


@patch("/events/{event_id:str}", **EDITS, summary="Edit an event")
async def edit_event(
    deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str], data: JSONBody[EventEdit]
) -> Response[bytes]:
    """Only what is given changes; null brings back the default."""
    return await _edit(deps, caller, request, event_id, data)


@put("/events/{event_id:str}", **EDITS, summary="Edit an event")
async def put_event(
    deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str], data: JSONBody[EventEdit]
) -> Response[bytes]:
    """The same as PATCH, as in the first Qhronos."""
    return await _edit(deps, caller, request, event_id, data)


@delete("/events/{event_id:str}", **writes(None, [Outdated], TAKES_MATCH), summary="Delete an event")
async def delete_event(deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str]) -> None:
    """What is open is cancelled, what has started finishes, and the history stays until retention takes it."""
    await deps.changes.delete(actor_of(caller, request), event_id_of(event_id), if_match(request))


@post(
    "/events/{event_id:str}/pause",
    **CHANGES,
    status_code=200,
    summary="Pause an event",
)
async def pause_event(
    deps: Given[Deps],
    caller: Given[Caller],
    request: Request,
    event_id: FromPath[str],
    data: JSONBody[Pause] = PLAIN_PAUSE,
) -> Response[bytes]:
    """Nothing of it starts until it is resumed, by request or at `until`."""
    actor = actor_of(caller, request)
    wanted, match = event_id_of(event_id), if_match(request)
    event = await deps.changes.pause(actor, wanted, data.reason, data.until, data.backlog, match)
    return respond(edited(event))


@post(
    "/events/{event_id:str}/resume",
    **CHANGES,
    status_code=200,
    summary="Resume an event",
)
async def resume_event(
    deps: Given[Deps],
    caller: Given[Caller],
    request: Request,
    event_id: FromPath[str],
    data: JSONBody[Resume] = PLAIN_RESUME,
) -> Response[bytes]:
    actor = actor_of(caller, request)
    event = await resume(deps.changes, actor, event_id_of(event_id), data.backlog, if_match(request))
    return respond(edited(event))


@post(
    "/events/{event_id:str}/run",
    **writes(RunView, [Conflict], TAKES_KEY),
    status_code=200,
    summary="Fire an event now",
)
async def run_event(
    deps: Given[Deps],
    caller: Given[Caller],
    request: Request,
    event_id: FromPath[str],
    data: JSONBody[Run] = PLAIN_RUN,
) -> Response[bytes]:
    """Out of band: its schedule goes on as if nothing had been."""
    payload = None if data.payload in (UNSET, None) else bytes(encode_bounded(data.payload, "payload")).decode()

    def render(event: Event, identity: Identity) -> Answer:
        return answer_of(run_view_of(event, identity), 200, event)

    wanted, asked = event_id_of(event_id), await keyed(caller, request)
    return respond(await run(deps.changes, actor_of(caller, request), wanted, payload, asked, render))


@post(
    "/events/{event_id:str}/skip",
    **SKIPS,
    status_code=200,
    summary="Skip one occurrence of an event",
)
async def skip_occurrence(
    deps: Given[Deps],
    caller: Given[Caller],
    request: Request,
    event_id: FromPath[str],
    data: JSONBody[Skip] = PLAIN_SKIP,
) -> Response[bytes]:
    actor = actor_of(caller, request)
    event = await skip(deps.changes, actor, event_id_of(event_id), data.scheduled_at, if_match(request))
    return respond(edited(event))


async def prepare_apart(fields: Fields, deps: Deps) -> Prepared:
    """A hostile rule may use up its whole budget of steps, and others are waiting."""
    given = fields, deps.clock.now(), deps.config.scheduler, os.urandom(RANDOM_BYTES)
    return prepare(*given) if is_quick(fields) else await asyncio.to_thread(prepare, *given)


def creation_of(prepared: Prepared, actor: Actor, asked: Keyed | None) -> Creation:
    event = prepared.event
    details = {"name": event.name, "key": event.key, "tags": list(event.tags)}
    change = actor.did("event.created", event.id, event.created_at, details)
    return Creation(prepared, change, asked, created(prepared))


def edited(event: Event) -> Answer:
    return answer_of(view_of(event), 200, event)


async def _create(deps: Deps, actor: Actor, fields: Fields, asked: Keyed | None) -> Answer | None:
    """None: somebody else has just freed the key that was taken."""
    creation = creation_of(await prepare_apart(fields, deps), actor, asked)
    result = await deps.creator.create(creation)
    if result is Created.DONE:
        return creation.answer
    if result is Created.KEY_TAKEN:
        return await deps.changes.upsert(actor, fields, asked, edited)
    return result


async def _edit(deps: Deps, caller: Caller, request: Request, event_id: str, data: EventEdit) -> Response[bytes]:
    wanted = event_id_of(event_id)
    fields = fields_of(data, deps.egress, await named(deps.database, calendars_of(data)))
    if not isinstance(fields.tags, UnsetType):
        require_sight(caller, fields.tags)
    actor = actor_of(caller, request)
    return respond(edited(await deps.changes.edit(actor, wanted, fields, status_of(data), if_match(request))))


def _contained(metadata: str | None) -> str | None:
    if metadata is None:
        return None
    try:
        wanted = decode(metadata.encode(), dict[str, Any])
    except Refusal as error:
        raise Malformed(f"metadata: expected a JSON object ({error})", field="metadata") from error
    return msgspec.json.encode(wanted).decode()


HANDLERS = [
    create_event,
    list_events,
    get_event,
    edit_event,
    put_event,
    delete_event,
    pause_event,
    resume_event,
    run_event,
    skip_occurrence,
]
