"""Dates in words: `24 december 2026`, `june 2027`, `tomorrow`, `next friday`, alone or with a time of day."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, NoReturn

from qhronos.core.recurrence.hours import is_time, read_time
from qhronos.core.recurrence.stamps import FIRST_YEAR
from qhronos.core.recurrence.tokens import Tokens
from qhronos.core.recurrence.vocabulary import MONTH_NAMES, WEEKDAY_NAMES, Month, Number, Ordinal, Unit, Weekday

A_DATE = "a date such as 24 december 2026, 2026-12-24 or tomorrow"


class Named(NamedTuple):
    """What a date names; `day` 0 is the whole month, `year` 0 is any."""

    day: int
    month: int
    year: int


def is_year(tokens: Tokens, ahead: int = 0) -> bool:
    value = tokens.peek(ahead)
    return isinstance(value, Number) and FIRST_YEAR <= value.number <= 9999


def _year(tokens: Tokens) -> int:
    return _number(tokens) if is_year(tokens) else 0


def _number(tokens: Tokens) -> int:
    value = tokens.peek()
    tokens.place += 1
    return value.number if isinstance(value, Number | Ordinal) else 0


def read_named(tokens: Tokens) -> Named | None:
    """`24 december 2026`, `24th of december`, `december 24`, `june 2027`, `june`."""
    begin, value = tokens.place, tokens.peek()
    day = 0
    if isinstance(value, Ordinal | Number):
        day = _number(tokens)
        tokens.take("of")
    month = tokens.take_a(Month)
    if month is None or day < 0:
        tokens.place = begin
        return None
    value = tokens.peek()
    if not day and isinstance(value, Ordinal | Number) and 0 < value.number <= 31 and not _counts(tokens):
        day = _number(tokens)
    if not 0 <= day <= calendar.monthrange(2000, month.number)[1]:
        if isinstance(tokens.peek(tokens.peek() in {"and", "to"}), Month):
            tokens.place = begin
            return None  # a day of several months, of which another may have it
        raise_no_date(tokens, begin)
    return Named(day, month.number, _year(tokens))


def _counts(tokens: Tokens) -> bool:
    return tokens.peek(1) in {"times", "time"}


def raise_no_date(tokens: Tokens, begin: int) -> NoReturn:
    last = tokens.place
    tokens.place = begin
    tokens.refuse(f"{A_DATE}; there is no {tokens.said(begin, last)}")


def read_date(tokens: Tokens, now: datetime, *, last: bool = False) -> date:
    """A date or a date and time; without a year the next one. `last`: of a month the last day, else the first."""
    begin = tokens.place
    found = read_relative(tokens, now) or tokens.take_a(date)
    if found is None:
        named = read_named(tokens)
        if named is None:
            tokens.refuse(A_DATE)
        found = _placed(tokens, begin, named, now.date(), last=last)
    return found if isinstance(found, datetime) else _with_time(tokens, found)


def _placed(tokens: Tokens, begin: int, named: Named, today: date, *, last: bool) -> date:
    for year in [named.year] if named.year else range(today.year, min(today.year + 9, 10_000)):
        length = calendar.monthrange(year, named.month)[1]
        day = named.day or (length if last else 1)
        if day <= length and (named.year or date(year, named.month, day) >= today):
            return date(year, named.month, day)
    raise_no_date(tokens, begin)


def _with_time(tokens: Tokens, day: date) -> date:
    """`at 18:00`, or `at 17:00 UTC`, which is no wall time."""
    if not is_time(tokens, 1 if tokens.peek() == "at" else 0):
        return day
    tokens.take("at")
    at = datetime.combine(day, read_time(tokens))
    return at.replace(tzinfo=UTC) if tokens.take("utc") else at


def read_relative(tokens: Tokens, now: datetime) -> date | None:
    """`today`, `tomorrow`, `day after tomorrow`, `this friday`, `next friday`."""
    today = now.date()
    if tokens.take("today"):
        return today
    if tokens.take("tomorrow"):
        return today + timedelta(days=1)
    if tokens.peek(1) == "after" and tokens.peek(2) == "tomorrow":
        tokens.place += 3
        return today + timedelta(days=2)
    begin = tokens.place
    which = tokens.take("this", "next")
    weekday = tokens.take_a(Weekday)
    if weekday is None or weekday.plural:
        tokens.place = begin
        return None
    return _weekday(tokens, begin, which, weekday.number, today)


def read_next(tokens: Tokens, now: datetime) -> date | None:
    """The first day of `next week`, which is a Monday, `next month` or `next year`."""
    unit = tokens.peek(1)
    if tokens.peek() != "next" or not isinstance(unit, Unit) or unit.name not in {"week", "month", "year"}:
        return None
    tokens.place += 2
    today = now.date()
    if unit.name == "week":
        return today + timedelta(days=7 - today.weekday())
    months = 12 - today.month + 1 if unit.name == "year" else 1
    return date(today.year + (today.month - 1 + months) // 12, (today.month - 1 + months) % 12 + 1, 1)


def _weekday(tokens: Tokens, begin: int, which: str, weekday: int, today: date) -> date:
    """The coming one, where that is also the one that any other reading means."""
    of_this_week = today + timedelta(days=weekday - today.weekday())
    coming = of_this_week if of_this_week > today else of_this_week + timedelta(weeks=1)
    if which == "this" or (not which and of_this_week != today):
        if of_this_week < today and which:
            raise_no_date_left(tokens, begin, coming)
        return of_this_week if which else coming
    other = of_this_week + timedelta(weeks=1) if which else of_this_week
    if other == coming:
        return coming
    first, second = sorted((coming, other))
    return tokens.ambiguous(begin, *(f"{day.day} {MONTH_NAMES[day.month - 1]} {day.year}" for day in (first, second)))


def raise_no_date_left(tokens: Tokens, begin: int, coming: date) -> NoReturn:
    tokens.place = begin
    tokens.refuse(f"a day to come; {WEEKDAY_NAMES[coming.weekday()]} of this week is past, the next is {coming}")


def midnight(day: date) -> datetime:
    return day if isinstance(day, datetime) else datetime.combine(day, time.min)
