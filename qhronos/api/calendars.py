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
from qhronos.core.recurrence.imported import MOST_BYTES
from qhronos.core.recurrence.rule import WEEKDAYS
from qhronos.engine.calendars import USUAL_WEEKEND, bring_along
from qhronos.engine.sources import Source, of_country, of_dates, of_file, of_url
from qhronos.errors import Conflict, Invalid, NotFound, Unreachable
from qhronos.http.guard import vet_url
from qhronos.store import audit, calendars
from qhronos.store.calendars import Calendar, Content

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
NO_CALENDAR = "no such calendar"
SHOWN = 5  # events named by what refuses because of them

Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
Code = Annotated[str, Meta(min_length=1, max_length=50)]


class CalendarBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `dates`, `country`, `ics` and `url`."""

    dates: Annotated[tuple[date, ...], Meta(max_length=5_000, description="Days that are closed.")] | None = None
    country: Annotated[Code, Meta(description="Its public holidays: ISO 3166, such as DE.")] | None = None
    subdivision: Annotated[Code, Meta(description="Of the country, such as BY.")] | None = None
    ics: Annotated[str, Meta(min_length=1, max_length=MOST_BYTES, description="A calendar file.")] | None = None
    url: Annotated[str, Meta(min_length=1, description="Of a calendar file, which is read again daily.")] | None = None
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
    url: Annotated[str | None, Meta(description="Without its path, which may be a secret.")]
    weekend: tuple[str, ...]
    closed: Annotated[int, Meta(description="How many dates are closed.")]
    known_until: Annotated[date, Meta(description="Of later dates it says nothing: they count as open.")]
    fetched_at: Annotated[Moment | None, Meta(description="When the holidays or the file were read last.")]
    next_fetch_at: Annotated[Moment | None, Meta(description="Null: it stays as it is.")]
    error: Annotated[str | None, Meta(description="Why it could not be read. What it said before stays in force.")]
    created_at: Moment
    updated_at: Moment


class WholeCalendar(CalendarView, frozen=True, kw_only=True):
    dates: tuple[date, ...]


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
    weekend = _weekend(data)
    content = await _content(deps, data, now)
    source = Source(country=data.country, subdivision=data.subdivision, ics=data.ics is not None, url=data.url)
    shown = msgspec.structs.replace(source, url=source.shown_url)
    details = {"source": shown, "weekend": weekend, "closed": len(content.dates)}
    async with deps.database.transaction() as conn:
        made = await calendars.put(
            conn, calendar, msgspec.json.encode(source).decode(), weekend, content, deps.clock.now()
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


async def _content(deps: Deps, data: CalendarBody, now: datetime) -> Content:
    if sum(said is not None for said in (data.dates, data.country, data.ics, data.url)) != 1:
        raise Invalid("dates: give one of dates, country, ics and url", field="dates")
    if data.subdivision is not None and data.country is None:
        raise Invalid("subdivision: goes with a country", field="subdivision")
    if data.url is not None:
        return await _fetched(deps, data.url, now)
    if data.country is not None:
        return await asyncio.to_thread(of_country, data.country, data.subdivision, now)
    if data.ics is not None:
        return await asyncio.to_thread(of_file, data.ics, now)
    return of_dates(data.dates or ())


async def _fetched(deps: Deps, url: str, now: datetime) -> Content:
    vet_url(url, deps.egress, "url")
    try:
        return await of_url(deps.http, url, now)
    except Unreachable as error:
        raise Invalid(f"url: {error}", field="url") from error
    except Invalid as error:
        raise Invalid(f"url: {error}" if error.field != "url" else str(error), field="url") from error


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
        "url": source.shown_url,
        "weekend": tuple(calendar.weekend),
        "closed": len(calendar.dates),
        "known_until": calendar.known_until,
        "fetched_at": calendar.fetched_at,
        "next_fetch_at": calendar.next_fetch_at,
        "error": calendar.error,
        "created_at": calendar.created_at,
        "updated_at": calendar.updated_at,
    }


def _whole(calendar: Calendar) -> WholeCalendar:
    return WholeCalendar(**_sides(calendar), dates=tuple(calendar.dates))


HANDLERS = [put_calendar, list_calendars, get_calendar, delete_calendar]
