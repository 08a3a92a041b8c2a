"""RRULE text: the lines RRULE, RDATE, EXDATE and DTSTART of RFC 5545, read and printed."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.contentlines import quoted
from qhronos.core.recurrence.expansion import start
from qhronos.core.recurrence.model import Recurrence
from qhronos.core.recurrence.said import MOST, Said, Stamp, read_rule, read_times, refuse_more
from qhronos.core.recurrence.vtimezones import lines_of
from qhronos.core.recurrence.zones import zone
from qhronos.errors import Invalid

FIELD = "schedule"
LINE = re.compile(r"(DTSTART|RRULE|RDATE|EXDATE|EXRULE)((?:;[^:;]*)*):(.*)", re.IGNORECASE)
VALUE_TYPES = {"DATE-TIME", "DATE"}


def read(text: str) -> Said:
    """One rule, with or without `RRULE:`, or several lines; a line that begins with a blank goes on with the last."""
    said = Said()
    for line in re.sub(r"\r?\n[ \t]", "", text).splitlines():
        if line.strip():
            said = _with(said, line.strip())
    if said == Said():
        raise Invalid("schedule: empty", field=FIELD)
    refuse_more("RRULE", said.rules, MOST["rrule"], FIELD)
    return said


def _with(said: Said, line: str) -> Said:
    found = LINE.fullmatch(line)
    if not found:
        if "FREQ=" not in line.upper():
            raise Invalid(
                f"schedule: {line[:64]!r} cannot be read; write RRULE text such as FREQ=DAILY;INTERVAL=2", field=FIELD
            )
        return said._replace(rules=(*said.rules, read_rule(line, FIELD)))
    name, value = found[1].upper(), found[3]
    timezone = _timezone(name, found[2])
    match name:
        case "RRULE":
            return said._replace(rules=(*said.rules, read_rule(value, FIELD)))
        case "RDATE":
            return said._replace(rdate=said.rdate + read_times(name, value.split(","), FIELD, timezone))
        case "EXDATE":
            return said._replace(exdate=said.exdate + read_times(name, value.split(","), FIELD, timezone))
        case "DTSTART" if said.dtstart is None:
            return said._replace(dtstart=_start(value, timezone), timezone=timezone)
        case "DTSTART":
            raise Invalid("DTSTART: given twice", field=FIELD)
        case _:
            raise Invalid(f"{name}: not taken; name the dates in EXDATE", field=FIELD)


def _timezone(name: str, parameters: str) -> str | None:
    """Of TZID; what else a line may carry must not change its meaning."""
    timezone = None
    for parameter in filter(None, parameters.split(";")):
        key, _, value = (word.strip() for word in parameter.partition("="))
        if key.upper() == "TZID":
            timezone = value.strip('"')
            zone(timezone)
        elif key.upper() == "VALUE" and value.upper() in VALUE_TYPES:
            continue  # the value itself shows which it is
        elif not key.upper().startswith("X-"):
            raise Invalid(f"{name}: {parameter[:64]} is not taken", field=FIELD)
    return timezone


def _start(text: str, timezone: str | None) -> Stamp:
    try:
        value = stamps.read(text)
    except ValueError as error:
        raise Invalid(f"DTSTART: {text[:64]}: {error}", field=FIELD) from error
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)  # a whole day begins at midnight
    return Stamp(value, timezone)


def to_text(recurrence: Recurrence) -> str:
    """Lines that `read` takes, DTSTART first. In UTC where wall time would not say which of its two passes is meant."""
    begins = start(recurrence) if recurrence.second_pass else recurrence.dtstart
    lines = [_line("DTSTART", begins, recurrence.timezone)]
    lines += [f"RRULE:{rule}" for rule in recurrence.rrule]
    lines += [f"EXRULE:{rule}" for rule in recurrence.exrule]
    lines += [_line("RDATE", stamps.read(text), recurrence.timezone) for text in recurrence.rdate]
    lines += [_line("EXDATE", stamps.read(text), recurrence.timezone) for text in recurrence.exdate]
    return "\n".join(lines)


def to_event(recurrence: Recurrence, *, floating: bool = False) -> str:
    """The same as a calendar with one event, and with its zone where that is no IANA zone. A `floating` one names none."""
    zone_lines = lines_of(recurrence.timezone, recurrence.vtimezone) if recurrence.vtimezone else []
    text = to_text(recurrence)
    if floating:
        text = text.replace(f";TZID={quoted(recurrence.timezone)}:", ":")
    return "\n".join(["BEGIN:VCALENDAR", *zone_lines, "BEGIN:VEVENT", text, "END:VEVENT", "END:VCALENDAR"])


def _line(name: str, value: date, timezone: str) -> str:
    match value:
        case datetime(tzinfo=None):
            return f"{name};TZID={quoted(timezone)}:{stamps.basic(value)}"
        case datetime():
            return f"{name}:{stamps.basic(value)}"
        case day:
            return f"{name};VALUE=DATE:{stamps.basic(day)}"
