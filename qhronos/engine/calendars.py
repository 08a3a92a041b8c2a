"""Business calendars: names turned into what a recurrence keeps of them, and kept up to date."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from qhronos.core.recurrence import Business, closed_days
from qhronos.core.recurrence.rule import WEEKDAYS
from qhronos.engine.actor import Actor
from qhronos.engine.change import Changes
from qhronos.engine.draft import Fields, recurrence_of
from qhronos.engine.sources import near
from qhronos.errors import Invalid, NotFound, Refusal
from qhronos.log import get_logger
from qhronos.store import Database, calendars
from qhronos.store.calendars import Calendar

MOST = 10_000  # calendars
PAGE = 500  # events that are brought along before more are looked for
USUAL_WEEKEND = ("SA", "SU")

Known: TypeAlias = Mapping[str, Calendar]

log = get_logger()


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
