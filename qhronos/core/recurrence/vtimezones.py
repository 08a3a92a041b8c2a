"""Zones that are no IANA zones: the observances of a VTIMEZONE, kept as canonical text and read as a clock.

The text has a line for each observance: `DAYLIGHT 19810329T020000 +0100 +0200 FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU`, that is
its kind, its first onset on the clock before it, the offsets from UTC before and after, then its rules and more onsets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.contentlines import Component
from qhronos.core.recurrence.days import EXAMPLES, allowed_days
from qhronos.core.recurrence.model import USUAL_DST, ClockChange, Subdaily
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import Freq, Rule, from_text, to_text
from qhronos.core.recurrence.said import read_rule, refuse_more
from qhronos.core.recurrence.series import Start, completed, stream
from qhronos.core.recurrence.zones import DAY, FIRST, LAST, SECOND, Face, changes_of, seconds, wall_seconds
from qhronos.core.recurrence.zones import face_of as face_of_iana
from qhronos.errors import Invalid

FIELD = "schedule"
MOST_OBSERVANCES = 500
MOST_RULES = 20
MOST_ONSETS = 1000  # that are named one by one
MOST_PER_YEAR = 12  # onsets of a rule
LONGEST_OFFSET = 18 * 3600
SPAN = 64 * 366 * DAY  # what is computed at once
MARGIN = 3 * DAY
MOST_SPANS = 8
WHOLE = Steps(0)  # nobody counts them: the rules are few and seldom
OFFSET = re.compile(r"([+-])(\d\d):?([0-5]\d):?([0-5]\d)?", re.ASCII)
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z?", re.ASCII | re.IGNORECASE)
EARLIEST_YEAR = 1900
WEEKS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Observance(NamedTuple):
    kind: str
    starts: datetime  # on the clock before it
    before: int
    after: int
    rules: tuple[Rule, ...]
    more: tuple[datetime, ...]


def rules_of(component: Component) -> str:
    """The canonical text of a VTIMEZONE. Raises Invalid."""
    found = [_observance(part) for part in component.inside if part.name in {"STANDARD", "DAYLIGHT"}]
    if not found:
        raise Invalid("VTIMEZONE: has neither STANDARD nor DAYLIGHT", field=FIELD)
    refuse_more("VTIMEZONE", found, MOST_OBSERVANCES, FIELD)
    refuse_more("VTIMEZONE RRULE", [rule for observance in found for rule in observance.rules], MOST_RULES, FIELD)
    refuse_more("VTIMEZONE RDATE", [more for observance in found for more in observance.more], MOST_ONSETS, FIELD)
    return "\n".join(sorted({_line(observance) for observance in found}))


def _observance(part: Component) -> Observance:
    starts = _time(part.value("DTSTART"))
    after = _offset(part.value("TZOFFSETTO"))
    before = part.value("TZOFFSETFROM")
    rules = tuple(read_rule("".join(line.value.split()), FIELD) for line in part.all("RRULE"))
    for rule in rules:
        _refuse_often(rule, starts)
    more = [_time(word.strip()) for line in part.all("RDATE") for word in line.value.split(",")]
    return Observance(part.name, starts, _offset(before) if before else after, after, rules, tuple(sorted(set(more))))


def _time(text: str) -> datetime:
    found = TIME.fullmatch(text)
    try:
        if not found:
            raise ValueError("is no time such as 19701025T030000")
        year, month, day, hour, minute, second = map(int, found.groups())
        # Outlook counts from 1601, before all that is asked.
        first = max(year, EARLIEST_YEAR)
        day = min(day, 28) if first > year else day
        return datetime(first, month, day, hour, minute, second)  # noqa: DTZ001 - wall time
    except ValueError as error:
        raise Invalid(f"VTIMEZONE: {text[:64]!r}: {error}", field=FIELD) from error


def _offset(text: str) -> int:
    found = OFFSET.fullmatch(text)
    if found:
        sign, hours, minutes, rest = found.groups()
        offset = int(hours) * 3600 + int(minutes) * 60 + int(rest or 0)
        if offset <= LONGEST_OFFSET:
            return -offset if sign == "-" else offset
    raise Invalid(f"VTIMEZONE: TZOFFSET {text[:64]!r}: must be such as +0100, up to 18 hours", field=FIELD)


def _refuse_often(rule: Rule, starts: datetime) -> None:
    full = completed(rule, starts)
    if rule.freq is not Freq.YEARLY or len(full.by_hour) * len(full.by_minute) * len(full.by_second) > 1:
        raise Invalid(f"VTIMEZONE: RRULE: {to_text(rule)}: must be yearly, once a day", field=FIELD)
    days = allowed_days(full)
    if max(len(days.of_year(year)) for year in EXAMPLES.values()) > MOST_PER_YEAR:
        raise Invalid(f"VTIMEZONE: RRULE: {to_text(rule)}: more than {MOST_PER_YEAR} times a year", field=FIELD)


def _line(observance: Observance) -> str:
    kind, starts, before, after, rules, more = observance
    words = [kind, stamps.basic(starts), _shown(before), _shown(after), *map(to_text, rules), *map(stamps.basic, more)]
    return " ".join(words)


def _shown(offset: int) -> str:
    minutes, rest = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}{minutes % 60:02}{f'{rest:02}' if rest else ''}"


def _parsed(line: str) -> Observance:
    kind, starts, before, after, *words = line.split(" ")
    rules = tuple(from_text(word) for word in words if "=" in word)
    more = tuple(_time(word) for word in words if "=" not in word)
    return Observance(kind, _time(starts), _offset(before), _offset(after), rules, more)


def lines_of(tzid: str, rules: str) -> list[str]:
    """The VTIMEZONE that `rules_of` reads as these rules."""
    lines = ["BEGIN:VTIMEZONE", f"TZID:{tzid}"]
    for kind, starts, before, after, recurring, more in map(_parsed, rules.split("\n")):
        lines += [f"BEGIN:{kind}", f"DTSTART:{stamps.basic(starts)}"]
        lines += [f"TZOFFSETFROM:{_shown(before)}", f"TZOFFSETTO:{_shown(after)}"]
        lines += [f"RRULE:{to_text(rule)}" for rule in recurring]
        lines += [f"RDATE:{stamps.basic(time)}" for time in more]
        lines += [f"END:{kind}"]
    return [*lines, "END:VTIMEZONE"]


class Span(NamedTuple):
    """The onsets of some years, in order, and the offsets before, between and after them."""

    onsets: list[int]
    offsets: list[int]
    first_walls: list[int]  # until when the offset before an onset holds on the wall, with fold 0
    second_walls: list[int]  # and with fold 1


class OwnZone(tzinfo):
    """Before its first onset it has the offset from which that one goes. Years are computed when they are asked for."""

    def __init__(self, key: str, rules: str) -> None:
        self.key = key
        self._observances = tuple(map(_parsed, rules.split("\n")))
        self._faces = [Face(timezone(timedelta(seconds=observance.before))) for observance in self._observances]
        earliest = min(self._observances, key=lambda observance: wall_seconds(observance.starts) - observance.before)
        self._at_first = earliest.before
        self._spans: dict[int, Span] = {}

    def utcoffset(self, when: datetime | None) -> timedelta:
        if when is None:
            return timedelta(0)
        wall = wall_seconds(when.replace(tzinfo=None))
        span = self._span(wall // SPAN)
        walls = span.second_walls if when.fold else span.first_walls
        return span.offsets[bisect_right(walls, wall)] * SECOND

    def fromutc(self, when: datetime) -> datetime:
        utc = wall_seconds(when.replace(tzinfo=None))
        span = self._span(utc // SPAN)
        index = bisect_right(span.onsets, utc)
        offset = span.offsets[index]
        lost = span.offsets[index - 1] - offset if index else 0
        return (when + offset * SECOND).replace(fold=int(index > 0 and utc - span.onsets[index - 1] < lost))

    def tzname(self, when: datetime | None) -> str:  # noqa: ARG002 - a zone has one name
        return self.key

    def dst(self, when: datetime | None) -> None:  # noqa: ARG002 - what of an offset is summer time is not known
        return None

    def changes(self, since: int, until: int) -> list[tuple[int, int, int]]:
        """When the offset changes within [since, until), and from what to what."""
        found = {}
        for index in range(since // SPAN, (until - 1) // SPAN + 1):
            span = self._span(index)
            between = zip(span.onsets, *zip(*pairwise(span.offsets), strict=True), strict=True) if span.onsets else ()
            found.update({at: (at, before, after) for at, before, after in between if since <= at < until})
        return sorted(found.values())

    def _span(self, index: int) -> Span:
        span = self._spans.get(index)
        if span is None:
            if len(self._spans) >= MOST_SPANS:
                self._spans.clear()
            self._spans[index] = span = self._computed(index * SPAN - MARGIN, (index + 1) * SPAN + MARGIN)
        return span

    def _computed(self, since: int, until: int) -> Span:
        found = sorted(
            (at, number) for number in range(len(self._observances)) for at in self._onsets(number, since, until)
        )
        span = Span([], [self._before(since)], [], [])
        for at, number in found:
            before, after = span.offsets[-1], self._observances[number].after
            if before != after:
                span.onsets.append(at)
                span.offsets.append(after)
                span.first_walls.append(at + max(before, after))
                span.second_walls.append(at + min(before, after))
        return span

    def _before(self, since: int) -> int:
        """The offset just before."""
        last = max((self._last(number, since), number) for number in range(len(self._observances)))
        return self._at_first if last[0] < FIRST else self._observances[last[1]].after

    def _last(self, number: int, until: int) -> int:
        """The last onset of an observance before `until`; long before all times if there is none."""
        reach, first = 8 * 366 * DAY, FIRST - 2 * DAY
        while True:
            since = max(until - reach, first)
            found = self._onsets(number, since, until)
            if found or since == first:
                return max(found, default=FIRST - 1)
            reach *= 4

    def _onsets(self, number: int, since: int, until: int) -> list[int]:
        _, starts, before, _, rules, more = self._observances[number]
        face, wall = self._faces[number], wall_seconds(starts)
        start = Start(wall - before, wall)
        named = [wall_seconds(time) - before for time in (*more, *(() if rules else (starts,)))]
        found = [at for at in named if since <= at < until]
        for rule in rules:
            series = stream(rule, None, start, USUAL_DST, Subdaily.ELAPSED, face)
            moments = series.moments(max(since, FIRST), min(until, LAST), face, WHOLE)
            found += [at for at, _, mark in moments if mark is not None]
        return found


@lru_cache(maxsize=64)
def _own(name: str, rules: str) -> Face:
    return Face(OwnZone(name, rules))


def face_of(name: str, rules: str = "") -> Face:
    """Of an IANA zone, or of a zone with its own rules."""
    return _own(name, rules) if rules else face_of_iana(name)


def clock_changes(
    timezone: str, since: datetime, until: datetime, limit: int = 100, vtimezone: str = ""
) -> tuple[ClockChange, ...]:
    """When the offset of the zone changes within [since, until), at most `limit` changes and over some fifty years."""
    return changes_of(face_of(timezone, vtimezone), since, until, limit)


@lru_cache(maxsize=64)
def rules_from_iana(name: str, year: int) -> str:
    """The rules of an IANA zone from the year before `year` on, exact for the some fifty years that are looked at; what
    goes on by a plain rule at their end goes on for ever."""
    since = datetime(year - 1, 1, 1, tzinfo=UTC)
    until = datetime(min(year + YEARS, 9999), 1, 1, tzinfo=UTC)
    changes = changes_of(face_of_iana(name), since, until, 4 * YEARS)
    offset = face_of_iana(name).offset(seconds(since))
    first = Observance("STANDARD", since.replace(tzinfo=None), offset, offset, (), ())
    return "\n".join(sorted(map(_line, [first, *_observances(changes, until.year - 1)])))


YEARS = 40


def _observances(changes: tuple[ClockChange, ...], last_year: int) -> Iterator[Observance]:
    kinds: dict[tuple[int, int], list[datetime]] = {}
    for change in changes:
        before, after = change.before // SECOND, change.after // SECOND
        wall = (change.at + change.before).replace(tzinfo=None)
        kinds.setdefault((before, after), []).append(wall)
    for (before, after), walls in kinds.items():
        kind = "DAYLIGHT" if after > before else "STANDARD"
        begins, rule = _tail(walls, last_year)
        if rule:
            yield Observance(kind, walls[begins], before, after, (from_text(rule),), ())
        if begins:
            yield Observance(kind, walls[0], before, after, (), tuple(walls[1:begins]))


def _tail(walls: list[datetime], last_year: int) -> tuple[int, str]:
    """From which onset on they follow a yearly rule to the end, and the rule; the end if there is none."""
    best = len(walls), ""
    if walls[-1].year != last_year:
        return best
    for name in (_nth, _last_of_month):
        begins = len(walls) - 1
        while begins and _follows(walls[begins - 1], walls[begins]) and name(walls[begins - 1]) == name(walls[-1]):
            begins -= 1
        if name(walls[-1]) and len(walls) - begins >= LEAST_TAIL and begins < best[0]:
            best = begins, f"FREQ=YEARLY;BYMONTH={walls[-1].month};BYDAY={name(walls[-1])}"
    return best


LEAST_TAIL = 12  # years, in which a weekday comes to each of its places


def _follows(earlier: datetime, later: datetime) -> bool:
    return (earlier.year + 1, earlier.month, earlier.time()) == (later.year, later.month, later.time())


def _nth(day: date) -> str:
    return f"{(day.day + 6) // 7}{WEEKS[day.weekday()]}"


def _last_of_month(day: date) -> str:
    return f"-1{WEEKS[day.weekday()]}" if (day + timedelta(days=7)).month != day.month else ""
