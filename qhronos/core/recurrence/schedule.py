"""What callers write, read into the one canonical recurrence.

A schedule is the JSON object of the first Qhronos (`{"frequency": "weekly", "by_day": ["MO"]}`), RRULE text of one or
several lines, plain words, `{"rrule": […], "rdate": […], "exdate": […]}`, a VEVENT or VCALENDAR, cron, an interval
(`5m`, `{"every": "5m"}`, `{"interval_seconds": 300}`), or None: once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from qhronos.core.recurrence import cron, intervals, lines, phrases, stamps, vevents
from qhronos.core.recurrence.business import refuse_what_cannot_roll
from qhronos.core.recurrence.model import USUAL_DST, Business, Dst, Fold, Recurrence, Subdaily
from qhronos.core.recurrence.rule import FIELDS, Fault, Rule, from_parts, from_text, to_text
from qhronos.core.recurrence.said import (
    MOST,
    MOST_TEXT,
    MOST_VALUES,
    OwnRules,
    Said,
    Stamp,
    read_rule,
    read_times,
    refuse_more,
)
from qhronos.core.recurrence.stamps import FIRST_YEAR
from qhronos.core.recurrence.vtimezones import face_of
from qhronos.core.recurrence.zones import LAST, Face, instant, seconds, wall_seconds, zone
from qhronos.errors import Invalid

PARTS = {"frequency": "FREQ"} | {field: part for part, field in FIELDS.items() if part != "FREQ"}
KEYS = {part: key for key, part in PARTS.items()}
LINES = re.compile(r"FREQ=|^\s*(?:DTSTART|RRULE|RDATE|EXDATE|EXRULE)\b|^\s*[A-Z-]+[:;=]", re.IGNORECASE | re.MULTILINE)
SETS = ("rrule", "rdate", "exdate")
INTERVALS = frozenset({"every", "interval_seconds"})


def parse(
    schedule: object,
    *,
    now: datetime,
    start_time: datetime | None = None,
    timezone: str | None = None,
    dst: Dst = USUAL_DST,
    subdaily: Subdaily = Subdaily.ELAPSED,
    business: Business | None = None,
) -> Recurrence:
    """What a caller wrote, as the canonical recurrence; Invalid points at the part that cannot be.

    Does not look whether it ever fires (`check`). `start_time` with an offset is an instant, without one wall time in
    `timezone`; both may come from a DTSTART line instead. Without either it starts `now`, or with the first `rdate` if
    there is no rule. The zone is UTC if nothing names one.
    """
    said = _read(schedule, now, timezone)
    name, vtimezone = _zone(said, timezone)
    face = face_of(name, vtimezone)
    rdate = _canonical(said.rdate, name)
    wall, second_pass = _start(said, rdate, start_time, now, face, dst)
    recurrence = Recurrence(
        dtstart=wall.replace(microsecond=0) if said.rules or said.rdate else wall,
        timezone=name,
        rrule=tuple(dict.fromkeys(map(to_text, said.rules))),
        rdate=rdate,
        exdate=_canonical(said.exdate, name),
        exrule=tuple(dict.fromkeys(map(to_text, said.exrules))),
        second_pass=second_pass,
        dst=USUAL_DST if dst == USUAL_DST else dst,
        subdaily=subdaily,
        vtimezone=vtimezone,
        business=business,
    )
    refuse_what_cannot_roll(recurrence)
    return recurrence


def brings(schedule: object, *, now: datetime, timezone: str | None = None) -> frozenset[str]:
    """Which of `start_time` and `timezone` the schedule names itself."""
    said = _read(schedule, now, timezone)
    names = {"start_time": said.dtstart, "timezone": said.timezone}
    return frozenset(name for name, value in names.items() if value is not None)


def restated(recurrence: Recurrence) -> object:
    """A schedule that `parse` reads as the same rules and dates; None for once."""
    sets = {name: list(getattr(recurrence, name)) for name in SETS}
    if recurrence.vtimezone or recurrence.exrule:
        own_rules = OwnRules(recurrence.timezone, recurrence.vtimezone) if recurrence.vtimezone else None
        return _sets(sets)._replace(own_rules=own_rules, exrules=tuple(map(from_text, recurrence.exrule)))
    return sets if any(sets.values()) else None


def _zone(said: Said, timezone: str | None) -> tuple[str, str]:
    """The zone by its name, and its rules if that is only a label."""
    named = said.timezone
    if named and timezone and named != timezone:
        raise Invalid(f"timezone: {timezone} here, {named} in the schedule; give one", field="timezone")
    if said.own_rules and said.own_rules.label == (named or timezone):
        return said.own_rules
    return zone(named or timezone or "UTC").key, ""


def _start(
    said: Said, rdate: tuple[str, ...], start_time: datetime | None, now: datetime, face: Face, dst: Dst
) -> tuple[datetime, bool]:
    """Wall time, and whether it is the second of two."""
    dtstart = said.dtstart.value if said.dtstart else None
    given = [_on_wall(time, face, dst) for time in (start_time, dtstart) if isinstance(time, datetime)]
    if given:
        if given[0] != given[-1]:
            raise Invalid("start_time: differs from the start in the schedule; give one", field="start_time")
        return given[0]
    if rdate and not said.rules:
        dates = [_on_wall(datetime.fromisoformat(text), face, dst) for text in rdate]
        return min(dates, key=lambda date: face.passes(wall_seconds(date[0]))[date[1]])
    return _on_wall(now, face, dst)


def _on_wall(time: datetime, face: Face, dst: Dst) -> tuple[datetime, bool]:
    if time.year < FIRST_YEAR or (seconds(time) if time.tzinfo else wall_seconds(time)) == LAST:
        raise Invalid(f"start_time: years run from {FIRST_YEAR} to 9999", field="start_time")
    if time.tzinfo:
        shown = time.astimezone(face.zone)
        return shown.replace(tzinfo=None, fold=0), bool(shown.fold)
    first, second = face.passes(wall_seconds(time))
    return time.replace(fold=0), first < second and dst.fold is Fold.SECOND


def _canonical(times: Iterable[Stamp], name: str) -> tuple[str, ...]:
    """In order, without duplicates; wall time of another zone as the instant it is."""
    values = set()
    for value, timezone in times:
        if timezone and timezone != name and isinstance(value, datetime) and value.tzinfo is None:
            values.add(stamps.iso(instant(face_of(timezone).passes(wall_seconds(value))[0])))
        else:
            values.add(stamps.iso(value))
    return tuple(sorted(values))


def _read(schedule: object, now: datetime, timezone: str | None) -> Said:
    match schedule:
        case None | Said():
            return schedule or Said()
        case str() if schedule.lstrip("\ufeff \r\n\t")[:6].upper() == "BEGIN:":
            return vevents.read(schedule, now)
        case str():
            return _text(schedule, now, timezone)
        case Mapping() if not INTERVALS.isdisjoint(schedule):
            return Said((_interval(schedule),))
        case Mapping() if "rrule" in schedule or (schedule and schedule.keys() <= {"rdate", "exdate"}):
            return _sets(schedule)
        case Mapping():
            return _object(schedule)
        case _:
            raise Invalid("schedule: must be an object, text or null", field="schedule")


def _text(text: str, now: datetime, timezone: str | None) -> Said:
    """One notation of many; words are what is none of the others."""
    if len(text.encode()) > MOST_TEXT:
        raise Invalid(f"schedule: longer than {MOST_TEXT} bytes", field="schedule")
    if cron.is_meant(text):
        return cron.read(text)
    if intervals.is_meant(text):
        return Said((intervals.read(text, "schedule"),))
    if LINES.search(text) or not text.strip():
        return lines.read(text)
    return phrases.read(text, now, timezone)


def _interval(schedule: Mapping[str, object]) -> Rule:
    """`{"every": "5m"}` or `{"interval_seconds": 300}`"""
    _refuse_unknown(schedule, ("every", "interval_seconds"))
    match schedule:
        case {"every": _, "interval_seconds": _}:
            raise Invalid("interval_seconds: every says it, too; give one", field="schedule.interval_seconds")
        case {"every": str() as text}:
            return intervals.read(text, "schedule.every")
        case {"interval_seconds": int() as seconds} if not isinstance(seconds, bool):
            return intervals.every(seconds, "schedule.interval_seconds")
        case {"every": _}:
            raise Invalid("every: must be a text such as 5m or 1h30m", field="schedule.every")
        case _:
            raise Invalid("interval_seconds: must be a whole number", field="schedule.interval_seconds")


def _sets(schedule: Mapping[str, object]) -> Said:
    """`{"rrule": […], "rdate": […], "exdate": […]}`"""
    _refuse_unknown(schedule, SETS)
    rules = enumerate(_texts(schedule, "rrule"))
    return Said(
        tuple(read_rule(text.strip().removeprefix("RRULE:"), f"schedule.rrule[{index}]") for index, text in rules),
        _times(schedule, "rdate"),
        _times(schedule, "exdate"),
    )


def _object(schedule: Mapping[str, object]) -> Said:
    """`{"frequency": "weekly", "interval": 2, "by_day": ["MO"], …}`; null and an empty list are as good as nothing."""
    _refuse_unknown(schedule, (*PARTS, "rdate", "exdate"))
    parts = {part: _values(key, schedule[key]) for key, part in PARTS.items() if schedule.get(key) not in (None, [])}
    try:
        rule = from_parts(parts)
    except Fault as fault:
        key = KEYS[fault.part]
        message = ": ".join(filter(None, (key, fault.value[:64], fault.why)))
        raise Invalid(message, field=f"schedule.{key}") from fault
    return Said((rule,), _times(schedule, "rdate"), _times(schedule, "exdate"))


def _refuse_unknown(schedule: Mapping[str, object], known: Sequence[str]) -> None:
    for key in schedule:
        if key not in known:
            near = difflib.get_close_matches(key[:64], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise Invalid(f"schedule: unknown field {key[:64]}; {hint}", field=f"schedule.{key[:64]}")


def _times(schedule: Mapping[str, object], key: str) -> tuple[Stamp, ...]:
    texts = enumerate(_texts(schedule, key))
    return tuple(
        stamp for index, text in texts for stamp in read_times(key.upper(), [text], f"schedule.{key}[{index}]")
    )


def _texts(schedule: Mapping[str, object], key: str) -> list[str]:
    value = schedule.get(key)
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    refuse_more(key, items, MOST[key], f"schedule.{key}")
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise Invalid(f"{key}: must be a list of texts", field=f"schedule.{key}")
    return texts


def _values(key: str, value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    refuse_more(key, values, MOST_VALUES, f"schedule.{key}")
    if not all(isinstance(item, int | str) and not isinstance(item, bool) for item in values):
        raise Invalid(f"{key}: must be numbers or texts", field=f"schedule.{key}")
    return [_word(item) for item in values]


def _word(item: object) -> str:
    # Python refuses to print integers of thousands of digits.
    return "so great a number" if isinstance(item, int) and abs(item) >= 1 << 64 else str(item).strip().upper()
