"""The days that a rule allows, and the periods it counts in. Days are numbered from 1970-01-01 = 0.

What the parts say of a day depends on the kind of its year alone: on which weekday it begins, and whether it or the
years beside it are leap years. There are 28 kinds, so a rule is asked about a whole year at most 28 times.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence.rule import Freq, Rule

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
LAST_DAY = date.max.toordinal() - EPOCH_ORDINAL
THURSDAY = 3  # 1970-01-01
BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)  # days, without a leap day


class Day(NamedTuple):
    """What parts may ask of a day; `…_back` counts from the end, -1 being the last."""

    month: int
    month_day: int
    month_day_back: int
    year_day: int
    year_day_back: int
    week: int  # of the week-year, which begins with the week that has four days in the new year
    week_back: int
    weekday: int


Test = Callable[[Day], bool]


def day_of(when: date) -> int:
    return when.toordinal() - EPOCH_ORDINAL


def date_of(day: int) -> date:
    return date.fromordinal(day + EPOCH_ORDINAL)


@cache
def first_of(year: int) -> int:
    """The first of January; of year 10000 too."""
    return 365 * (year - 1) + (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 + 1 - EPOCH_ORDINAL


def first_of_month(year: int, month: int) -> int:
    return first_of(year) + BEFORE_MONTH[month - 1] + (month > 2 and calendar.isleap(year))


def week_start(day: int, weekday: int) -> int:
    """The last day up to `day` that is such a weekday."""
    return day - (day + THURSDAY - weekday) % 7


def first_week(year: int, weekday: int) -> int:
    """Where the week-year begins: with the week that holds the fourth of January."""
    return week_start(first_of(year) + 3, weekday)


def week_year(day: int, weekday: int) -> int:
    """The week-year of a day is the year of the fourth day of its week."""
    return date_of(week_start(day, weekday) + 3).year


def tests(rule: Rule) -> dict[str, Test]:
    """What each part that speaks of days asks; all must agree."""
    found: dict[str, Test] = {}
    if months := frozenset(rule.by_month):
        found["BYMONTH"] = lambda day: day.month in months
    if weeks := frozenset(rule.by_week_no):
        found["BYWEEKNO"] = lambda day: day.week in weeks or day.week_back in weeks
    if year_days := frozenset(rule.by_year_day):
        found["BYYEARDAY"] = lambda day: day.year_day in year_days or day.year_day_back in year_days
    if month_days := frozenset(rule.by_month_day):
        found["BYMONTHDAY"] = lambda day: day.month_day in month_days or day.month_day_back in month_days
    if rule.by_day:
        found["BYDAY"] = _weekdays(rule)
    return found


def _weekdays(rule: Rule) -> Test:
    wanted = frozenset(rule.by_day)
    if rule.freq is Freq.YEARLY and not rule.by_month:
        return lambda day: not wanted.isdisjoint(_named(day.weekday, day.year_day, day.year_day_back))
    return lambda day: not wanted.isdisjoint(_named(day.weekday, day.month_day, day.month_day_back))


def _named(weekday: int, number: int, back: int) -> tuple[tuple[int, int], ...]:
    """The names of a day in BYDAY: every Monday, the nth, the nth from the end of its month or year."""
    return (0, weekday), ((number + 6) // 7, weekday), (-((6 - back) // 7), weekday)


class Kind(NamedTuple):
    """All that a year's calendar depends on, the week-years at its two ends included."""

    begins_on: int
    after_leap: bool
    leap: bool
    before_leap: bool


@cache
def kind_of(year: int) -> Kind:
    after_leap, leap, before_leap = (calendar.isleap(near) for near in (year - 1, year, year + 1))
    return Kind((first_of(year) + THURSDAY) % 7, after_leap, leap, before_leap)


# The calendar repeats after 400 years.
EXAMPLES = {kind_of(year): year for year in range(2000, 2400)}


@lru_cache(maxsize=7 * len(EXAMPLES))
def days_of(kind: Kind, weekday: int) -> tuple[Day, ...]:
    """The days of such a year, with weeks that begin on the weekday."""
    year = EXAMPLES[kind]
    first = first_of(year)
    length = first_of(year + 1) - first
    weeks = [first_week(near, weekday) - first for near in range(year - 1, year + 3)]
    days = []
    for month in range(1, 13):
        before = first_of_month(year, month) - first - 1
        month_length = calendar.monthrange(year, month)[1]
        for month_day in range(1, month_length + 1):
            index = before + month_day
            week = bisect_right(weeks, index)
            days.append(
                Day(
                    month=month,
                    month_day=month_day,
                    month_day_back=month_day - month_length - 1,
                    year_day=index + 1,
                    year_day_back=index - length,
                    week=(index - weeks[week - 1]) // 7 + 1,
                    week_back=-((weeks[week] - index - 1) // 7 + 1),
                    weekday=(kind.begins_on + index) % 7,
                )
            )
    return tuple(days)


def facts(day: int, weekday: int) -> Day:
    year = date_of(day).year
    return days_of(kind_of(year), weekday)[day - first_of(year)]


class Days:
    """The allowed days, in order. Shared by all rules that say the same of days."""

    def __init__(self, rule: Rule) -> None:
        self._tests = tuple(tests(rule).values())
        self._week_start = rule.week_start
        self._years: dict[Kind, tuple[int, ...]] = {}
        self._asked: tuple[int, tuple[int, bool]] = (LAST_DAY + 1, (0, False))  # ticks ask for one day many times

    def of_year(self, year: int) -> tuple[int, ...]:
        """Counted from the first of January = 0."""
        kind = kind_of(year)
        allowed = self._years.get(kind)
        if allowed is None:
            days = days_of(kind, self._week_start)
            self._years[kind] = allowed = tuple(
                i for i, day in enumerate(days) if all(test(day) for test in self._tests)
            )
        return allowed

    def first_from(self, day: int) -> tuple[int, bool]:
        """The first allowed day of the rest of the year and true, or the first of the next year and false."""
        asked, answer = self._asked
        if asked != day:
            year = date_of(day).year
            base, allowed = first_of(year), self.of_year(year)
            index = bisect_left(allowed, day - base)
            answer = (base + allowed[index], True) if index < len(allowed) else (first_of(year + 1), False)
            self._asked = day, answer
        return answer

    def within(self, first: int, end: int) -> Iterator[int]:
        """The allowed days from `first` until before `end`."""
        for year in range(date_of(first).year, date_of(min(end - 1, LAST_DAY)).year + 1):
            base, allowed = first_of(year), self.of_year(year)
            for index in range(bisect_left(allowed, first - base), bisect_left(allowed, end - base)):
                yield base + allowed[index]


@lru_cache(maxsize=256)
def _shared(rule: Rule) -> Days:
    return Days(rule)


def allowed_days(rule: Rule) -> Days:
    """Of a rule that leaves nothing to DTSTART."""
    silent = {"interval": 1, "count": None, "until": None, "by_hour": (), "by_minute": (), "by_second": ()}
    return _shared(msgspec.structs.replace(rule, by_set_pos=(), **silent))


class Periods:
    """The days, weeks, months or years that a rule counts in; INTERVAL takes every so manieth from DTSTART's own.

    With BYWEEKNO they are week-years, counted from the calendar year of DTSTART.
    """

    def __init__(self, rule: Rule, dtstart: date) -> None:
        self._freq = rule.freq
        self._interval = rule.interval
        self._week_start = rule.week_start
        self._by_week = bool(rule.by_week_no)
        self._anchor = dtstart.year if self._by_week else self.index(day_of(dtstart))

    def around(self, day: int) -> tuple[int, int]:
        """The first day of the period that counts and holds `day`, or else of the next that counts, and its end."""
        index = self.next_counted(self.index(day))
        return self.first(index), self.first(index + 1)

    def next_counted(self, index: int) -> int:
        """The period itself if it counts, or the next that does."""
        return index + (self._anchor - index) % self._interval

    def index(self, day: int) -> int:
        """Periods are numbered; those of months from the year 0."""
        if self._freq is Freq.YEARLY:
            return week_year(day, self._week_start) if self._by_week else date_of(day).year
        if self._freq is Freq.MONTHLY:
            when = date_of(day)
            return when.year * 12 + when.month - 1
        if self._freq is Freq.WEEKLY:
            return (day + THURSDAY - self._week_start) // 7
        return day

    def first(self, index: int) -> int:
        """The first day of a period."""
        if self._freq is Freq.YEARLY:
            return first_week(index, self._week_start) if self._by_week else first_of(index)
        if self._freq is Freq.MONTHLY:
            return first_of_month(index // 12, index % 12 + 1)
        if self._freq is Freq.WEEKLY:
            return index * 7 - THURSDAY + self._week_start
        return index
