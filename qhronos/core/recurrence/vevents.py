"""VEVENT and VCALENDAR text: what one event of it says of when, its changed instances included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from qhronos.core.recurrence import contentlines, stamps
from qhronos.core.recurrence.contentlines import Component, Line
from qhronos.core.recurrence.rule import Freq, Rule
from qhronos.core.recurrence.said import MOST, OwnRules, Said, Stamp, read_rule, refuse_more
from qhronos.core.recurrence.tzids import Meant, resolve
from qhronos.core.recurrence.vtimezones import face_of
from qhronos.core.recurrence.zones import instant, seconds, wall_seconds, wall_time
from qhronos.errors import Invalid

FIELD = "schedule"
MOST_TEXT = 64 * 1024
MOST_VTIMEZONES = 100
MIDNIGHT = time.min
DURATION = re.compile(
    r"\+?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?", re.ASCII
)
UNITS = (timedelta(weeks=1), timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))


class Calendar(NamedTuple):
    """What the events of a calendar share. `floating` is the zone of times that name none, as Google says it."""

    vtimezones: dict[str, Component]
    floating: str


class Group(NamedTuple):
    """The VEVENTs of one UID: the series, and instances that were changed."""

    uid: str
    master: Component | None
    overrides: tuple[Component, ...]
    calendar: Calendar


class Reading(NamedTuple):
    said: Said
    warnings: tuple[str, ...]


def read(text: str, now: datetime) -> Said:
    """Of the one event in the text. Raises Invalid."""
    if len(text.encode()) > MOST_TEXT:
        raise Invalid(f"schedule: longer than {MOST_TEXT} bytes", field=FIELD)
    found = groups(contentlines.read(text))
    if len(found) != 1:
        raise Invalid(f"schedule: {len(found)} events in the text, one is taken; import a file of several", field=FIELD)
    group = found[0]
    master, overrides = (group.master, group.overrides) if group.master else (group.overrides[0], group.overrides[1:])
    return read_event(master, overrides, group.calendar, now).said


def groups(root: Component) -> list[Group]:
    """In the order in which their UIDs come. Of several of the same, the highest SEQUENCE counts, then DTSTAMP."""
    found: dict[str, list[tuple[Component, Calendar]]] = {}
    for component, calendar in _events(root):
        found.setdefault(component.value("UID"), []).append((component, calendar))
    return [group for uid, members in found.items() for group in _grouped(uid, members)]


def _events(root: Component) -> Iterator[tuple[Component, Calendar]]:
    for holder in (root, *root.each("VCALENDAR")):
        events = holder.each("VEVENT")
        if events:
            calendar = _calendar(holder)
            yield from ((event, calendar) for event in events)


def _calendar(holder: Component) -> Calendar:
    sent = holder.each("VTIMEZONE")
    refuse_more("VTIMEZONE", sent, MOST_VTIMEZONES, FIELD)
    return Calendar(
        {component.value("TZID").strip('"'): component for component in sent}, holder.value("X-WR-TIMEZONE")
    )


def _grouped(uid: str, members: list[tuple[Component, Calendar]]) -> Iterator[Group]:
    members = sorted(members, key=lambda member: _edition(member[0]))
    masters = [member for member in members if not member[0].value("RECURRENCE-ID")]
    if not uid and len(masters) > 1:  # without a UID nothing holds them together
        yield from (Group(uid, master, (), calendar) for master, calendar in masters)
        masters = []
    instances = {_id_of(component): component for component, _ in members if component.value("RECURRENCE-ID")}
    if masters or instances:
        master = masters[-1][0] if masters else None
        yield Group(uid, master, tuple(instances.values()), members[-1][1])


def _edition(component: Component) -> tuple[int, str]:
    sequence = component.value("SEQUENCE")
    return int(sequence) if re.fullmatch("[0-9]{1,9}", sequence) else 0, component.value("DTSTAMP")


def _id_of(component: Component) -> tuple[str, str]:
    line = component.first("RECURRENCE-ID")
    return (line.value.strip().upper(), line.parameters.get("TZID", "")) if line else ("", "")


class Reader:
    """The lines of one event, in the zone of its DTSTART."""

    def __init__(self, master: Component, calendar: Calendar, now: datetime) -> None:
        self._calendar = calendar
        self._now = now
        self.warnings: dict[str, None] = {}
        line = master.first("DTSTART")
        if line is None:
            raise Invalid("DTSTART: missing", field=FIELD)
        value = _read("DTSTART", line.value)
        self.is_day = not isinstance(value, datetime)
        wall = _at_midnight(value)
        self._since = wall if wall.tzinfo else wall.replace(tzinfo=UTC)
        self.home = self._zone(line) or (None if wall.tzinfo else self._floating())
        self.dtstart = wall

    def _zone(self, line: Line) -> Meant | None:
        tzid = line.parameters.get("TZID", "")
        return self._meant(tzid) if tzid else None

    def _floating(self) -> Meant | None:
        return self._meant(self._calendar.floating) if self._calendar.floating else None

    def _meant(self, tzid: str) -> Meant:
        meant = resolve(tzid, self._calendar.vtimezones, self._since, self._now)
        if meant.warning:
            self.warnings[meant.warning] = None
        return meant

    def stamps(self, line: Line) -> list[Stamp]:
        """In the zone of DTSTART, or as instants; of a period only its start, as an event of ours takes no time."""
        zone = self._zone(line)
        found = []
        for word in line.value.split(","):
            value = _read(line.name, word.partition("/")[0])
            if isinstance(value, datetime) and value.tzinfo is None and zone and zone != self.home:
                value = instant(face_of(zone.name, zone.rules).passes(wall_seconds(value))[0])
            found.append(Stamp(value, None))
        return found

    def at(self, stamp: Stamp) -> int:
        """As an instant; a day as that of its midnight."""
        wall = _at_midnight(stamp.value)
        if wall.tzinfo:
            return seconds(wall)
        face = face_of(self.home.name, self.home.rules) if self.home else face_of("UTC")
        return face.passes(wall_seconds(wall))[0]

    def wall(self, stamp: Stamp) -> datetime:
        """By the local clock of the event."""
        value = _at_midnight(stamp.value)
        if value.tzinfo is None:
            return value
        at = seconds(value)
        return wall_time(at + (face_of(self.home.name, self.home.rules) if self.home else face_of("UTC")).offset(at))

    def timed(self, stamp: Stamp) -> Stamp:
        """A day as the time that DTSTART has on it."""
        if isinstance(stamp.value, datetime):
            return stamp
        return Stamp(datetime.combine(stamp.value, self.dtstart.timetz()), None)


def _read(name: str, text: str) -> date:
    try:
        value = stamps.read(text)
    except ValueError as error:
        raise Invalid(f"{name}: {text.strip()[:64]}: {error}", field=FIELD) from error
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _at_midnight(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, MIDNIGHT)


def read_event(master: Component, overrides: Sequence[Component], calendar: Calendar, now: datetime) -> Reading:
    """What the event says of when. A changed instance takes its original time away and adds the new one."""
    reader = Reader(master, calendar, now)
    rules, exrules = _rules(master, "RRULE"), _rules(master, "EXRULE")
    added = [reader.timed(stamp) for line in master.all("RDATE") for stamp in reader.stamps(line)]
    taken = [stamp for line in master.all("EXDATE") for stamp in reader.stamps(line)]
    moved: list[Stamp] = []
    for override in overrides:
        original, new = _moved(override, reader)
        if new is None or reader.at(new) != reader.at(original):
            taken.append(original)
            moved += [new] if new else []
    rdate, exdate = (*added, *moved), _without(taken, moved, rules, reader)
    refuse_more("RDATE", rdate, MOST["rdate"], FIELD)
    refuse_more("EXDATE", exdate, MOST["exdate"], FIELD)
    home = reader.home
    said = Said(
        rules=rules,
        rdate=rdate,
        exdate=exdate,
        exrules=exrules,
        dtstart=Stamp(reader.dtstart, home.name if home else None),
        timezone=home.name if home else None,
        own_rules=OwnRules(home.name, home.rules) if home and home.rules else None,
    )
    return Reading(said, tuple(reader.warnings))


class Lengths(NamedTuple):
    """How long an instance takes by the local clock, and those at local times that take otherwise."""

    usual: timedelta
    others: dict[datetime, timedelta]

    def of(self, wall: datetime) -> timedelta:
        return self.others.get(wall, self.usual)


def lengths(master: Component, overrides: Sequence[Component], calendar: Calendar, now: datetime) -> Lengths:
    """Matters only where an event closes days. Raises Invalid for what cannot be read."""
    reader = Reader(master, calendar, now)
    usual = _length(reader, master) or timedelta(days=1 if reader.is_day else 0)
    others = {}
    for line in master.all("RDATE"):
        for word, stamp in zip(line.value.split(","), reader.stamps(line), strict=True):
            if end := word.partition("/")[2]:
                begins = reader.wall(stamp)
                others[begins] = duration_of(end) if "P" in end.upper() else _until(reader, line, end) - begins
    for override in overrides:
        if said := override.first("DTSTART"):
            wall = reader.wall(reader.timed(reader.stamps(said)[0]))
            others[wall] = _length(Reader(override, calendar, now), override) or usual
    return Lengths(usual, others)


def _length(reader: Reader, event: Component) -> timedelta | None:
    """None: it is not said."""
    if end := event.first("DTEND"):
        return max(reader.wall(reader.stamps(end)[0]) - reader.wall(Stamp(reader.dtstart, None)), timedelta())
    said = event.first("DURATION")
    return duration_of(said.value) if said else None


def _until(reader: Reader, line: Line, end: str) -> datetime:
    return reader.wall(reader.stamps(line._replace(value=end))[0])


def duration_of(text: str) -> timedelta:
    """Of RFC 5545 §3.3.6. Raises Invalid for what is none."""
    found = DURATION.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()):
        raise Invalid(f"DURATION: {text.strip()[:64]}: must be like P1D or PT8H30M", field=FIELD)
    return sum((int(part or 0) * unit for part, unit in zip(found.groups(), UNITS, strict=True)), timedelta())


def _rules(master: Component, name: str) -> tuple[Rule, ...]:
    # Exchange writes `BYDAY=2 TH` and `BYDAY=MO, FR`.
    rules = tuple(read_rule("".join(line.value.split()), FIELD) for line in master.all(name))
    refuse_more(name, rules, MOST["rrule"], FIELD)
    return rules


def _moved(override: Component, reader: Reader) -> tuple[Stamp, Stamp | None]:
    """The original time of an instance, and its new one if it still takes place."""
    line = override.first("RECURRENCE-ID")
    if line is None or line.parameters.get("RANGE", "").upper() == "THISANDFUTURE":
        raise Invalid(
            "RECURRENCE-ID: RANGE=THISANDFUTURE makes two events of one; import the text instead", field=FIELD
        )
    original = reader.stamps(line)[0]
    if reader.is_day or not isinstance(original.value, datetime):
        original = reader.timed(original)
    begins = override.first("DTSTART")
    if override.value("STATUS").upper() == "CANCELLED" or begins is None:
        return original, None
    return original, reader.timed(reader.stamps(begins)[0])


def _without(taken: list[Stamp], moved: list[Stamp], rules: tuple[Rule, ...], reader: Reader) -> tuple[Stamp, ...]:
    """EXDATE takes away whatever is at its time, so it must not name a time to which an instance was moved."""
    kept = {reader.at(stamp) for stamp in moved}
    days = {_day(reader, stamp) for stamp in moved}
    found = []
    for stamp in taken:
        if not isinstance(stamp.value, datetime) and stamp.value in days:
            if any(rule.freq >= Freq.HOURLY or rule.by_hour or rule.by_minute or rule.by_second for rule in rules):
                why = "takes away the whole day, yet an instance was moved to it; name the times that it takes away"
                raise Invalid(f"EXDATE: {stamps.iso(stamp.value)}: {why}", field=FIELD)
            stamp = reader.timed(stamp)  # noqa: PLW2901 - the same, said otherwise
        if not isinstance(stamp.value, datetime) or reader.at(stamp) not in kept:
            found.append(stamp)
    return tuple(found)


def _day(reader: Reader, stamp: Stamp) -> date:
    at = reader.at(stamp)
    face = face_of(reader.home.name, reader.home.rules) if reader.home else face_of("UTC")
    return instant(at + face.offset(at)).date()
