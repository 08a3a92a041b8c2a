"""Dates, times and lengths that are written in digits."""

from __future__ import annotations

import re
from datetime import date, time

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.vocabulary import SECONDS, SHORT_UNITS, Length, Minute, refusal

LENGTHS = re.compile(r"(\d+)([smhdw])")


def length_of(text: str) -> Length:
    """`1h30m`"""
    return Length(sum(int(count) * SECONDS[SHORT_UNITS[unit]] for count, unit in LENGTHS.findall(text)))


def read(kind: str, word: str) -> date | time | Minute:
    if kind == "iso":
        return _iso(word)
    if kind == "numeric":
        return _numeric(word)
    if kind == "time":
        return _time(word.lower())
    return Minute(*_sixtieths(word, [*map(int, word[1:].split(":")), 0][:2]))


def _iso(word: str) -> date:
    try:
        return stamps.read(word)
    except ValueError as error:
        raise refusal(f"{word!r} {error}") from error


def _numeric(word: str) -> date:
    """Taken only if day and month cannot be mistaken for each other."""
    numbers = re.split(r"[./-]", word)
    if len(numbers) == 3 and len(numbers[2]) == 4:
        one, other, year = map(int, numbers)
        readings = {_date(year, month, day) for day, month in ((one, other), (other, one))} - {None}
        if len(readings) == 1:
            return readings.pop() or date.min
        shown = " or ".join(str(reading) for reading in sorted(filter(None, readings)))
        raise refusal(f"{word!r} is ambiguous; say {shown}" if shown else f"{word!r} is no date")
    raise refusal(f"{word!r} is ambiguous; write a date as 2027-04-03, a time as 9:30, 1.5 hours as 90 minutes")


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(text: str) -> time:
    half = re.sub(r"[^apm]", "", text)
    hour, minute, second = [*re.sub(r"[^\d:.]|\.$", "", text).rstrip(".").split(":"), "0", "0"][:3]
    whole, _, fraction = second.partition(".")
    number = int(hour)
    if number > (12 if half else 23) or (half and not number):
        raise refusal(f"{text!r} is no time of day; hours run from {'1 to 12 with am or pm' if half else '0 to 23'}")
    minutes, seconds = _sixtieths(text, [int(minute), int(whole)])
    number = number % 12 + 12 * (half == "pm") if half else number
    return time(number, minutes, seconds, int(fraction.ljust(6, "0")))


def _sixtieths(word: str, numbers: list[int]) -> list[int]:
    if max(numbers) > 59:
        raise refusal(f"{word!r} is no time of day; minutes and seconds run from 0 to 59")
    return numbers
