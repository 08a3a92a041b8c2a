"""What a schedule says, before its zone and its start are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.rule import Fault, Rule, from_text
from qhronos.errors import Invalid

MOST_TEXT = 8 * 1024
MOST_RULES = 10
MOST_DATES = 1000


class Stamp(NamedTuple):
    """A date or time as written, and the zone it names, if it names one."""

    value: date
    timezone: str | None


class Said(NamedTuple):
    rules: tuple[Rule, ...] = ()
    rdate: tuple[Stamp, ...] = ()
    exdate: tuple[Stamp, ...] = ()
    dtstart: Stamp | None = None


def limited(said: Said) -> Said:
    """Duplicate rules collapse; too many of anything are refused."""
    said = said._replace(rules=tuple(dict.fromkeys(said.rules)))
    for name, items, most in (
        ("rrule", said.rules, MOST_RULES),
        ("rdate", said.rdate, MOST_DATES),
        ("exdate", said.exdate, MOST_DATES),
    ):
        if len(items) > most:
            raise Invalid(f"schedule: {name.upper()}: {len(items)} are too many; at most {most}", field="schedule")
    return said


def read_rule(text: str, field: str) -> Rule:
    if len(text.encode()) > MOST_TEXT:
        raise Invalid(f"RRULE: longer than {MOST_TEXT} bytes", field=field)
    try:
        return from_text(text)
    except Fault as fault:
        raise Invalid(f"RRULE: {fault}", field=field) from fault


def read_times(name: str, texts: Sequence[str], field: str, timezone: str | None = None) -> tuple[Stamp, ...]:
    """Times in whole seconds; for EXDATE also whole days."""
    return tuple(_read_time(name, text, field, timezone) for text in texts)


def _read_time(name: str, text: str, field: str, timezone: str | None) -> Stamp:
    try:
        value = stamps.read(text)
        if not isinstance(value, datetime) and name == "RDATE":
            raise ValueError("has no time of day")
        if isinstance(value, datetime) and value.microsecond:
            raise ValueError("must be whole seconds")
    except ValueError as error:
        raise Invalid(f"{name}: {text[:64]}: {error}", field=field) from error
    return Stamp(value, timezone)
