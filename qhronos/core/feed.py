"""Events as a calendar that others subscribe to: RFC 5545, with the hints of RFC 7986 on when to come again.

An event whose rule means the same to every reader of RFC 5545 is written as that rule. All others, those that policies
move among them, are written as single events for what happens within the horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence import Instant, Mark, Recurrence, expand, settle, start
from qhronos.core.recurrence.contentlines import escaped, quoted, written
from qhronos.core.recurrence.model import USUAL_DST
from qhronos.core.recurrence.rule import Freq, Rule, Skip, from_text
from qhronos.core.recurrence.rule import to_text as rule_text
from qhronos.core.recurrence.series import completed, until_of
from qhronos.core.recurrence.stamps import basic
from qhronos.core.recurrence.stamps import read as read_time
from qhronos.core.recurrence.vtimezones import face_of, lines_of, rules_from_iana
from qhronos.core.recurrence.zones import LAST, instant, wall_seconds

PRODID = "-//Qhronos//Qhronos//EN"
AGAIN = "PT1H"
MOST_SINGLES = 500  # of an event
MOST_DATES = 2000
LONGEST_DAY = timedelta(days=2)
SECOND = timedelta(seconds=1)
# Nobody fires a paused event, and a calendar cannot say so in other words.
SURE = {"active", "completed"}


class Changed(NamedTuple):
    """One occurrence that differs: it happens at `at`, or not at all."""

    due_at: datetime
    at: datetime | None


class Entry(NamedTuple):
    """An event to publish; `status` as in the API."""

    uid: str
    name: str
    description: str
    recurrence: Recurrence
    tags: tuple[str, ...]
    status: str
    sequence: int
    created_at: datetime
    updated_at: datetime
    changed: tuple[Changed, ...] = ()
    later: Callable[[datetime], timedelta] | None = None  # how much later than due an instant acts, if it does


class When(NamedTuple):
    """What a VEVENT says of when, in lines; `zone` is the name it uses, if any, and `since` its first local day."""

    lines: list[str]
    zone: tuple[str, str] | None
    since: date


def calendar(name: str, entries: Sequence[Entry], now: datetime, horizon: timedelta) -> bytes:
    """The same bytes for the same entries on the same day (UTC)."""
    zones: dict[tuple[str, str], date] = {}
    events: list[str] = []
    for entry in entries:
        whole = None if entry.later else _whole(entry.recurrence)
        if whole is None or (entry.changed and not entry.recurrence.rrule):  # an instance is one of a rule
            events += _singles(entry, datetime.combine(now.astimezone(UTC), time.min, UTC), horizon)
        else:
            instances = _instances(entry)
            taken = [f"EXDATE{when}" for when, at in instances if at is None]
            events += _event(entry, entry.uid, [*whole.lines, *taken])
            for when, at in instances:
                if at is not None:
                    events += _event(entry, entry.uid, [f"RECURRENCE-ID{when}", f"DTSTART:{_utc(at)}"])
            if whole.zone:
                zones[whole.zone] = min(zones.get(whole.zone, whole.since), whole.since)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODID}", "CALSCALE:GREGORIAN", "METHOD:PUBLISH"]
    lines += [f"NAME:{escaped(name)}", f"X-WR-CALNAME:{escaped(name)}"]
    lines += [f"REFRESH-INTERVAL;VALUE=DURATION:{AGAIN}", f"X-PUBLISHED-TTL:{AGAIN}"]
    for (zone, rules), since in sorted(zones.items()):
        lines += lines_of(zone, rules or rules_from_iana(zone, since.year))
    return written([*lines, *events, "END:VCALENDAR"])


def _event(entry: Entry, uid: str, when: list[str]) -> list[str]:
    lines = ["BEGIN:VEVENT", f"UID:{escaped(uid)}", f"SEQUENCE:{entry.sequence}"]
    lines += [f"DTSTAMP:{_utc(entry.updated_at)}", f"LAST-MODIFIED:{_utc(entry.updated_at)}"]
    lines += [f"CREATED:{_utc(entry.created_at)}", *when, f"SUMMARY:{escaped(entry.name)}"]
    if entry.description:
        lines += [f"DESCRIPTION:{escaped(entry.description)}"]
    if entry.tags:
        lines += [f"CATEGORIES:{','.join(map(escaped, entry.tags))}"]
    status = "CONFIRMED" if entry.status in SURE else "TENTATIVE"
    return [*lines, f"STATUS:{status}", "TRANSP:TRANSPARENT", "END:VEVENT"]


def _utc(at: datetime) -> str:
    return basic(at.astimezone(UTC).replace(microsecond=0))


def _singles(entry: Entry, since: datetime, horizon: timedelta) -> Iterator[str]:
    found = expand(entry.recurrence, since, since + horizon, MOST_SINGLES).instants
    happens: dict[datetime, datetime | None] = {one.at: one.at for one in found}
    happens |= {
        due_at: at for due_at, at in entry.changed if due_at in happens or (at and since <= at < since + horizon)
    }
    for due_at, at in sorted(happens.items(), key=itemgetter(0)):
        if at is not None:
            acts = at + entry.later(due_at) if entry.later and at == due_at else at
            yield from _event(entry, f"{entry.uid}-{_utc(due_at)}", [f"DTSTART:{_utc(acts)}"])


def _instances(entry: Entry) -> list[tuple[str, datetime | None]]:
    """The instances of a rule that were changed, each as a line names it after its word, and when it happens."""
    return [
        (_line("", entry.recurrence, found.wall), at)
        for due_at, at in sorted(entry.changed, key=itemgetter(0))
        for found in expand(entry.recurrence, due_at, due_at + SECOND, 1).instants
    ]


def _whole(recurrence: Recurrence) -> When | None:
    """The recurrence in lines, if everybody reads them as we do."""
    if not _is_plain(recurrence):
        return None
    if not recurrence.rrule:
        return _dates(recurrence)
    rule = _rule(recurrence)
    if rule is None:
        return None
    alone = msgspec.structs.replace(recurrence, rdate=())
    found = expand(alone, start(recurrence), None, 1)
    if not found.instants:
        return None
    first = found.instants[0]
    if first.at != start(recurrence):  # readers show DTSTART, so it has to be one that happens
        rule = completed(rule, recurrence.dtstart)
    more = _added(recurrence, first.at)
    if more is None:
        return None
    lines = [_line("DTSTART", recurrence, first.wall), f"RRULE:{rule_text(rule)}"]
    lines += [_line("RDATE", recurrence, wall) for wall in more]
    lines += [_line("EXDATE", recurrence, wall) for wall in _taken(recurrence, first.at)]
    return When(lines, _zone(recurrence), first.wall.date())


def _is_plain(recurrence: Recurrence) -> bool:
    if recurrence.exrule or recurrence.business:
        return False
    return recurrence.dst == USUAL_DST and len(recurrence.rrule) <= (0 if recurrence.second_pass else 1)


def _rule(recurrence: Recurrence) -> Rule | None:
    """The rule as every reader understands it: an UNTIL in UTC for COUNT, and nothing left open that the RFC leaves open."""
    rule = from_text(recurrence.rrule[0])
    if (
        rule.freq > Freq.DAILY
        or rule.skip is not Skip.OMIT
        or 60 in rule.by_second
        or (rule.by_week_no and rule.interval > 1)
    ):
        return None
    until: datetime | None
    if rule.count is not None:
        counted = settle(recurrence).counted[0]
        if counted is None or counted.left:
            return None
        until = counted.until
    else:
        last = until_of(rule, face_of(recurrence.timezone, recurrence.vtimezone)) - 1
        until = instant(last) if last < LAST - 1 else None
    full = completed(rule, recurrence.dtstart)
    by_day = full.by_day if rule.by_week_no else rule.by_day
    by_month = full.by_month if rule.freq is Freq.YEARLY and rule.by_month_day else rule.by_month
    return msgspec.structs.replace(rule, count=None, until=until, by_day=by_day, by_month=by_month)


def _dates(recurrence: Recurrence) -> When | None:
    """Without a rule: DTSTART and RDATE are all there is."""
    since = min([start(recurrence), *(_moment(recurrence, text) for text in recurrence.rdate)])
    found = expand(recurrence, since, None, MOST_DATES)
    if not found.ended or not found.instants:
        return None
    first, *others = found.instants
    if not all(map(_is_shown, found.instants)):
        lines = [f"DTSTART:{_utc(first.at)}", *(f"RDATE:{_utc(other.at)}" for other in others)]
        return When(lines, None, first.at.date())
    lines = [_line("DTSTART", recurrence, first.wall), *(_line("RDATE", recurrence, other.wall) for other in others)]
    return When(lines, _zone(recurrence), first.wall.date())


def _added(recurrence: Recurrence, first: datetime) -> list[datetime] | None:
    """The wall times of RDATE; None if they cannot be told by them, or come before the first of the rule."""
    moments = sorted({_moment(recurrence, text) for text in recurrence.rdate})
    found = [one for at in moments if at != first for one in expand(recurrence, at, at + SECOND, 1).instants]
    if not all(one.at > first and _is_shown(one) for one in found):
        return None
    return [one.wall for one in found]


def _taken(recurrence: Recurrence, first: datetime) -> list[datetime]:
    """The wall times that EXDATE takes away from the rule; readers do not agree on what a day takes away."""
    everything = msgspec.structs.replace(recurrence, rdate=(), exdate=())
    walls = set()
    for text in recurrence.exdate:
        value, at = read_time(text), _moment(recurrence, text)
        is_day = not isinstance(value, datetime)
        found = expand(everything, max(at, first), max(at, first) + (LONGEST_DAY if is_day else SECOND), MOST_SINGLES)
        walls |= {one.wall for one in found.instants if not is_day or one.wall.date() == value}
    return sorted(walls)


def _moment(recurrence: Recurrence, text: str) -> datetime:
    value = read_time(text)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if value.tzinfo:
        return value
    return instant(min(face_of(recurrence.timezone, recurrence.vtimezone).passes(wall_seconds(value))))


def _is_shown(found: Instant) -> bool:
    """Whether its wall time alone means it."""
    return found.mark is not Mark.FOLD_SECOND


def _line(name: str, recurrence: Recurrence, wall: datetime) -> str:
    text = basic(wall.replace(microsecond=0))
    if recurrence.timezone == "UTC":
        return f"{name}:{text}Z"
    return f"{name};TZID={quoted(recurrence.timezone)}:{text}"


def _zone(recurrence: Recurrence) -> tuple[str, str] | None:
    return None if recurrence.timezone == "UTC" else (recurrence.timezone, recurrence.vtimezone)
