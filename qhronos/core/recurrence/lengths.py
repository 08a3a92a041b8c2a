"""Lengths in words, and how long from now: `in 90 minutes`, `in half an hour`, `in 3 days at 9`, `in 2 months`."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

from qhronos.core.recurrence.hours import is_time
from qhronos.core.recurrence.tokens import Tokens
from qhronos.core.recurrence.vocabulary import MONTH_NAMES, SECONDS, Length, Number, Unit, UnitName, refusal

MONTHS: dict[UnitName, int] = {"month": 1, "quarter": 3, "year": 12}


def is_length(tokens: Tokens) -> bool:
    return isinstance(tokens.peek(), Number | Length) or tokens.peek() in {"a", "an", "half"}


def goes_on(tokens: Tokens) -> bool:
    """`and 30 minutes`"""
    ahead = 1 if tokens.peek() == "and" else 0
    unit = tokens.peek(ahead + 1)
    return isinstance(tokens.peek(ahead), Number) and isinstance(unit, Unit) and unit.name in SECONDS


def rest(tokens: Tokens) -> int:
    """What adds to a length, in seconds."""
    seconds = 0
    while goes_on(tokens):
        tokens.take("and")
        number, unit = tokens.take_a(Number), tokens.take_a(Unit)
        seconds += number.number * SECONDS[unit.name] if number and unit else 0
    return seconds


def later(tokens: Tokens, now: datetime, *, has_time: bool) -> date:
    """In 90 minutes is that much later; in 3 days, or 2 months, the same time on that day, or the day if a time is named."""
    begin = tokens.place
    if length := tokens.take_a(Length):
        return _after(now, length.seconds)
    if tokens.take("half"):
        tokens.take("a", "an")
        if tokens.peek() != Unit("hour"):
            tokens.refuse("'hour'")
        tokens.place += 1
        return _after(now, SECONDS["hour"] // 2)
    number = 1 if tokens.take("a", "an") else _number(tokens)
    unit = tokens.take_a(Unit)
    if unit is None:
        tokens.refuse("seconds, minutes, hours, days, weeks, months or years")
    if unit.name in MONTHS:
        day: date = _in_months(tokens, begin, now.replace(tzinfo=None), number * MONTHS[unit.name])
    else:
        seconds = number * SECONDS[unit.name] + rest(tokens)
        if seconds % SECONDS["day"] or SECONDS[unit.name] < SECONDS["day"]:
            return _after(now, seconds)
        day = _moved(now.replace(tzinfo=None), seconds)
    has_time = has_time or tokens.peek() == "at" or is_time(tokens)
    return day.date() if isinstance(day, datetime) and has_time else day


def _number(tokens: Tokens) -> int:
    number = tokens.take_a(Number)
    if number is None:
        tokens.refuse("how long, such as 3 days")
    return number.number


def _after(now: datetime, seconds: int) -> datetime:
    return _moved(now.astimezone(UTC), seconds)


def _moved(when: datetime, seconds: int) -> datetime:
    try:
        return when + timedelta(seconds=seconds)
    except OverflowError as error:
        raise refusal("years run from 1900 to 9999") from error


def _in_months(tokens: Tokens, begin: int, now: datetime, months: int) -> datetime:
    years, month = divmod(now.month - 1 + months, 12)
    year = now.year + years
    if year > 9999:
        raise refusal("years run from 1900 to 9999")
    last = calendar.monthrange(year, month + 1)[1]
    if now.day > last:
        following = (month + 1) % 12
        first_after = f"on 1 {MONTH_NAMES[following]} {year + (following == 0)}"
        tokens.ambiguous(begin - 1, f"on {last} {MONTH_NAMES[month]} {year}", first_after)
    return now.replace(year=year, month=month + 1)
