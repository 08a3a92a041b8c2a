"""Files of events: calendars, crontabs and what an export gave. Dry first, then for good; the second time it edits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos.api.auth import Caller
from qhronos.api.bulk import AT_ONCE, Item, answered, detail_of, field_of, prepare_all
from qhronos.api.deps import Deps, Given
from qhronos.api.events import edited, writes
from qhronos.api.pieces import Import, Piece, take_apart
from qhronos.api.problems import status_of
from qhronos.api.reading import Moment, Request
from qhronos.api.recurrences import RecurrenceView, canonical
from qhronos.api.requests import IDEMPOTENCY_KEY, actor_of
from qhronos.core.recurrence import describe, expand
from qhronos.engine.actor import Actor
from qhronos.engine.calendars import every
from qhronos.engine.draft import merge, recurrence_of
from qhronos.errors import Conflict, Invalid, Malformed, QhronosError, Refusal, TooLarge
from qhronos.store import events
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer

LONGEST = 1024 * 1024  # bytes of a file
MOST = 5_000  # events in one
SHOWN = 3  # instants of each

# What became of one: the event as it is, or would be, and whether it is new.
Fate: TypeAlias = tuple[int, Event] | QhronosError


class ImportResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`status` is what POST /events would have answered, or in a dry run what it would answer."""

    index: int
    status: int
    name: str
    key: str | UnsetType | None = UNSET
    id: Annotated[UUID, Meta(description="Not in a dry run of a new one.")] | UnsetType = UNSET
    words: str | UnsetType = UNSET
    recurrence: RecurrenceView | UnsetType = UNSET
    next: Annotated[list[Moment], Meta(description="The first instants from now on.")] | UnsetType = UNSET
    warnings: tuple[str, ...] = ()
    error: str | UnsetType = UNSET
    field: str | UnsetType | None = UNSET


class ImportView(Struct, frozen=True, kw_only=True):
    results: list[ImportResult]
    dry_run: bool
    created: int
    edited: int
    failed: int
    warnings: tuple[str, ...]


EXAMPLE = {
    "format": "crontab",
    "text": "CRON_TZ=Europe/Berlin\n0 9 * * 1-5 report --all\n",
    "action": {"type": "webhook", "params": {"url": "https://example.com/hooks/cron"}},
    "dry_run": True,
}


@post("/events/import", **writes(None, [Conflict], {}, EXAMPLE), status_code=200, summary="Import a file of events")
async def import_events(
    deps: Given[Deps], caller: Given[Caller], request: Request, data: JSONBody[Import]
) -> ImportView:
    """A calendar (`ics`), a crontab or what an export gave (`json`). Importing a file again edits what it made."""
    _check(data, request)
    pieces = await asyncio.to_thread(take_apart, data, deps.clock.now())
    if len(pieces.items) > MOST:
        raise TooLarge(f"text: {len(pieces.items)} events; up to {MOST} are taken at once", field="text")
    actor = actor_of(caller, request)
    results: list[ImportResult] = []
    seen: set[str] = set()
    for begin in range(0, len(pieces.items), AT_ONCE):
        some = pieces.items[begin : begin + AT_ONCE]
        fates = await _fates(deps, caller, actor, some, seen if data.dry_run else None)
        results += await asyncio.to_thread(_results, begin, some, fates, deps.clock.now(), data.dry_run)
    statuses = [result.status for result in results]
    return ImportView(
        results=results,
        dry_run=data.dry_run,
        created=statuses.count(201),
        edited=statuses.count(200),
        failed=sum(status >= 400 for status in statuses),
        warnings=pieces.warnings,
    )


def _check(data: Import, request: Request) -> None:
    if IDEMPOTENCY_KEY in request.headers:
        raise Malformed("importing again edits what was there; no key is needed", field=IDEMPOTENCY_KEY)
    if len(data.text.encode()) > LONGEST:
        raise TooLarge(f"text: longer than {LONGEST // 1024} KiB", field="text")
    if data.format != "json" and data.action is UNSET:
        raise Invalid(f"action: a {data.format} file does not say what is to happen; give one", field="action")


async def _fates(deps: Deps, caller: Caller, actor: Actor, some: Sequence[Piece], seen: set[str] | None) -> list[Fate]:
    """`seen` holds the keys of a dry run."""
    bodies = [msgspec.Raw(msgspec.json.encode(piece.body)) for piece in some if piece.problem is None]
    judged = iter(await asyncio.to_thread(prepare_all, deps, caller, actor, bodies, await every(deps.database)))
    items = [next(judged) if piece.problem is None else Invalid(piece.problem) for piece in some]
    good = [item for item in items if isinstance(item, Item)]
    fates = iter(await _write(deps, actor, good) if seen is None else await _foresee(deps, actor, good, seen))
    return [item if isinstance(item, Refusal) else next(fates) for item in items]


async def _write(deps: Deps, actor: Actor, items: Sequence[Item]) -> list[Fate]:
    outcomes = await deps.creator.create_many([item.creation for item in items])
    fates: list[Fate] = []
    for item, outcome in zip(items, outcomes, strict=True):
        became = [item.creation.prepared.event]

        def render(event: Event, became: list[Event] = became) -> Answer:
            became.append(event)
            return edited(event)

        try:
            answer = await answered(deps, actor, item, outcome, render)
        except QhronosError as error:
            fates.append(error)
        else:
            fates.append((answer.status, became[-1]))
    return fates


async def _foresee(deps: Deps, actor: Actor, items: Sequence[Item], seen: set[str]) -> list[Fate]:
    """What `_write` would do."""
    keys = [key for item in items if (key := item.creation.prepared.event.key)]
    async with deps.database.connection() as conn:
        there = await events.find_keys(conn, keys, actor.scope)
        now = deps.clock.now()
        live = await events.get_many(conn, [event_id for event_id, _ in there.values()], actor.scope, now)
    held = {key: live.get(event_id) for key, (event_id, _) in there.items()}
    least = deps.config.scheduler.min_period

    def edited(event: Event, item: Item) -> Event:
        return merge(event, item.fields, now, least)[0]

    return await asyncio.to_thread(lambda: [_foreseen(item, held, seen, edited) for item in items])


def _foreseen(
    item: Item, held: Mapping[str, Event | None], seen: set[str], edited: Callable[[Event, Item], Event]
) -> Fate:
    event = item.creation.prepared.event
    before = held.get(event.key) if event.key else None
    if event.key in held and before is None:
        return Conflict("another event has this key", field="key")
    again = before is not None or event.key in seen
    seen |= {event.key} if event.key else set()
    try:
        return (200 if again else 201, edited(before, item) if before else event)
    except Refusal as error:
        return error


def _results(
    begin: int,
    pieces: Sequence[Piece],
    fates: Sequence[Fate],
    now: datetime,
    dry_run: bool,  # noqa: FBT001
) -> list[ImportResult]:
    pairs = zip(pieces, fates, strict=True)
    return [_result(index, piece, fate, now, dry_run=dry_run) for index, (piece, fate) in enumerate(pairs, begin)]


def _result(index: int, piece: Piece, fate: Fate, now: datetime, *, dry_run: bool) -> ImportResult:
    if isinstance(fate, QhronosError):
        return ImportResult(
            index=index,
            status=status_of(fate),
            name=piece.name,
            warnings=piece.warnings,
            error=detail_of(fate),
            field=field_of(fate),
        )
    status, event = fate
    recurrence = recurrence_of(event)
    return ImportResult(
        index=index,
        status=status,
        name=event.name,
        key=event.key,
        id=UNSET if dry_run and status == 201 else event.id,
        words=describe(recurrence),
        recurrence=canonical(recurrence),
        next=[instant.at for instant in expand(recurrence, now, None, SHOWN).instants],
        warnings=piece.warnings,
    )


HANDLERS = [import_events]
