"""Everything that a token sees, as a file: the bodies that would create it anew, or a calendar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.response import Stream
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.event_body import Tag
from qhronos.core.event import EventStatus, delay
from qhronos.core.feed import Changed, Entry, calendar
from qhronos.core.recurrence import restated, start
from qhronos.core.recurrence.lines import to_event
from qhronos.engine.draft import policies_of, recurrence_of
from qhronos.errors import TooLarge
from qhronos.store import changes, events
from qhronos.store.events import Event, Filter

AT_ONCE = 200
MOST = 5_000  # events of a calendar, which is made as a whole
HORIZON = timedelta(days=366)
ICS = "text/calendar; charset=utf-8"


class ExportEvents(Struct, frozen=True, kw_only=True):
    format: Literal["json", "ics"] = "json"
    tags: tuple[Tag, ...] | None = None
    tags_match: Literal["any", "all"] = "any"
    status: Annotated[tuple[EventStatus, ...], Meta(description="Left out: all but deleted ones.")] | None = None


class Exported(Struct, frozen=True):
    events: Annotated[list[dict[str, Any]], Meta(description="As in POST /events, without secrets.")]


EXPORT = needs(Access.READ, TooLarge, answer=Exported, texts=("text/calendar",))


@get("/events/export", opt=EXPORT, tags=["events"], summary="Export events")
async def export_events(deps: Given[Deps], caller: Given[Caller], wanted: Given[ExportEvents]) -> Response[Any]:
    """JSON that POST /events/import takes, or a calendar (`format=ics`, `text/calendar`)."""
    statuses = [str(status) for status in wanted.status] if wanted.status else None
    tags = list(wanted.tags) if wanted.tags else None
    asked = Filter(any_tags=tags, statuses=statuses)
    if wanted.tags_match == "all":
        asked = Filter(all_tags=tags, statuses=statuses)
    if wanted.format == "json":
        return Stream(_bodies(deps, asked, caller.visible), media_type="application/json")
    entries = await entries_of(deps, asked, caller.visible)
    if len(entries) > MOST:
        raise TooLarge(f"a calendar holds {MOST} events at most; narrow it by tags, or take format=json")
    content = await asyncio.to_thread(calendar, "Qhronos", entries, deps.clock.now(), HORIZON)
    return Response(content, headers={"Content-Type": ICS})


async def entries_of(deps: Deps, asked: Filter, scope: list[str] | None) -> list[Entry]:
    """Newest first, and one more than MOST if there are more."""
    entries: list[Entry] = []
    today = datetime.combine(deps.clock.now().astimezone(UTC), time.min, UTC)
    async for some in _pages(deps, asked, scope):
        async with deps.database.connection() as conn:
            changed = await changes.list_changed(conn, [event.id for event in some], today)
        entries += [entry_of(event, changed.get(event.id, ())) for event in some]
        if len(entries) > MOST:
            return entries[: MOST + 1]
    return entries


def entry_of(event: Event, changed: Iterable[tuple[datetime, datetime | None]] = ()) -> Entry:
    return Entry(
        uid=event.key or str(event.id),
        name=event.name,
        description=event.description,
        recurrence=recurrence_of(event),
        later=_later(event),
        tags=tuple(event.tags),
        status=event.status,
        sequence=event.version - 1,
        created_at=event.created_at,
        updated_at=event.updated_at,
        changed=tuple(Changed(*one) for one in changed),
    )


def _later(event: Event) -> Callable[[datetime], timedelta] | None:
    policies = policies_of(event)
    return partial(delay, policies, event.id) if policies.flex_window or policies.jitter else None


async def _bodies(deps: Deps, asked: Filter, scope: list[str] | None) -> AsyncIterator[bytes]:
    """A page at a time, so that it costs no more memory than that."""
    yield b'{"events": ['
    between = b"\n"
    async for some in _pages(deps, asked, scope):
        for event in some:
            yield between + msgspec.json.encode(body_of(event))
            between = b",\n"
    yield b"\n]}\n"


def body_of(event: Event) -> dict[str, Any]:
    """What would create the event anew. One without a key gets its id for one, so that importing twice makes it once."""
    recurrence, policies = recurrence_of(event), policies_of(event)
    if recurrence.vtimezone or recurrence.exrule:
        when: dict[str, Any] = {"schedule": to_event(recurrence)}
    else:
        when = {
            "schedule": restated(recurrence),
            "start_time": start(recurrence),
            "timezone": recurrence.timezone,
        }
    return {
        "name": event.name,
        "key": event.key or str(event.id),
        "description": event.description,
        **when,
        "dst": recurrence.dst,
        "subdaily": recurrence.subdaily,
        "calendars": recurrence.business.calendars if recurrence.business else None,
        "roll": recurrence.business.roll if recurrence.business else None,
        "action": event.action,
        "metadata": event.metadata,
        "tags": list(event.tags),
        **{name: getattr(policies, name) for name in policies.__struct_fields__},
    }


async def _pages(deps: Deps, asked: Filter, scope: list[str] | None) -> AsyncIterator[list[Event]]:
    before: UUID | None = None
    while True:
        async with deps.database.connection() as conn:
            found = await events.page(conn, asked, scope, before, AT_ONCE, deps.clock.now())
        yield found.events
        before = found.after
        if before is None:
            return


HANDLERS = [export_events]
