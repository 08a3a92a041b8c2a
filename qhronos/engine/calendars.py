"""Business calendars: a source turned into dates, and names into what a recurrence keeps of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple, TypeAlias

from qhronos.core.recurrence import Business, closed_days
from qhronos.core.recurrence.rule import WEEKDAYS
from qhronos.engine.actor import Actor
from qhronos.engine.change import Changes
from qhronos.engine.draft import Fields, recurrence_of
from qhronos.errors import Invalid, NotFound, Refusal
from qhronos.log import get_logger
from qhronos.store import Database, calendars
from qhronos.store.calendars import Calendar

BACK, AHEAD = 1, 10  # years for which a country's dates are made
MOST = 10_000  # calendars
PAGE = 500  # events that are brought along before more are looked for
USUAL_WEEKEND = ("SA", "SU")

Known: TypeAlias = Mapping[str, Calendar]

log = get_logger()


class Content(NamedTuple):
    dates: tuple[date, ...]
    known_until: date


def of_dates(dates: Iterable[date]) -> Content:
    """Known to the end of the last year that is named; if none is, for ever."""
    listed = tuple(sorted(set(dates)))
    return Content(listed, date(listed[-1].year, 12, 31) if listed else date.max)


def of_country(country: str, subdivision: str | None, now: datetime) -> Content:
    """The public holidays. Raises Invalid with near names for what is not known."""
    import holidays  # noqa: PLC0415 - big, and most installations never ask

    places = holidays.list_supported_countries()
    _refuse_unknown("country", country, places)
    if subdivision is not None:
        _refuse_unknown("subdivision", subdivision, places[country])
    last = now.year + AHEAD
    found = holidays.country_holidays(country, subdiv=subdivision, years=range(now.year - BACK, last + 1))
    return Content(tuple(sorted(found)), date(last, 12, 31))


def _refuse_unknown(field: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise Invalid(f"{field}: there is no {given}{near(given, known)}", field=field)


def near(given: str, known: Collection[str]) -> str:
    """The names that may have been meant."""
    spelt = {name.casefold(): name for name in known}
    found = [spelt[name] for name in difflib.get_close_matches(given.casefold(), spelt, n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(found)}?" if found else ""


async def named(database: Database, names: Collection[str]) -> dict[str, Calendar]:
    """The calendars with these names. Raises Invalid with near names if one is missing."""
    if not names:
        return {}
    async with database.connection() as conn:
        found = await calendars.find(conn, names)
        missing = [name for name in names if name not in found]
        if missing:
            there = await calendars.names(conn)
            raise Invalid(f"calendars: there is no {missing[0]}{near(missing[0], there)}", field="calendars")
    return found


async def every(database: Database) -> dict[str, Calendar]:
    """All calendars, for many events at once."""
    async with database.connection() as conn:
        return {calendar.name: calendar for calendar in await calendars.page(conn, None, MOST)}


def snapshot(names: Sequence[str], known: Known) -> Business | None:
    """What the named calendars say, all of them together. Raises Invalid for one that is not known."""
    if not names:
        return None
    for name in names:
        if name not in known:
            raise Invalid(f"calendars: there is no {name}{near(name, known)}", field="calendars")
    chosen = [known[name] for name in dict.fromkeys(names)]
    weekend = {day for calendar in chosen for day in calendar.weekend}
    if len(weekend) == len(WEEKDAYS):
        raise Invalid("calendars: together they close all seven days of the week", field="calendars")
    return Business(
        calendars=tuple(calendar.name for calendar in chosen),
        known_until=min(calendar.known_until for calendar in chosen),
        closed=closed_days(day for calendar in chosen for day in calendar.dates),
        weekend=tuple(day for day in WEEKDAYS if day in weekend),
    )


async def bring_along(machinery: Changes, actor: Actor, name: str) -> int:
    """Give each event that fires by the calendar what it says now; how many changed.

    Each in a transaction of its own: one that refuses is logged and keeps what it had. What is cut short is done by doing
    it again, as events that are up to date are left alone.
    """
    actor = actor._replace(scope=None)  # a calendar moves events of everybody
    changed, after = 0, None
    while True:
        async with machinery.stores.database.connection() as conn:
            users = await calendars.users(conn, name, after, PAGE)
        for user in users:
            if user.status in ("active", "paused"):
                changed += await _bring(machinery, actor, user)
        if len(users) < PAGE:
            return changed
        after = users[-1].id


async def _bring(machinery: Changes, actor: Actor, user: calendars.User) -> bool:
    try:
        async with machinery.change(actor, user.id, None) as change:
            before = recurrence_of(change.event).business
            if before is None:
                return False
            after = snapshot(before.calendars, await calendars.find(change.conn, before.calendars))
            if after is None or _same(before, after):
                return False
            await machinery.apply(change, Fields(business=after))
    except NotFound:
        return False
    except Refusal as error:
        log.warning("calendar.refused", event_id=str(user.id), error=str(error))
        return False
    return True


def _same(one: Business, other: Business) -> bool:
    return (one.closed, one.weekend, one.known_until) == (other.closed, other.weekend, other.known_until)
