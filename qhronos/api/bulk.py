"""Many events in one request. Each is judged by itself, unless all or none is asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import msgspec
from litestar import Response, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos.api.auth import Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import NewEvent, new_fields_of
from qhronos.api.event_view import view_of
from qhronos.api.events import EXAMPLE, creation_of, edited, writes
from qhronos.api.problems import status_of
from qhronos.api.reading import Request, decode
from qhronos.api.requests import IDEMPOTENCY_KEY, actor_of, require_sight
from qhronos.core.ids import RANDOM_BYTES
from qhronos.engine.actor import Actor
from qhronos.engine.bulk import create_together
from qhronos.engine.calendars import Known, every
from qhronos.engine.create import Created, Creation, Result
from qhronos.engine.draft import Fields, prepare
from qhronos.errors import Conflict, Invalid, Malformed, QhronosError, Refusal, Unavailable
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer

MOST = 10_000
AT_ONCE = 500  # prepared, and committed, together


class Bulk(Struct, frozen=True, forbid_unknown_fields=True):
    events: Annotated[
        tuple[msgspec.Raw, ...],
        Meta(
            min_length=1,
            max_length=MOST,
            description="As in POST /events.",
            extra_json_schema={"items": {"$ref": "#/components/schemas/NewEvent"}},
        ),
    ]
    atomic: Annotated[bool, Meta(description="All or none.")] = False


class BulkResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one: the status that POST /events would have had, and the event or the error."""

    index: int
    status: int
    event: msgspec.Raw | UnsetType = UNSET
    error: str | UnsetType = UNSET
    field: str | UnsetType | None = UNSET


class BulkView(Struct, frozen=True, kw_only=True):
    results: list[BulkResult]
    created: int
    failed: int


class Item(NamedTuple):
    fields: Fields
    creation: Creation


@post(
    "/events/bulk",
    **writes(BulkView, [Conflict], {}, {"events": [EXAMPLE]}),
    status_code=200,
    summary="Create many events",
)
async def create_events(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[Bulk]
) -> Response[bytes]:
    """One with the `key` of an event that exists edits that one. With `atomic` the first refusal refuses all."""
    if IDEMPOTENCY_KEY in request.headers:
        raise Malformed("give each event a `key` instead: then it is created once", field=IDEMPOTENCY_KEY)
    actor = actor_of(caller, request)
    results: list[BulkResult] = []
    if data.atomic:
        results = await _all_or_none(deps, caller, actor, data.events)
    else:
        for begin in range(0, len(data.events), AT_ONCE):
            some = data.events[begin : begin + AT_ONCE]
            results += await _each(deps, caller, actor, some, begin)
    failed = sum(result.status >= 400 for result in results)
    view = BulkView(results=results, created=sum(result.status == 201 for result in results), failed=failed)
    return Response(await asyncio.to_thread(msgspec.json.encode, view), media_type="application/json", status_code=200)


async def _each(deps: Deps, caller: Caller, actor: Actor, some: Sequence[msgspec.Raw], begin: int) -> list[BulkResult]:
    known = await every(deps.database)
    items = await asyncio.to_thread(prepare_all, deps, caller, actor, some, known)
    good = [item for item in items if isinstance(item, Item)]
    outcomes = iter(await deps.creator.create_many([item.creation for item in good]))
    results: list[BulkResult] = []
    for index, item in enumerate(items, begin):
        if isinstance(item, Refusal):
            results.append(_failed(index, item))
        else:
            results.append(await _result(deps, actor, index, item, next(outcomes)))
    return results


async def _result(deps: Deps, actor: Actor, index: int, item: Item, outcome: Result) -> BulkResult:
    try:
        answer = await answered(deps, actor, item, outcome, edited)
    except QhronosError as error:
        return _failed(index, error)
    return BulkResult(index=index, status=answer.status, event=msgspec.Raw(answer.body))


async def answered(deps: Deps, actor: Actor, item: Item, outcome: Result, render: Callable[[Event], Answer]) -> Answer:
    """What POST /events would have answered, after an edit if the key was taken. Raises what refuses this one."""
    if isinstance(outcome, QhronosError):
        raise outcome
    answer = item.creation.answer if outcome is Created.DONE else outcome
    if outcome is Created.KEY_TAKEN:
        answer = await deps.changes.upsert(actor, item.fields, None, render)
    if isinstance(answer, Answer):
        return answer
    raise Conflict("another request has just deleted the event with this key", field="key")


async def _all_or_none(deps: Deps, caller: Caller, actor: Actor, raw: Sequence[msgspec.Raw]) -> list[BulkResult]:
    items: list[Item] = []
    known = await every(deps.database)
    for begin in range(0, len(raw), AT_ONCE):
        for item in await asyncio.to_thread(prepare_all, deps, caller, actor, raw[begin : begin + AT_ONCE], known):
            if isinstance(item, Refusal):
                raise _placed(item, len(items))
            items.append(item)
    said = [item.fields for item in items]
    edits = await create_together(deps.changes, actor, [item.creation for item in items], said)
    return [
        BulkResult(index=index, status=200, event=msgspec.Raw(msgspec.json.encode(view_of(event))))
        if event
        else _made(index, item.creation)
        for index, (item, event) in enumerate(zip(items, edits, strict=True))
    ]


def prepare_all(
    deps: Deps, caller: Caller, actor: Actor, some: Sequence[msgspec.Raw], known: Known
) -> list[Item | Refusal]:
    """In a thread: this is all computation, and others are waiting."""
    randomness = os.urandom(RANDOM_BYTES * len(some))  # asking for it costs more than what one asks for
    shares = (randomness[begin : begin + RANDOM_BYTES] for begin in range(0, len(randomness), RANDOM_BYTES))
    return [_prepare(deps, caller, actor, raw, known, share) for raw, share in zip(some, shares, strict=True)]


def _prepare(
    deps: Deps, caller: Caller, actor: Actor, raw: msgspec.Raw, known: Known, randomness: bytes
) -> Item | Refusal:
    try:
        fields = new_fields_of(decode(bytes(raw), NewEvent), deps.egress, known)
        require_sight(caller, () if isinstance(fields.tags, UnsetType) else fields.tags)
        prepared = prepare(fields, deps.clock.now(), deps.config.scheduler, randomness)
    except Refusal as error:
        return error
    return Item(fields, creation_of(prepared, actor, None))


def _made(index: int, creation: Creation) -> BulkResult:
    body = creation.answer.body if creation.answer else b"null"
    return BulkResult(index=index, status=201, event=msgspec.Raw(body))


def _failed(index: int, error: QhronosError) -> BulkResult:
    return BulkResult(index=index, status=status_of(error), error=detail_of(error), field=field_of(error))


def detail_of(error: QhronosError) -> str:
    return f"{error.what} is unavailable; try again" if isinstance(error, Unavailable) else str(error)


def field_of(error: QhronosError) -> str | None:
    return error.field if isinstance(error, Refusal) else None


def _placed(error: Refusal, index: int) -> Invalid:
    field = f"events[{index}]" + (f".{error.field}" if error.field else "")
    return Invalid(f"events[{index}]: {error}", field=field)


HANDLERS = [create_events]
