"""A calendar file as the days that it closes: of every event in it, each day that an instance touches, in its own zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from qhronos.core.recurrence.expansion import STEPS, spend
from qhronos.core.recurrence.imported import LONG_AGO, Imported, split
from qhronos.core.recurrence.model import Recurrence
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.schedule import parse
from qhronos.core.recurrence.vevents import Lengths, duration_of, lengths
from qhronos.errors import Invalid

FIELD = "ics"
DAY = timedelta(days=1)
PAGE = 1_000  # instances
MOST_STEPS = 20 * STEPS  # of a whole file: a second
LONGEST = timedelta(days=3660)
LEAST_REST, LONGEST_REST = timedelta(hours=1), timedelta(days=7)
AGAIN = re.compile(r"^(?:REFRESH-INTERVAL|X-PUBLISHED-TTL)(?:;[^:\n]*)?:(.{2,40})$", re.MULTILINE | re.IGNORECASE)


class Closures(NamedTuple):
    """`known_until`: of later dates the file says nothing. `again`: how often it wants to be read, if it says so."""

    dates: tuple[date, ...]
    known_until: date
    again: timedelta | None


def closures(text: str | bytes, since: date, until: date) -> Closures:
    """What a file closes from `since` until before `until`. Raises Invalid: a day must not be open because it was not
    understood."""
    try:
        items = split(text)
    except Invalid as refusal:
        raise Invalid(f"{FIELD}: {refusal}", field=FIELD) from refusal
    found: set[date] = set()
    goes_on, events = False, 0
    steps = Steps(MOST_STEPS)
    for item in items:
        if item.problem is not None:
            raise Invalid(f"{FIELD}: {item.name!r}: {item.problem}", field=FIELD)
        if item.schedule:
            events += 1
            goes_on |= _close(item, since, until, steps, found)
    if not events:
        raise Invalid(f"{FIELD}: there is no event in it", field=FIELD)
    dates = tuple(sorted(found))
    last = until - DAY if goes_on else max((since - DAY, *dates))
    return Closures(dates, date(last.year, 12, 31), _again(text))


def _close(item: Imported, since: date, until: date, steps: Steps, found: set[date]) -> bool:
    """Add the days of one event. Whether it goes on after `until`."""
    recurrence = parse(item.schedule, now=_midnight(since))
    takes = _lengths(item)
    # Instances that began before and last until into the window count, as do those of zones ahead of UTC and behind it.
    begins, ends = _midnight(since) - max((takes.usual, *takes.others.values())) - DAY, _midnight(until) + DAY
    walls, ended = _walls(recurrence, begins, ends, steps)
    if steps.left <= 0:
        raise Invalid(f"{FIELD}: {item.name!r}: more instances than can be looked at", field=FIELD)
    for wall in walls:
        last = max(wall, wall + takes.of(wall) - timedelta.resolution).date()
        day = max(wall.date(), since)
        while day <= last and day < until:
            found.add(day)
            day += DAY
    return not ended


def _lengths(item: Imported) -> Lengths:
    assert item.parts is not None  # noqa: S101 - it has a schedule
    try:
        found = lengths(*item.parts, now=LONG_AGO)
    except Invalid as refusal:
        raise Invalid(f"{FIELD}: {item.name!r}: {refusal}", field=FIELD) from refusal
    if max((found.usual, *found.others.values())) > LONGEST:
        raise Invalid(f"{FIELD}: {item.name!r}: lasts longer than {LONGEST.days} days", field=FIELD)
    return found


def _walls(recurrence: Recurrence, since: datetime, until: datetime, steps: Steps) -> tuple[list[datetime], bool]:
    """The local times of instances as far as the steps go, and whether there is none after the window."""
    found: list[datetime] = []
    while True:
        part = spend(steps, recurrence, since, until, PAGE)
        found += [one.wall for one in part.instants]
        if part.complete or steps.left <= 0:
            return found, part.ended
        since = part.covered


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _again(text: str | bytes) -> timedelta | None:
    found = AGAIN.search(text if isinstance(text, str) else text.decode("utf-8", "replace"))
    try:
        return min(max(duration_of(found[1]), LEAST_REST), LONGEST_REST) if found else None
    except Invalid:
        return None  # a wish that is not understood is not followed
