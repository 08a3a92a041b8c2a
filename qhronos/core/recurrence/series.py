"""One rule on the clock of its zone.

DAILY and longer step on the clock face and are then looked up in the zone. HOURLY and shorter step in real time; or on
the clock face too, if the recurrence says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from itertools import chain
from typing import NamedTuple, Protocol

import msgspec

from qhronos.core.recurrence.model import Counted, Dst, Fold, Mark, Subdaily
from qhronos.core.recurrence.moments import NEVER, NO_MORE, Moment, Steps, Stream
from qhronos.core.recurrence.rule import Freq, Rule, Skip
from qhronos.core.recurrence.skips import SkippingWalls
from qhronos.core.recurrence.ticks import Ticks
from qhronos.core.recurrence.walls import Walls
from qhronos.core.recurrence.zones import DAY, LAST, Face, face_of, seconds, wall_seconds, wall_time

LAST_SECOND = time(23, 59, 59)


class Start(NamedTuple):
    """DTSTART on both lines."""

    at: int
    wall: int


def resolve(wall: int, start: Start, dst: Dst, face: Face) -> tuple[tuple[int, Mark], ...]:
    """The instants of a wall time. DTSTART is an instant: which pass of the clock it means is no matter of policy."""
    if wall == start.wall and dst.fold is not Fold.BOTH and face.mark(start.at) is not Mark.NORMAL:
        return ((start.at, face.mark(start.at)),)
    return face.resolve(wall, dst)


def stream(rule: Rule, counted: Counted | None, start: Start, dst: Dst, subdaily: Subdaily, face: Face) -> Stream:
    """All that the rule gives."""
    end = until_of(rule, face)
    if counted and not counted.left:
        return series(rule, start, min(end, seconds(counted.until) + 1), dst, subdaily)
    everything = series(rule, start, end, dst, subdaily)
    if counted:
        return CountedSeries(everything, counted.left, seconds(counted.until) + 1)
    return everything if rule.count is None else CountedSeries(everything, rule.count, start.at)


def series(rule: Rule, start: Start, end: int, dst: Dst, subdaily: Subdaily) -> Stream:
    """COUNT aside, and nothing from `end` on."""
    if rule.freq < Freq.HOURLY:
        makes = Walls if rule.skip is Skip.OMIT else SkippingWalls
        return WallSeries(makes(completed(rule, wall_time(start.wall)), wall_time(start.wall)), start, end, dst)
    if subdaily is Subdaily.WALL:
        return WallSeries(ClockTicks(Ticks(rule, start.wall, start.wall)), start, end, dst)
    return ElapsedSeries(Ticks(rule, start.at, start.wall), start, end)


def completed(rule: Rule, dtstart: datetime) -> Rule:
    """With what a rule of whole days leaves to DTSTART: the time of day, and the day within its period."""
    weekday = ((0, dtstart.weekday()),)
    by_day, by_month_day, by_month = rule.by_day, rule.by_month_day, rule.by_month
    if rule.freq is Freq.WEEKLY or rule.by_week_no:
        by_day = by_day or (() if by_month_day or rule.by_year_day else weekday)
    elif rule.freq < Freq.WEEKLY and not by_day and not rule.by_year_day:
        by_month_day = by_month_day or (dtstart.day,)
        # A day of the month that names no month means the month of DTSTART, once a year.
        by_month = by_month or ((dtstart.month,) if rule.freq is Freq.YEARLY else ())
    return msgspec.structs.replace(
        rule,
        by_day=by_day,
        by_month_day=by_month_day,
        by_month=by_month,
        by_hour=rule.by_hour or (dtstart.hour,),
        by_minute=rule.by_minute or (dtstart.minute,),
        by_second=rule.by_second or (dtstart.second,),
    )


def until_of(rule: Rule, face: Face) -> int:
    """UNTIL as the first instant that is too late. Wall time that comes twice means its second pass."""
    match rule.until:
        case None:
            return LAST
        case datetime(tzinfo=None) as wall:
            return max(face.passes(wall_seconds(wall))) + 1
        case datetime() as instant:
            return seconds(instant) + 1
        case day:
            return max(face.passes(wall_seconds(datetime.combine(day, LAST_SECOND)))) + 1


class ElapsedSeries:
    """Real time since DTSTART."""

    def __init__(self, ticks: Ticks, start: Start, end: int) -> None:
        self._ticks = ticks
        self._start = start
        self._end = end

    def moments(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
        since, before = max(since, self._start.at), min(until, self._end)
        for at, is_real in self._ticks.between(since, before, face, steps):
            if at >= before:
                break
            if at >= since:
                steady = face.steady(at // DAY)
                if steady is not None:
                    yield at, at + steady, Mark.NORMAL if is_real else None
                else:
                    yield at, at + face.offset(at), face.mark(at) if is_real else None
        if self._end <= until:
            yield NO_MORE


class HasWalls(Protocol):
    def between(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Wall times and true; or a time and false: none comes before it."""
        ...


class ClockTicks:
    """Ticks that step on the clock face."""

    def __init__(self, ticks: Ticks) -> None:
        self._ticks = ticks

    def between(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        return self._ticks.between(since, until, face_of("UTC"), steps)


class WallSeries:
    """Wall times looked up in the zone; what a clock change makes equal is one moment."""

    def __init__(self, walls: HasWalls, start: Start, end: int, dst: Dst) -> None:
        self._walls = walls
        self._start = start
        self._end = end
        self._dst = dst

    def moments(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
        since, before = max(since, self._start.at), min(until, self._end)
        first, end = face.walls_of(since, before)
        walls = self._walls.between(max(first, self._start.wall), end, steps)
        held: Held | None = None
        last, start = since - 1, self._start.wall
        for wall, is_real in chain(walls, (AFTER_ALL,)):
            steady = face.steady(wall // DAY) if is_real else None
            if steady is not None and not (held and held.moments):
                ready: Iterable[Moment] = ((wall - steady, wall, Mark.NORMAL),)
            else:
                held = held or Held(self._start, self._dst, face)
                ready = held.let_go(wall, steady, is_real=is_real)
            for at, shown, mark in ready:
                if at >= before:
                    continue
                if mark is None or at <= last or shown < start:
                    yield at, shown, None
                else:
                    last = at
                    yield at, shown, mark
        if self._end <= until:
            yield NO_MORE


AFTER_ALL = (NEVER, False)


class Held:
    """Around a clock change moments do not come in the order of their wall times: they are held back until none can
    come before them."""

    def __init__(self, start: Start, dst: Dst, face: Face) -> None:
        self.moments: list[Moment] = []
        self._start = start
        self._dst = dst
        self._face = face
        self._floor = -NEVER

    def let_go(self, wall: int, steady: int | None, *, is_real: bool) -> Iterator[Moment]:
        """What comes before this wall time, and before all that follow."""
        # No offset is as long as a day: where nothing happens, to look for the exact one would cost more than it tells.
        self._floor = max(self._floor, self._face.earliest_from(wall) if is_real else wall - DAY)
        while self.moments and self.moments[0][0] < self._floor:
            yield heapq.heappop(self.moments)
        if steady is not None and not self.moments:
            yield wall - steady, wall, Mark.NORMAL
            return
        if is_real:
            for at, mark in resolve(wall, self._start, self._dst, self._face):
                heapq.heappush(self.moments, (at, wall, mark))
        yield self._floor, wall, None


class CountedSeries:
    """Ends after `left` moments, counted from `after`."""

    def __init__(self, everything: Stream, left: int, after: int) -> None:
        self._everything = everything
        self._left = left
        self._after = after

    def moments(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
        left = self._left
        for at, wall, mark in self._everything.moments(min(since, self._after), until, face, steps):
            yield at, wall, mark if at >= since else None
            if mark is not None and at >= self._after:
                left -= 1
                if not left:
                    yield NO_MORE
                    return
