"""Recurrence × window → instants."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.business import Days, Rolling, days_of, without_closed
from qhronos.core.recurrence.days import day_of
from qhronos.core.recurrence.model import Counted, Dst, Expansion, Instant, Mark, Recurrence
from qhronos.core.recurrence.moments import NEVER, NO_MORE, Moment, Steps, Stream
from qhronos.core.recurrence.rule import from_text
from qhronos.core.recurrence.series import Start, resolve, stream
from qhronos.core.recurrence.vtimezones import face_of
from qhronos.core.recurrence.zones import (
    DAY,
    EPOCH,
    FIRST,
    LAST,
    WALL_EPOCH,
    Face,
    instant,
    seconds,
    wall_seconds,
    wall_time,
)

# What one pass may spend: some 50 ms.
STEPS = 50_000
PASSES = 4
HORIZON = 3653 * DAY
MICROSECOND = timedelta(microseconds=1)

Single = tuple[int, int, Mark]


def expand(
    recurrence: Recurrence, since: datetime, until: datetime | None, limit: int, steps: int = STEPS
) -> Expansion:
    """The instants of the window [since, until), in order, each once, at most `limit`.

    `until` None is ten years after `since`, or after DTSTART if that is later.
    """
    return spend(Steps(steps), recurrence, since, until, limit)


def expand_far(recurrence: Recurrence, since: datetime, until: datetime | None, limit: int) -> Expansion:
    """`expand`, for somebody who waits for the answer: as much of the window as PASSES passes give."""
    found = expand(recurrence, since, until, limit)
    for _ in range(PASSES - 1):
        left = limit - len(found.instants)
        if found.complete or not left:
            break
        more = expand(recurrence, found.covered, until, left)
        found = more._replace(instants=found.instants + more.instants)
    return found


def spend(steps: Steps, recurrence: Recurrence, since: datetime, until: datetime | None, limit: int) -> Expansion:
    """`expand` with steps that are shared with other calls."""
    compiled = compiled_of(recurrence)
    if not recurrence.rrule and not recurrence.rdate and not recurrence.exrule:
        return _single(recurrence, compiled, since, until)
    first, end = _window(compiled, since, until)
    found: list[Instant] = []
    covered, last, streams_ended = first, None, 0
    moments, origins = _moments(recurrence, compiled, first, end, steps)
    add, rolled_from = found.append, origins.get  # this loop runs for every instant that there is
    shift, offset = 0, timedelta()
    for at, wall, mark in moments:
        if mark is None:
            streams_ended += at == NEVER
            covered = max(covered, min(at, end))
        else:
            if at != last:
                if len(found) == limit:
                    return Expansion(tuple(found), instant(at), complete=False, ended=False)
                steps.left -= 1
                if wall - at != shift:
                    shift, offset = wall - at, timedelta(0, wall - at)
                since_epoch = timedelta(0, at)
                add(Instant(EPOCH + since_epoch, WALL_EPOCH + since_epoch + offset, mark, rolled_from(at)))
                last = at
            covered = at + 1
        if steps.left <= 0 and covered < end:
            return Expansion(tuple(found), instant(covered), complete=False, ended=False)
    ended = streams_ended == len(compiled.streams)
    return Expansion(tuple(found), until or instant(end), complete=ended or until is not None, ended=ended)


def _window(compiled: Compiled, since: datetime, until: datetime | None) -> tuple[int, int]:
    first = seconds(since)
    return first, min(LAST, max(first, compiled.start.at) + HORIZON) if until is None else seconds(until)


def _moments(
    recurrence: Recurrence, compiled: Compiled, since: int, until: int, steps: Steps
) -> tuple[Iterator[Moment], dict[int, date]]:
    """What happens, and from which day what was rolled comes."""
    if recurrence.business is None:
        return _given(compiled, since, until, steps), {}
    return _open(recurrence, days_of(recurrence.business), compiled, Span(since, until), steps)


class Span(NamedTuple):
    since: int
    until: int


def _open(
    recurrence: Recurrence, days: Days, compiled: Compiled, span: Span, steps: Steps
) -> tuple[Iterator[Moment], dict[int, date]]:
    def given(since: int, until: int) -> Iterator[Moment]:
        return _given(compiled, since, until, steps)

    face = compiled.face
    if days.skips:
        return without_closed(given, days, *span, face), {}
    rolling = Rolling(days, lambda wall: resolve(wall, compiled.start, _policy(recurrence), face), face)
    return rolling.moments(given, *span), rolling.origins


def _policy(recurrence: Recurrence) -> Dst:
    # Once is once, even where the clock passes twice.
    return recurrence.dst if recurrence.rrule or recurrence.rdate else Dst(gap=recurrence.dst.gap)


def _given(compiled: Compiled, since: int, until: int, steps: Steps) -> Iterator[Moment]:
    merged = _merged(compiled.streams, since, until, compiled.face, steps)
    if compiled.against:
        merged = _without(merged, _merged(compiled.against, since, until, compiled.face, steps), steps)
    if not compiled.excluded and not compiled.excluded_days:
        return merged
    return (
        (at + 1, wall, None) if mark is not None and compiled.excludes(at, wall) else (at, wall, mark)
        for at, wall, mark in merged
    )


def _merged(streams: Sequence[Stream], since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
    if len(streams) == 1:
        return streams[0].moments(since, until, face, steps)
    return heapq.merge(*(stream.moments(since, until, face, steps) for stream in streams), key=itemgetter(0))


def _without(moments: Iterator[Moment], against: Iterator[Moment], steps: Steps) -> Iterator[Moment]:
    """What `against` does not give as well, as far as the steps go."""
    taken, taken_mark = -NEVER, None
    for at, wall, mark in moments:
        while mark is not None and (taken < at or (taken == at and taken_mark is None)) and steps.left > 0:
            taken, _, taken_mark = next(against, NO_MORE)
        if mark is None or taken > at:
            yield at, wall, mark
        elif taken == at and taken_mark is not None:
            yield at + 1, wall, None
        else:
            yield at, wall, None  # not known: whoever asks stops here


def _single(recurrence: Recurrence, compiled: Compiled, since: datetime, until: datetime | None) -> Expansion:
    """A recurrence that is one instant, to the microsecond."""
    covered = until or instant(_window(compiled, since, until)[1])
    fraction = recurrence.dtstart.microsecond * MICROSECOND
    moments: Iterable[Moment] = compiled.singles
    origins: dict[int, date] = {}
    if recurrence.business or recurrence.exdate:
        moments, origins = _moments(recurrence, compiled, FIRST, LAST, Steps(0))
    everything = [
        Instant(instant(at) + fraction, wall_time(wall) + fraction, mark, origins.get(at))
        for at, wall, mark in moments
        if mark is not None
    ]
    found = tuple(one for one in everything if since <= one.at < covered)
    ended = all(one.at < covered for one in everything) if everything else start(recurrence) < covered
    return Expansion(found, covered, complete=True, ended=ended)


def start(recurrence: Recurrence) -> datetime:
    """DTSTART as an instant, whatever `dst` says of it."""
    return compiled_of(recurrence).begins


def earliest(recurrence: Recurrence) -> datetime:
    """No instant is before this one: DTSTART or what RDATE adds before it, or the open day before that it may roll to."""
    compiled = compiled_of(recurrence)
    begins = compiled.begins
    if recurrence.rdate:
        begins = min([begins, *(instant(at) for at, _, _ in compiled.singles)])
    if recurrence.business is None or not days_of(recurrence.business).goes_back:
        return begins
    first = min([compiled.start.wall, *(wall for _, wall, _ in compiled.singles)])
    day = days_of(recurrence.business).open_until(first // DAY)
    return min(begins, instant(compiled.face.earliest_from(day * DAY)))


def local(recurrence: Recurrence, instant: datetime) -> datetime:
    """The instant as the clocks in the zone of the recurrence show it, with its offset."""
    return instant.astimezone(compiled_of(recurrence).face.zone)


class Compiled(NamedTuple):
    """A recurrence, ready to be expanded."""

    face: Face
    start: Start
    begins: datetime  # the same, to the microsecond
    singles: tuple[Single, ...]  # what is not made by a rule
    streams: tuple[Stream, ...]
    against: tuple[Stream, ...]  # what they give is taken away
    excluded: frozenset[int]
    excluded_days: frozenset[int]  # by wall time

    def excludes(self, at: int, wall: int) -> bool:
        return at in self.excluded or wall // DAY in self.excluded_days


class Singles:
    def __init__(self, singles: Sequence[Single]) -> None:
        self._singles = singles

    def moments(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:  # noqa: ARG002 - a Stream
        for single in self._singles:
            if since <= single[0] < until:
                steps.take(3)
                yield single
        if self._singles[-1][0] < until:
            yield NO_MORE


@lru_cache(maxsize=512)
def compiled_of(recurrence: Recurrence) -> Compiled:
    face = face_of(recurrence.timezone, recurrence.vtimezone)
    start = _start_on(face, recurrence)
    singles = [single for time in _times(recurrence.rdate) for single in _singles(time, start, recurrence, face)]
    if not recurrence.rrule:
        singles += [(at, start.wall, mark) for at, mark in resolve(start.wall, start, _policy(recurrence), face)]
    excluded = _times(recurrence.exdate)
    rules = [
        stream(from_text(text), already, start, recurrence.dst, recurrence.subdaily, face)
        for text, already in _counts(recurrence)
    ]
    giving = len(recurrence.rrule)
    return Compiled(
        face,
        start,
        instant(start.at) + recurrence.dtstart.microsecond * MICROSECOND,
        tuple(singles),
        (*rules[:giving], *([Singles(sorted(singles))] if singles else [])),
        tuple(rules[giving:]),
        frozenset(at for time in excluded for at, _, _ in _singles(time, start, recurrence, face)),
        frozenset(day_of(day) for day in map(stamps.read, recurrence.exdate) if not isinstance(day, datetime)),
    )


def _times(texts: Iterable[str]) -> list[datetime]:
    return [time for time in map(stamps.read, texts) if isinstance(time, datetime)]


def _counts(recurrence: Recurrence) -> Iterator[tuple[str, Counted | None]]:
    """Each rule, those that take away last, and how far it has been counted."""
    rules = (*recurrence.rrule, *recurrence.exrule)
    return zip(rules, recurrence.counted or (None,) * len(rules), strict=True)


def _start_on(face: Face, recurrence: Recurrence) -> Start:
    wall = wall_seconds(recurrence.dtstart)
    first, second = face.passes(wall)
    return Start(second if recurrence.second_pass and first < second else first, wall)


def _singles(time: datetime, start: Start, recurrence: Recurrence, face: Face) -> list[Single]:
    if time.tzinfo is None:
        wall = wall_seconds(time)
        return [(at, wall, mark) for at, mark in resolve(wall, start, recurrence.dst, face)]
    at = seconds(time)
    return [(at, at + face.offset(at), face.mark(at))]


def resolved(recurrence: Recurrence, text: str) -> list[Instant]:
    """What a date and time of RDATE or EXDATE means in this recurrence."""
    compiled = compiled_of(recurrence)
    return [
        Instant(instant(at), wall_time(wall), mark)
        for time in _times((text,))
        for at, wall, mark in _singles(time, compiled.start, recurrence, compiled.face)
    ]


def settle(recurrence: Recurrence, steps: int = STEPS) -> Recurrence:
    """One pass at counting out the rules with COUNT. Repeat until `is_settled`, then store it: only then does the cost
    of a window not depend on the age of the recurrence.

    What is counted depends on clock changes: with new tzdata, count anew (`counted=()`).
    """
    budget = Steps(steps)
    counted = tuple(_count(recurrence, text, already, budget) for text, already in _counts(recurrence))
    return msgspec.structs.replace(recurrence, counted=counted if any(counted) else ())


def is_settled(recurrence: Recurrence) -> bool:
    """No rule with COUNT is left to be counted out."""
    return all(already.left == 0 if already else from_text(text).count is None for text, already in _counts(recurrence))


def _count(recurrence: Recurrence, text: str, already: Counted | None, steps: Steps) -> Counted | None:
    rule = from_text(text)
    if rule.count is None or (already and not already.left):
        return already
    compiled = compiled_of(recurrence)
    face, start = compiled.face, compiled.start
    left, covered = (already.left, seconds(already.until) + 1) if already else (rule.count, start.at)
    everything = stream(
        msgspec.structs.replace(rule, count=None), None, start, recurrence.dst, recurrence.subdaily, face
    )
    moments = everything.moments(covered, LAST, face, steps)
    while left and steps.left > 0:
        at, _, mark = next(moments)  # the last one says that there are no more
        left = 0 if at == NEVER else left - (mark is not None)
        covered = max(covered, min(at, LAST) + (mark is not None))
    return Counted(instant(covered - 1), left)
