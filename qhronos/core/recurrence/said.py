"""What a schedule says, before its zone and its start are known."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from datetime import date, datetime
from typing import NamedTuple

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.rule import Fault, Rule, from_text
from qhronos.errors import Invalid

MOST_TEXT = 8 * 1024
MOST = {"rrule": 10, "rdate": 1000, "exdate": 1000}
MOST_VALUES = 1000  # of a part in JSON; text is limited as a whole


class Stamp(NamedTuple):
    """A date or time as written, and the zone it names, if it names one."""

    value: date
    timezone: str | None


class OwnRules(NamedTuple):
    """Of the zone with the label, where it is no IANA zone: see `vtimezones`."""

    label: str
    rules: str


class Said(NamedTuple):
    """`dtstart` and `timezone` only where the schedule itself names them."""

    rules: tuple[Rule, ...] = ()
    rdate: tuple[Stamp, ...] = ()
    exdate: tuple[Stamp, ...] = ()
    exrules: tuple[Rule, ...] = ()
    dtstart: Stamp | None = None
    timezone: str | None = None
    own_rules: OwnRules | None = None


def refuse_more(name: str, items: Sized, most: int, field: str) -> None:
    """Before they are read, that nobody waits for what is refused."""
    if len(items) > most:
        raise Invalid(f"{name}: {len(items)} are too many; at most {most}", field=field)


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
