"""Business calendars: days on which the events that name them do not happen."""

from __future__ import annotations

import asyncio
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment, Request
from qhronos.api.requests import actor_of
from qhronos.core.recurrence.rule import WEEKDAYS
from qhronos.engine.calendars import USUAL_WEEKEND, Content, bring_along, of_country, of_dates
from qhronos.errors import Conflict, Invalid, NotFound
from qhronos.store import audit, calendars
from qhronos.store.calendars import Calendar

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
NO_CALENDAR = "no such calendar"
SHOWN = 5  # events named by what refuses because of them

Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
Code = Annotated[str, Meta(min_length=1, max_length=50)]


class CalendarBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `dates` or `country`."""

    dates: Annotated[tuple[date, ...], Meta(max_length=5_000, description="Days that are closed.")] | None = None
    country: Annotated[Code, Meta(description="Its public holidays: ISO 3166, such as DE.")] | None = None
    subdivision: Annotated[Code, Meta(description="Of the country, such as BY.")] | None = None
    weekend: (
        Annotated[
            tuple[Weekday, ...],
            Meta(description="Weekdays that are closed. Left out: SA and SU for a country, otherwise none."),
        ]
        | None
    ) = None


class CalendarView(Struct, frozen=True, kw_only=True):
    name: str
    country: str | None
    subdivision: str | None
    weekend: tuple[str, ...]
    closed: Annotated[int, Meta(description="How many dates are closed.")]
    known_until: Annotated[date, Meta(description="Of later dates it says nothing: they count as open.")]
    created_at: Moment
    updated_at: Moment


class WholeCalendar(CalendarView, frozen=True, kw_only=True):
    dates: tuple[date, ...]


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing said: the dates were given one by one."""

    country: str | None = None
    subdivision: str | None = None


READS: dict[str, Any] = {"opt": needs(Access.READ), "tags": ["calendars"]}
PUTS: dict[str, Any] = {
    "opt": needs(Access.ADMIN, example={"country": "DE", "subdivision": "BY"}),
    "tags": ["calendars"],
}
DELETES: dict[str, Any] = {"opt": needs(Access.ADMIN, Conflict), "tags": ["calendars"]}


@put("/calendars/{calendar:str}", **PUTS, summary="Make or replace a calendar")
async def put_calendar(
    deps: Given[Deps], caller: Given[Caller], request: Request, calendar: FromPath[str], data: JSONBody[CalendarBody]
) -> WholeCalendar:
    """Events that name it are expanded anew by what it says now."""
    if not NAME.fullmatch(calendar):
        raise Invalid("name: up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", field="name")
    now, actor = deps.clock.now(), actor_of(caller, request)
    content = await asyncio.to_thread(_content, data, now)
    weekend = _weekend(data)
    source = Source(country=data.country, subdivision=data.subdivision)
    details = {"source": source, "weekend": weekend, "closed": len(content.dates)}
    async with deps.database.transaction() as conn:
        made = await calendars.put(
            conn, calendar, msgspec.json.encode(source).decode(), weekend, content.dates, content.known_until, now
        )
        await audit.record(conn, actor.did("calendar.put", calendar, now, details))
    await bring_along(deps.changes, actor, calendar)
    return _whole(made)


@get("/calendars", **READS, summary="List calendars, by name")
async def list_calendars(deps: Given[Deps], wanted: Given[Paging]) -> Page[CalendarView]:
    async with deps.database.connection() as conn:
        rows = await calendars.page(conn, decode_cursor(wanted.cursor, str), wanted.limit + 1)
    return page_of([CalendarView(**_sides(row)) for row in rows], wanted.limit, lambda view: view.name)


@get("/calendars/{calendar:str}", **READS, summary="Show a calendar with its dates")
async def get_calendar(deps: Given[Deps], calendar: FromPath[str]) -> WholeCalendar:
    async with deps.database.connection() as conn:
        found = await calendars.find(conn, [calendar])
    if calendar not in found:
        raise NotFound(NO_CALENDAR)
    return _whole(found[calendar])


@delete("/calendars/{calendar:str}", **DELETES, summary="Delete a calendar")
async def delete_calendar(deps: Given[Deps], caller: Given[Caller], request: Request, calendar: FromPath[str]) -> None:
    """Refused while an event names it."""
    async with deps.database.transaction() as conn:
        if not await calendars.lock(conn, calendar):
            raise NotFound(NO_CALENDAR)
        users = await calendars.users(conn, calendar, None, SHOWN)
        if users:
            listed = ", ".join(f"{user.name} ({user.id})" for user in users)
            raise Conflict(f"events use this calendar: {listed}{', …' if len(users) == SHOWN else ''}")
        await calendars.delete(conn, calendar)
        await audit.record(conn, actor_of(caller, request).did("calendar.deleted", calendar, deps.clock.now(), {}))


def _content(data: CalendarBody, now: datetime) -> Content:
    if (data.dates is None) == (data.country is None):
        raise Invalid("dates: give either dates or country", field="dates")
    if data.country is not None:
        return of_country(data.country, data.subdivision, now)
    if data.subdivision is not None:
        raise Invalid("subdivision: goes with a country", field="subdivision")
    return of_dates(data.dates or ())


def _weekend(data: CalendarBody) -> list[str]:
    usual = USUAL_WEEKEND if data.country else ()
    given = usual if data.weekend is None else data.weekend
    if len(set(given)) == len(WEEKDAYS):
        raise Invalid("weekend: closes all seven days; nothing would ever happen", field="weekend")
    return [day for day in WEEKDAYS if day in given]


def _sides(calendar: Calendar) -> dict[str, Any]:
    source = msgspec.json.decode(calendar.source, type=Source)
    return {
        "name": calendar.name,
        "country": source.country,
        "subdivision": source.subdivision,
        "weekend": tuple(calendar.weekend),
        "closed": len(calendar.dates),
        "known_until": calendar.known_until,
        "created_at": calendar.created_at,
        "updated_at": calendar.updated_at,
    }


def _whole(calendar: Calendar) -> WholeCalendar:
    return WholeCalendar(**_sides(calendar), dates=tuple(calendar.dates))


HANDLERS = [put_calendar, list_calendars, get_calendar, delete_calendar]
