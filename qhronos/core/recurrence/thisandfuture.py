"""RANGE=THISANDFUTURE: a series that goes on otherwise from one instance on, as the series that it is made of."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.contentlines import Component, quoted
from qhronos.core.recurrence.expansion import is_settled, settle
from qhronos.core.recurrence.model import Recurrence
from qhronos.core.recurrence.rule import Freq, from_text, to_text
from qhronos.core.recurrence.schedule import parse
from qhronos.core.recurrence.series import until_of
from qhronos.core.recurrence.vevents import Calendar, Reader, read_event
from qhronos.core.recurrence.vtimezones import face_of
from qhronos.core.recurrence.zones import DAY, FIRST, LAST, Face, instant, seconds, wall_seconds, wall_time
from qhronos.errors import Invalid

WHEN = {"RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"}
SHARED = {"SUMMARY", "DESCRIPTION", "CATEGORIES"}
Part = tuple[Component, tuple[Component, ...]]


def parts(master: Component, overrides: tuple[Component, ...], calendar: Calendar, now: datetime) -> list[Part]:
    """The series until the first such instance, then one for each of them, every one with its own overrides."""
    if not any(map(_is_range, overrides)):
        return [(master, overrides)]
    series = Series(master, calendar, now)
    points = sorted((series.original(override), override) for override in overrides if _is_range(override))
    ends = [*(at for at, _ in points), LAST]
    plain = [(series.original(override), override) for override in overrides if not _is_range(override)]
    found = []
    if points[0][0] > series.starts:
        found.append((series.head(ends[0]), tuple(override for at, override in plain if at < ends[0])))
    for (since, override), until in zip(points, ends[1:], strict=True):
        if override.value("STATUS").upper() != "CANCELLED":
            ours = [(at, other) for at, other in plain if since <= at < until]
            found.append(series.tail(override, since, until, ours))
    return found


def _is_range(override: Component) -> bool:
    line = override.first("RECURRENCE-ID")
    return line is not None and line.parameters.get("RANGE", "").upper() == "THISANDFUTURE"


class Series:
    def __init__(self, master: Component, calendar: Calendar, now: datetime) -> None:
        if master.first("EXRULE"):
            raise Invalid(
                "EXRULE: cannot be divided by RANGE=THISANDFUTURE; name the dates in EXDATE", field="schedule"
            )
        self._master = master
        begins = master.first("DTSTART")
        self._tzid = begins.parameters.get("TZID", "") if begins else ""
        self._reader = Reader(master, calendar, now)
        recurrence = parse(read_event(master, (), calendar, now).said, now=now)
        while not is_settled(recurrence):
            recurrence = settle(recurrence)
        self._recurrence = recurrence
        self._face = face_of(recurrence.timezone, recurrence.vtimezone)
        self.starts = self._face.passes(wall_seconds(recurrence.dtstart))[0]

    def original(self, override: Component) -> int:
        line = override.first("RECURRENCE-ID")
        stamp = self._reader.stamps(line)[0] if line else None
        return self._reader.at(self._reader.timed(stamp)) if stamp else 0

    def head(self, until: int) -> Component:
        kept = [line for line in self._master.lines if line[0] not in WHEN]
        return Component("VEVENT", [*kept, *_rules(self._recurrence, until), *self._dates(FIRST, until, 0)], [])

    def tail(self, override: Component, since: int, until: int, others: list[tuple[int, Component]]) -> Part:
        shift = self._shift(override, since)
        kept = [line for line in override.lines if line[0] not in WHEN or line[0] == "RRULE"]
        kept += [(name, text) for name, text in self._master.lines if name in SHARED and not override.value(name)]
        if override.first("RRULE") is None:
            if shift:
                self._refuse_unless_the_rules_follow(since, shift)
            kept = [line for line in kept if line[0] != "DTSTART"]
            kept += [self._start(since, shift), *_rules(self._recurrence, until, shift)]
        kept += self._dates(since, until, shift)
        inside = tuple(_renamed(other, self._moved(at, shift)) for at, other in others)
        return Component("VEVENT", kept, []), inside

    def _start(self, since: int, shift: int) -> tuple[str, str]:
        """In the zone of the series, whose rule goes on."""
        tzid = self._tzid and f";TZID={quoted(self._tzid)}"
        wall = wall_time(since + self._face.offset(since) + shift)
        return "DTSTART", f"DTSTART{tzid}:{stamps.basic(wall)}{'Z' if self._reader.dtstart.tzinfo else ''}"

    def _shift(self, override: Component, since: int) -> int:
        """By how much the clock shows another time than it did."""
        begins = override.first("DTSTART")
        if begins is None:
            raise Invalid("DTSTART: missing", field="schedule")
        at = self._reader.at(self._reader.timed(self._reader.stamps(begins)[0]))
        return at + self._face.offset(at) - since - self._face.offset(since)

    def _refuse_unless_the_rules_follow(self, since: int, shift: int) -> None:
        wall = since + self._face.offset(since)
        rules = [from_text(text) for text in self._recurrence.rrule]
        if wall // DAY != (wall + shift) // DAY or any(
            rule.freq >= Freq.HOURLY or rule.by_hour or rule.by_minute or rule.by_second for rule in rules
        ):
            raise Invalid(
                "RECURRENCE-ID: RANGE=THISANDFUTURE moves the series to where its rule does not follow; "
                "give the changed instance an RRULE",
                field="schedule",
            )

    def _moved(self, at: int, shift: int) -> int:
        return self._face.passes(at + self._face.offset(at) + shift)[0]

    def _dates(self, since: int, until: int, shift: int) -> list[tuple[str, str]]:
        """What is added and taken away between the two instants."""
        found = []
        for name, texts in (("RDATE", self._recurrence.rdate), ("EXDATE", self._recurrence.exdate)):
            for value in map(stamps.read, texts):
                at = _at(value, self._face)
                if not isinstance(value, datetime):
                    found.append((name, f"{name};VALUE=DATE:{stamps.basic(value)}"))
                elif since <= at < until:
                    found.append((name, f"{name}:{stamps.basic(instant(self._moved(at, shift)))}"))
        return found


def _at(value: date, face: Face) -> int:
    if not isinstance(value, datetime):
        return 0
    return seconds(value) if value.tzinfo else face.passes(wall_seconds(value))[0]


def _rules(recurrence: Recurrence, until: int, shift: int = 0) -> list[tuple[str, str]]:
    """With an UNTIL for a COUNT, and none that is not before `until`."""
    face = face_of(recurrence.timezone, recurrence.vtimezone)
    counted = recurrence.counted or (None,) * len(recurrence.rrule)
    found = []
    for text, already in zip(recurrence.rrule, counted, strict=True):
        rule = from_text(text)
        end = seconds(already.until) if already else until_of(rule, face) - 1
        last = min(end + shift, until - 1)
        ends = None if last >= LAST - 1 else instant(last)
        found.append(("RRULE", f"RRULE:{to_text(msgspec.structs.replace(rule, count=None, until=ends))}"))
    return found


def _renamed(override: Component, at: int) -> Component:
    """The override of the instance at this instant."""
    lines = [line for line in override.lines if line[0] != "RECURRENCE-ID"]
    return Component(override.name, [*lines, ("RECURRENCE-ID", f"RECURRENCE-ID:{stamps.basic(instant(at))}")], [])
