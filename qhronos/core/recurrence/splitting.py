"""A series in two: what comes before an instant, and what follows from it on.

Both halves are recurrences of their own, and together they give what the whole gave. The second begins at the instant, so
what its rules left to DTSTART is written out where the instant says something else, and what they counted from DTSTART
must come out the same from there. Where it does not, the split is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.days import Periods, day_of
from qhronos.core.recurrence.expansion import MICROSECOND, expand, resolved, start
from qhronos.core.recurrence.model import Instant, Mark, Recurrence, Subdaily
from qhronos.core.recurrence.rule import Freq, Rule, from_text, to_text
from qhronos.core.recurrence.series import completed
from qhronos.core.recurrence.ticks import UNITS
from qhronos.core.recurrence.zones import WALL_EPOCH
from qhronos.errors import Invalid

FIELD = "scheduled_at"
COMPARED = 300  # instants of the second half that are held against the whole
ROLLED = timedelta(days=400)  # further than anything is rolled
ROLLS_OVER = "closed days are rolled to this instant or over it; split at another"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class Half(NamedTuple):
    rrule: tuple[str, ...]
    rdate: tuple[str, ...]
    exdate: tuple[str, ...]


def split(recurrence: Recurrence, at: datetime) -> tuple[Recurrence, Recurrence]:
    """The instants before `at`, and those from `at` on, which must be one of them and not the first. Raises Invalid.

    May take several passes: what a rule with COUNT gave until then is counted.
    """
    if recurrence.exrule:
        # What it takes away is counted from a DTSTART of its own, which the second half would move.
        raise Invalid("an event with an EXRULE cannot be split; name the dates in EXDATE first", field=FIELD)
    found = expand(recurrence, at, at + MICROSECOND, 1).instants
    if not found:
        raise Invalid("the event has no occurrence at this instant", field=FIELD)
    bare = msgspec.structs.replace(recurrence, business=None)
    before = _before(bare, at)
    if before is None and recurrence.business and expand(recurrence, at - ROLLED, at, 1).instants:
        raise Invalid(ROLLS_OVER, field=FIELD)
    if before is None:
        raise Invalid("this is the first occurrence; edit the event instead", field=FIELD)
    first, second = _as_open(recurrence, before, _after(bare, found[0]), at)
    if expand(recurrence, at, None, COMPARED).instants != expand(second, at, None, COMPARED).instants:
        raise Invalid("no rule that begins at this instant goes on like this one; split at another", field=FIELD)
    return first, second


def _as_open(
    recurrence: Recurrence, before: Recurrence, after: Recurrence, at: datetime
) -> tuple[Recurrence, Recurrence]:
    """Both halves with the calendars of the whole, neither of which may roll over the split into the other."""
    first, second = (msgspec.structs.replace(half, business=recurrence.business) for half in (before, after))
    if recurrence.business and (
        expand(first, at, at + ROLLED, 1).instants or expand(second, at - ROLLED, at, 1).instants
    ):
        raise Invalid(ROLLS_OVER, field=FIELD)
    return first, second


def _before(recurrence: Recurrence, at: datetime) -> Recurrence | None:
    """None: there is nothing before."""
    rules = [text for rule in recurrence.rrule if (text := _ended(recurrence, rule, at))]
    dates = [half for text in recurrence.rdate for half in _divided(recurrence, text, at)[0]]
    half = Half(tuple(rules), _sorted(dates), _excluded(recurrence, at)[0])
    if not rules and not dates:
        # A start that stands alone is named as a date: it stays one instant of a series.
        alone = half._replace(rdate=(stamps.iso(start(recurrence)),))
        return _with(recurrence, alone) if not recurrence.rrule and start(recurrence) < at else None
    if recurrence.rrule and not rules:
        # Without a rule DTSTART itself counts, so it must be one of the dates.
        first = min((found for text in dates for found in resolved(recurrence, text)), key=lambda found: found.at)
        return _starting(_with(recurrence, half), first)
    return _with(recurrence, half)


def _after(recurrence: Recurrence, first: Instant) -> Recurrence:
    rules = [text for rule in recurrence.rrule if (text := _resumed(recurrence, rule, first))]
    dates = [half for text in recurrence.rdate for half in _divided(recurrence, text, first.at)[1]]
    half = Half(tuple(dict.fromkeys(rules)), _sorted(dates), _excluded(recurrence, first.at)[1])
    return _starting(_with(recurrence, half), first)


def _with(recurrence: Recurrence, half: Half) -> Recurrence:
    return msgspec.structs.replace(recurrence, **half._asdict(), counted=())


def _starting(recurrence: Recurrence, first: Instant) -> Recurrence:
    return msgspec.structs.replace(recurrence, dtstart=first.wall, second_pass=first.mark is Mark.FOLD_SECOND)


def _ended(recurrence: Recurrence, text: str, at: datetime) -> str | None:
    """The rule until just before `at`; None: it has given nothing by then."""
    alone = _alone(recurrence, text)
    if not _gives(alone, start(recurrence), at):
        return None
    rule = from_text(text)
    if rule.count is not None:
        return to_text(msgspec.structs.replace(rule, count=_count(alone, at)))
    if not _gives(alone, at, None):
        return text
    return to_text(msgspec.structs.replace(rule, until=at - SECOND))


def _resumed(recurrence: Recurrence, text: str, first: Instant) -> str | None:
    """The rule as it goes on from `first`; None: it has ended."""
    alone = _alone(recurrence, text)
    if not _gives(alone, first.at, None):
        return None
    rule = from_text(text)
    if rule.interval > 1 and not _is_in_phase(rule, recurrence, first):
        raise Invalid(f"RRULE: {text}: counts INTERVAL from DTSTART; split at an instant of its own", field=FIELD)
    if rule.count is not None:
        rule = msgspec.structs.replace(rule, count=rule.count - _count(alone, first.at))
    if rule.freq < Freq.HOURLY:
        whole = completed(rule, recurrence.dtstart)
        return to_text(rule if whole == completed(rule, first.wall) else whole)
    return to_text(rule)


def _is_in_phase(rule: Rule, recurrence: Recurrence, first: Instant) -> bool:
    """Whether `first` lies in a period that counts."""
    if rule.freq < Freq.HOURLY:
        day = day_of(first.wall)
        return Periods(rule, recurrence.dtstart).around(day)[0] <= day
    unit = UNITS[rule.freq] * SECOND
    on_wall = recurrence.subdaily is Subdaily.WALL
    passed = first.wall - recurrence.dtstart if on_wall else first.at - start(recurrence)
    place = (recurrence.dtstart - WALL_EPOCH) % unit
    return (passed + place) // unit % rule.interval == 0


def _count(alone: Recurrence, at: datetime) -> int:
    """How many instants there are before `at`."""
    count, since = 0, start(alone)
    while since < at:
        found = expand(alone, since, at, COMPARED)
        count, since = count + len(found.instants), found.covered
    return count


def _gives(alone: Recurrence, since: datetime, until: datetime | None) -> bool:
    """Whether there is an instant in the window; one that is not found within a pass is believed in."""
    found = expand(alone, since, until, 1)
    return bool(found.instants) or not found.complete


def _alone(recurrence: Recurrence, text: str) -> Recurrence:
    return msgspec.structs.replace(recurrence, rrule=(text,), rdate=(), exdate=(), counted=())


def _divided(recurrence: Recurrence, text: str, at: datetime) -> tuple[list[str], list[str]]:
    """A date on the side of its instant; one that means two is named by its instants if they part."""
    instants = [instant.at for instant in resolved(recurrence, text)]
    before, after = [one for one in instants if one < at], [one for one in instants if one >= at]
    if before and after:
        return [stamps.iso(one) for one in before], [stamps.iso(one) for one in after]
    return [text] if before else [], [text] if after else []


def _excluded(recurrence: Recurrence, at: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """EXDATE of either side; a whole day near the split is of both."""
    before: list[str] = []
    after: list[str] = []
    for text in recurrence.exdate:
        day = stamps.read(text)
        if isinstance(day, datetime):
            sides = _divided(recurrence, text, at)
        else:
            sides = [text] if _may_begin_before(day, at) else [], [text] if _may_end_after(day, at) else []
        before += sides[0]
        after += sides[1]
    return _sorted(before), _sorted(after)


def _may_begin_before(day: date, at: datetime) -> bool:
    return day - DAY <= at.date()


def _may_end_after(day: date, at: datetime) -> bool:
    return day + 2 * DAY >= at.date()


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))
