"""Dates and times as texts. A `date` is a whole day, a naive `datetime` wall time, an aware one (in UTC) an instant."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

FIRST_YEAR = 1900

# 2026-03-08, 2026-03-08T02:30[:00[.000]][Z|+01:00], and the same without the dashes and colons.
_SHAPE = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)(?:[Tt ](\d\d)(:?)(\d\d)(?:\6(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


def read(text: str) -> date | datetime:
    """ValueError says what is wrong, in words that follow the text itself."""
    found = _SHAPE.fullmatch(text.strip())
    if not found:
        raise ValueError("is neither a date nor a date and time")
    year, _, month, day, hour, _, minute, second, fraction, offset = found.groups()
    if hour is None:
        return _in_years(date(int(year), int(month), int(day)))
    micro = int((fraction or "").ljust(6, "0")[:6])
    wall = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro)  # noqa: DTZ001 - wall time
    if offset is None:
        return _in_years(wall)
    try:
        return _in_years((wall - _offset(offset)).replace(tzinfo=UTC))
    except OverflowError as error:
        raise ValueError(f"years run from {FIRST_YEAR} to 9999") from error


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text} is no offset from UTC")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def _in_years(value: date) -> date:
    if value.year < FIRST_YEAR:
        raise ValueError(f"years run from {FIRST_YEAR} to 9999")
    return value


def iso(value: date) -> str:
    """As in JSON: `2026-03-08`, `2026-03-08T02:30:00`, `2026-03-08T07:30:00Z`."""
    return value.isoformat().replace("+00:00", "Z")


def basic(value: date) -> str:
    """As in RRULE text: `20260308`, `20260308T023000`, `20260308T073000Z`."""
    return re.sub("[-:]", "", iso(value))
