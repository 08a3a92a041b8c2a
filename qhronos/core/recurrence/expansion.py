"""Recurrence × window → instants."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.days import day_of
from qhronos.core.recurrence.model import Counted, Dst, Expansion, Instant, Mark, Recurrence
from qhronos.core.recurrence.moments import NEVER, NO_MORE, Moment, Steps, Stream
from qhronos.core.recurrence.rule import from_text
from qhronos.core.recurrence.series import Start, resolve, stream
from qhronos.core.recurrence.zones import DAY, LAST, Face, face_of, instant, seconds, wall_seconds, wall_time, zone

# What one pass may spend: some 50 ms.
STEPS = 50_000
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


def spend(steps: Steps, recurrence: Recurrence, since: datetime, until: datetime | None, limit: int) -> Expansion:
    """`expand` with steps that are shared with other calls."""
    compiled = compiled_of(recurrence)
    if not recurrence.rrule and not recurrence.rdate:
        return _single(recurrence, compiled, since, until)
    first, end = _window(compiled, since, until)
    face = face_of(recurrence.timezone)
    found: list[Instant] = []
    covered, last, streams_ended = first, None, 0
    for at, wall, mark in _merged(compiled.streams, first, end, face, steps):
        if mark is None:
            streams_ended += at == NEVER
            covered = max(covered, min(at, end))
        else:
            if at != last and not compiled.excludes(at, wall):
                if len(found) == limit:
                    return Expansion(tuple(found), instant(at), complete=False, ended=False)
                found.append(Instant(instant(at), wall_time(wall), mark))
                last = at
            covered = at + 1
        if steps.left <= 0 and covered < end:
            return Expansion(tuple(found), instant(covered), complete=False, ended=False)
    ended = streams_ended == len(compiled.streams)
    return Expansion(tuple(found), until or instant(end), complete=ended or until is not None, ended=ended)


def _window(compiled: Compiled, since: datetime, until: datetime | None) -> tuple[int, int]:
    first = seconds(since)
    return first, min(LAST, max(first, compiled.start.at) + HORIZON) if until is None else seconds(until)


def _merged(streams: Sequence[Stream], since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
    if len(streams) == 1:
        return streams[0].moments(since, until, face, steps)
    return heapq.merge(*(stream.moments(since, until, face, steps) for stream in streams), key=itemgetter(0))


def _single(recurrence: Recurrence, compiled: Compiled, since: datetime, until: datetime | None) -> Expansion:
    """A recurrence that is one instant, to the microsecond."""
    at = start(recurrence)
    covered = until or instant(_window(compiled, since, until)[1])
    found = tuple(
        Instant(at, recurrence.dtstart, mark)
        for single, wall, mark in compiled.singles
        if since <= at < covered and not compiled.excludes(single, wall)
    )
    return Expansion(found, covered, complete=True, ended=at < covered)


def start(recurrence: Recurrence) -> datetime:
    """DTSTART as an instant, whatever `dst` says of it."""
    return instant(compiled_of(recurrence).start.at) + recurrence.dtstart.microsecond * MICROSECOND


def local(recurrence: Recurrence, instant: datetime) -> datetime:
    """The instant as the clocks in the zone of the recurrence show it, with its offset."""
    return instant.astimezone(zone(recurrence.timezone))


class Compiled(NamedTuple):
    """A recurrence, ready to be expanded."""

    start: Start
    singles: tuple[Single, ...]  # what is not made by a rule
    streams: tuple[Stream, ...]
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
    face = face_of(recurrence.timezone)
    start = _start_on(face, recurrence)
    singles = [single for time in _times(recurrence.rdate) for single in _singles(time, start, recurrence, face)]
    if not recurrence.rrule:
        # Once is once, even where the clock passes twice.
        once = Dst(gap=recurrence.dst.gap)
        singles += [(at, start.wall, mark) for at, mark in resolve(start.wall, start, once, face)]
    excluded = _times(recurrence.exdate)
    return Compiled(
        start,
        tuple(singles),
        (*_rules(recurrence, start, face), *([Singles(sorted(singles))] if singles else [])),
        frozenset(at for time in excluded for at, _, _ in _singles(time, start, recurrence, face)),
        frozenset(day_of(day) for day in map(stamps.read, recurrence.exdate) if not isinstance(day, datetime)),
    )


def _times(texts: Iterable[str]) -> list[datetime]:
    return [time for time in map(stamps.read, texts) if isinstance(time, datetime)]


def _rules(recurrence: Recurrence, start: Start, face: Face) -> Iterator[Stream]:
    counted = recurrence.counted or (None,) * len(recurrence.rrule)
    for text, already in zip(recurrence.rrule, counted, strict=True):
        yield stream(from_text(text), already, start, recurrence.dst, recurrence.subdaily, face)


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
    start, face = compiled_of(recurrence).start, face_of(recurrence.timezone)
    return [
        Instant(instant(at), wall_time(wall), mark)
        for time in _times((text,))
        for at, wall, mark in _singles(time, start, recurrence, face)
    ]


def settle(recurrence: Recurrence, steps: int = STEPS) -> Recurrence:
    """One pass at counting out the rules with COUNT. Repeat until `is_settled`, then store it: only then does the cost
    of a window not depend on the age of the recurrence.

    What is counted depends on clock changes: with new tzdata, count anew (`counted=()`).
    """
    budget = Steps(steps)
    counted = recurrence.counted or (None,) * len(recurrence.rrule)
    counted = tuple(
        _count(recurrence, text, already, budget) for text, already in zip(recurrence.rrule, counted, strict=True)
    )
    return msgspec.structs.replace(recurrence, counted=counted if any(counted) else ())


def is_settled(recurrence: Recurrence) -> bool:
    """No rule with COUNT is left to be counted out."""
    counted = recurrence.counted or (None,) * len(recurrence.rrule)
    pairs = zip(recurrence.rrule, counted, strict=True)
    return all(already.left == 0 if already else from_text(text).count is None for text, already in pairs)


def _count(recurrence: Recurrence, text: str, already: Counted | None, steps: Steps) -> Counted | None:
    rule = from_text(text)
    if rule.count is None or (already and not already.left):
        return already
    face = face_of(recurrence.timezone)
    start = compiled_of(recurrence).start
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
