"""What callers write, read into the one canonical recurrence.

A schedule is the JSON object of the first Qhronos (`{"frequency": "weekly", "by_day": ["MO"]}`), RRULE text of one or
several lines, plain words, `{"rrule": […], "rdate": […], "exdate": […]}`, or None: once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from qhronos.core.recurrence import lines, phrases, stamps
from qhronos.core.recurrence.model import USUAL_DST, Dst, Fold, Recurrence, Subdaily
from qhronos.core.recurrence.rule import FIELDS, Fault, from_parts, to_text
from qhronos.core.recurrence.said import MOST, MOST_VALUES, Said, Stamp, read_rule, read_times, refuse_more
from qhronos.core.recurrence.stamps import FIRST_YEAR
from qhronos.core.recurrence.zones import LAST, face_of, instant, seconds, wall_seconds, zone
from qhronos.errors import Invalid

PARTS = {"frequency": "FREQ"} | {field: part for part, field in FIELDS.items() if part != "FREQ"}
KEYS = {part: key for key, part in PARTS.items()}
LINES = re.compile(r"FREQ=|^\s*(?:DTSTART|RRULE|RDATE|EXDATE|EXRULE)\b|^\s*[A-Z-]+[:;=]", re.IGNORECASE | re.MULTILINE)
SETS = ("rrule", "rdate", "exdate")


def parse(
    schedule: object,
    *,
    now: datetime,
    start_time: datetime | None = None,
    timezone: str | None = None,
    dst: Dst = USUAL_DST,
    subdaily: Subdaily = Subdaily.ELAPSED,
) -> Recurrence:
    """What a caller wrote, as the canonical recurrence; Invalid points at the part that cannot be.

    Does not look whether it ever fires (`check`). `start_time` with an offset is an instant, without one wall time in
    `timezone`; both may come from a DTSTART line instead. Without either it starts `now`, or with the first `rdate` if
    there is no rule. The zone is UTC if nothing names one.
    """
    said = _read(schedule, now, timezone)
    name = _zone_name(said.timezone, timezone)
    wall, second_pass = _start(said, start_time, now, name, dst)
    return Recurrence(
        dtstart=wall.replace(microsecond=0) if said.rules or said.rdate else wall,
        timezone=name,
        rrule=tuple(dict.fromkeys(map(to_text, said.rules))),
        rdate=_canonical(said.rdate, name),
        exdate=_canonical(said.exdate, name),
        second_pass=second_pass,
        dst=USUAL_DST if dst == USUAL_DST else dst,
        subdaily=subdaily,
    )


def brings(schedule: object, *, now: datetime, timezone: str | None = None) -> frozenset[str]:
    """Which of `start_time` and `timezone` the schedule names itself."""
    said = _read(schedule, now, timezone)
    names = {"start_time": said.dtstart, "timezone": said.timezone}
    return frozenset(name for name, value in names.items() if value is not None)


def restated(recurrence: Recurrence) -> object:
    """A schedule that `parse` reads as the same rules and dates; None for once."""
    sets = {name: list(getattr(recurrence, name)) for name in SETS}
    return sets if any(sets.values()) else None


def _zone_name(named: str | None, timezone: str | None) -> str:
    if named and timezone and named != timezone:
        raise Invalid(f"timezone: {timezone} here, {named} in the schedule; give one", field="timezone")
    return zone(named or timezone or "UTC").key


def _start(said: Said, start_time: datetime | None, now: datetime, name: str, dst: Dst) -> tuple[datetime, bool]:
    """Wall time, and whether it is the second of two."""
    dtstart = said.dtstart.value if said.dtstart else None
    given = [_on_wall(time, name, dst) for time in (start_time, dtstart) if isinstance(time, datetime)]
    if given:
        if given[0] != given[-1]:
            raise Invalid("start_time: differs from the start in the schedule; give one", field="start_time")
        return given[0]
    if said.rdate and not said.rules:
        face = face_of(name)
        dates = [_on_wall(datetime.fromisoformat(text), name, dst) for text in _canonical(said.rdate, name)]
        return min(dates, key=lambda date: face.passes(wall_seconds(date[0]))[date[1]])
    return _on_wall(now, name, dst)


def _on_wall(time: datetime, name: str, dst: Dst) -> tuple[datetime, bool]:
    if time.year < FIRST_YEAR or (seconds(time) if time.tzinfo else wall_seconds(time)) == LAST:
        raise Invalid(f"start_time: years run from {FIRST_YEAR} to 9999", field="start_time")
    if time.tzinfo:
        shown = time.astimezone(zone(name))
        return shown.replace(tzinfo=None, fold=0), bool(shown.fold)
    first, second = face_of(name).passes(wall_seconds(time))
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
        case None:
            return Said()
        case str():
            return _text(schedule, now, timezone)
        case Mapping() if "rrule" in schedule or (schedule and schedule.keys() <= {"rdate", "exdate"}):
            return _sets(schedule)
        case Mapping():
            return _object(schedule)
        case _:
            raise Invalid("schedule: must be an object, text or null", field="schedule")


def _text(text: str, now: datetime, timezone: str | None) -> Said:
    """One notation of many; words are what is none of the others."""
    if LINES.search(text) or not text.strip():
        return lines.read(text)
    return phrases.read(text, now, timezone)


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
