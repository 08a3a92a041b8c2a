"""Business calendars: what falls on a closed day is left out, or rolls to an open one.

A layer over what the rules give, after EXDATE and COUNT. An instant belongs to the local date of its wall time; rolled, it
keeps its time of day and is looked up in the zone anew. A rolled instant may come before DTSTART. No roll is longer than
LONGEST_ROLL days: where no day that near is open, the instant is left out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import TypeAlias

from qhronos.core.recurrence.days import date_of, day_of
from qhronos.core.recurrence.model import Business, Mark, Recurrence, Roll
from qhronos.core.recurrence.moments import NEVER, NO_MORE, Moment
from qhronos.core.recurrence.rule import WEEKDAYS, Freq, from_text
from qhronos.core.recurrence.series import completed
from qhronos.core.recurrence.zones import DAY, FIRST, LAST, Face
from qhronos.errors import Invalid

LONGEST_ROLL = 366  # days
# What may have to be looked at to move one day's instants must fit into one pass, over the longest roll there is.
MOST_TIMES = 24  # of a day
FIRST_DAY, LAST_DAY = FIRST // DAY, LAST // DAY

Given: TypeAlias = Callable[[int, int], Iterator[Moment]]  # window → what the rules give
Resolve: TypeAlias = Callable[[int], Iterable[tuple[int, Mark]]]  # wall time → instants


def closed_days(days: Iterable[date]) -> tuple[str, ...]:
    """As `Business` writes them: in order, each once, neighbours as one run `2026-12-24/2026-12-26`."""
    runs: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if runs and day - runs[-1][1] == timedelta(days=1):
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return tuple(f"{first}/{last}" if first < last else f"{first}" for first, last in runs)


def refuse_what_cannot_roll(recurrence: Recurrence) -> None:
    """Invalid, for what moves by less than days or by too many at once."""
    business = recurrence.business
    if business is None or business.roll is Roll.SKIP:
        return
    if recurrence.exrule:
        raise Invalid("roll: does not go with EXRULE; use roll=skip, or name the dates in EXDATE", field="roll")
    rules = [from_text(text) for text in recurrence.rrule]
    for rule in rules:
        if rule.freq >= Freq.HOURLY:
            raise Invalid(
                f"roll: FREQ={rule.freq.name} does not roll; use roll=skip, or FREQ=DAILY with BYHOUR", field="roll"
            )
    full = [completed(rule, recurrence.dtstart) for rule in rules]
    times = sum(len(rule.by_hour) * len(rule.by_minute) * len(rule.by_second) for rule in full)
    if times > MOST_TIMES:
        raise Invalid(f"roll: {times} times a day, at most {MOST_TIMES} roll; use roll=skip", field="roll")


class Days:
    """Which days are closed, and where each of them goes. Days are counted since 1970."""

    def __init__(self, business: Business) -> None:
        self._roll = business.roll
        self._weekend = frozenset(map(WEEKDAYS.index, business.weekend))
        # By each closed day, so that a long stretch is passed over at once.
        self._runs = {day: run for run in map(_run, business.closed) for day in run}
        self.skips = business.roll is Roll.SKIP
        self.goes_back = business.roll not in (Roll.SKIP, Roll.FOLLOWING)
        self.goes_on = business.roll not in (Roll.SKIP, Roll.PRECEDING)

    def closes(self, day: int) -> bool:
        return (day + 3) % 7 in self._weekend or day in self._runs

    def open_from(self, day: int) -> int:
        """The first open day from this one on, or the one after the longest roll."""
        last = min(day + LONGEST_ROLL, LAST_DAY)
        while day < last and self.closes(day):
            day = self._runs[day].stop if day in self._runs else day + 1
        return min(day, last)

    def open_until(self, day: int) -> int:
        """The last open day up to this one, or the one before the longest roll."""
        first = max(day - LONGEST_ROLL, FIRST_DAY)
        while day > first and self.closes(day):
            day = self._runs[day].start - 1 if day in self._runs else day - 1
        return max(day, first)

    def rolled(self, day: int) -> int | None:
        """Where the instants of the day happen. None: nowhere."""
        if not self.closes(day):
            return day
        before, after = self._open(self.open_until(day)), self._open(self.open_from(day))
        return None if self.skips else self._choice(day, before, after)

    def _choice(self, day: int, before: int | None, after: int | None) -> int | None:
        match self._roll:
            case Roll.FOLLOWING:
                return after
            case Roll.PRECEDING:
                return before
            case Roll.MODIFIED_FOLLOWING:
                return after if after is not None and _month(after) == _month(day) else before
        if before is None or after is None:
            return after if before is None else before
        return before if day - before < after - day else after

    def _open(self, day: int) -> int | None:
        return None if self.closes(day) else day


@lru_cache(maxsize=128)
def days_of(business: Business) -> Days:
    return Days(business)


def _run(text: str) -> range:
    first, _, last = text.partition("/")
    return range(day_of(date.fromisoformat(first)), day_of(date.fromisoformat(last or first)) + 1)


def _month(day: int) -> tuple[int, int]:
    local = date_of(day)
    return local.year, local.month


def without_closed(given: Given, days: Days, since: int, until: int, face: Face) -> Iterator[Moment]:
    """What falls on open days. A closed stretch is passed over without a look at what the rules give in it."""
    again: int | None = since
    ended = 0
    while again is not None:
        since, again, ended = again, None, 0
        for at, wall, mark in given(since, until):
            if at == NEVER:
                ended += 1
            elif mark is not None and days.closes(wall // DAY):
                again = min(until, max(at + 1, face.earliest_from(days.open_from(wall // DAY) * DAY)))
                yield again, wall, None
                break
            else:
                yield at, wall, mark
    yield from [NO_MORE] * ended


class Rolling:
    """What the rules give for a window, rolled, in order. `origins` says from which day an instant was rolled."""

    def __init__(self, days: Days, resolve: Resolve, face: Face) -> None:
        self.origins: dict[int, date] = {}
        self._days = days
        self._resolve = resolve
        self._face = face

    def moments(self, given: Given, since: int, until: int) -> Iterator[Moment]:
        held: list[tuple[int, bool, int, Mark, int]] = []
        ended = 0
        for at, wall, mark in given(*self._window(since, until)):
            if at == NEVER:
                ended += 1
                continue
            if mark is not None:
                self._hold(held, at, wall, mark)
            # Around a closed stretch instants pass each other: they are held back until none can come before them.
            floor = self._floor(at)
            while held and held[0][0] < floor:
                yield from self._let_go(heapq.heappop(held), since, until)
            if since < floor < until:
                yield floor, wall, None
        rest = sorted(held)
        for one in rest:
            yield from self._let_go(one, since, until)
        # What has yet to come though no rule gives more.
        yield from [NO_MORE] * (0 if rest and rest[-1][0] >= until else ended)

    def _hold(self, held: list[tuple[int, bool, int, Mark, int]], at: int, wall: int, mark: Mark) -> None:
        day = wall // DAY
        target = self._days.rolled(day)
        if target == day:
            heapq.heappush(held, (at, False, wall, mark, day))
        elif target is not None:
            moved = wall + (target - day) * DAY
            for instant, anew in self._resolve(moved):
                heapq.heappush(held, (instant, True, moved, anew, day))

    def _let_go(self, one: tuple[int, bool, int, Mark, int], since: int, until: int) -> Iterator[Moment]:
        at, is_rolled, wall, mark, day = one
        if since <= at < until:
            if is_rolled:
                self.origins.setdefault(at, date_of(day))
            yield at, wall, mark

    def _window(self, since: int, until: int) -> tuple[int, int]:
        """Where the instants of a window may come from."""
        face, days = self._face, self._days
        first, last = face.walls_of(since, since)[0] // DAY, face.walls_of(until, until)[1] // DAY
        begin = days.open_until(first - 1) + 1 if days.goes_on else first
        end = days.open_from(last + 1) if days.goes_back else last + 1
        return (
            max(FIRST, min(since, face.earliest_from(max(begin, FIRST_DAY) * DAY))),
            min(LAST, max(until, *face.passes(min(end, LAST_DAY) * DAY))),
        )

    def _floor(self, at: int) -> int:
        """No instant of the rules from `at` on is rolled to before this one."""
        if not self._days.goes_back:
            return at
        day = max(self._face.walls_of(at, at)[0] // DAY, FIRST_DAY)
        return min(at, self._face.earliest_from(self._days.open_until(day) * DAY))
