"""What an event promised against what is recorded of it.

A version of an event promises the instants of its recurrence that come while it is valid; a single instant also if it was
over by then. What is promised has an outcome, open or closed, or lies in a gap. What is not made yet is planned.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from qhronos.core.recurrence import STEPS, Recurrence, Steps, spend
from qhronos.core.window import is_once

PASSES = 4  # of the steps that expanding a window may take


class Promise(NamedTuple):
    """A version of an event. It may have made what came from `since` on, and surely from `sure_from` on."""

    recurrence: Recurrence
    since: datetime
    sure_from: datetime
    until: datetime | None
    ours: bool  # made by the zone rules that we have
    delay: timedelta = timedelta()  # how much later than due it acts at most


class Expected(NamedTuple):
    at: datetime
    wall: datetime
    sure: bool
    ours: bool
    superseded: bool  # a single instant; by moving it beyond its version it becomes none


class Outlook(NamedTuple):
    """What is expected of a window before `covered`, in the order of time."""

    instants: tuple[Expected, ...]
    covered: datetime


class Passed(NamedTuple):
    """Instants of [since, until) were deliberately not made."""

    since: datetime
    until: datetime
    instants: int
    reason: str


class Recorded(Protocol):
    """An occurrence, open or closed."""

    @property
    def due_at(self) -> datetime: ...
    @property
    def wall(self) -> datetime | None: ...


R = TypeVar("R", bound=Recorded)


class Fate(enum.StrEnum):
    RECORDED = "recorded"
    PASSED_OVER = "passed_over"  # in a gap, whose reason says why
    PLANNED = "planned"  # not made yet
    DROPPED = "dropped"  # its history has had its time
    MISSING = "missing"  # it should be recorded, and is not


class Line(NamedTuple, Generic[R]):
    at: datetime
    expected: bool  # the recurrence had it then
    fate: Fate
    record: R | None = None
    reason: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it must be recorded."""
        return self.expected and self.fate not in (Fate.PLANNED, Fate.DROPPED)


class Bounds(NamedTuple):
    """Nothing is recorded for sure before `kept_since`, nor from `made_until` on."""

    kept_since: datetime
    made_until: datetime


def outlook(promises: Sequence[Promise], since: datetime, until: datetime, limit: int) -> Outlook:
    """The instants of [since, until) that the versions promise, each once, at most `limit`."""
    steps, covered = Steps(STEPS * PASSES), until
    found: dict[datetime, Expected] = {}
    for promise in _joined(promises):
        once = is_once(promise.recurrence)
        first = since if once else max(since, promise.since)
        last = min(until, promise.until or until)
        if first >= min(last, covered):
            continue
        made = spend(steps, promise.recurrence, first, last, limit)
        superseded = once and promise.until is not None
        for one in made.instants:
            sure = _stays(promise, one.at) if once else one.at >= promise.sure_from
            found.setdefault(one.at, Expected(one.at, one.wall, sure, promise.ours, superseded))
        if not made.complete:
            covered = min(covered, made.covered)
    instants = sorted(one for one in found.values() if one.at < covered)
    if len(instants) > limit:
        return Outlook(tuple(instants[:limit]), instants[limit].at)
    return Outlook(tuple(instants), covered)


def _stays(promise: Promise, at: datetime) -> bool:
    """Whether a single instant had begun when its version ended: an edit says anew when it happens."""
    return promise.until is None or at + promise.delay < promise.until


def _joined(promises: Sequence[Promise]) -> Iterator[Promise]:
    """Versions in a row that promise the same, as one."""
    held: Promise | None = None
    for promise in promises:
        if held is not None and (held.recurrence, held.ours) == (promise.recurrence, promise.ours):
            held = held._replace(until=promise.until, delay=max(held.delay, promise.delay))
            continue
        if held is not None:
            yield held
        held = promise
    if held is not None:
        yield held


def unmatched(wanted: Sequence[Expected], rows: Sequence[Recorded]) -> list[Expected]:
    """Those that no row is of by its instant."""
    there = {row.due_at for row in rows}
    return [one for one in wanted if one.at not in there]


def account(
    wanted: Sequence[Expected], rows: Sequence[R], beyond: Sequence[R], gaps: Sequence[Passed], bounds: Bounds
) -> list[Line[R]]:
    """A line for each instant and each of `rows`, in the order of time.

    Where other zone rules made an instant, its row is the one with its local time, if none has its instant; that may also
    be one of `beyond`, which lie outside of the window.
    """
    by_instant = {row.due_at: row for row in rows}
    given = {one.at for one in wanted}
    by_wall = {row.wall: row for row in (*beyond, *rows) if row.due_at not in given}
    lines: list[Line[R]] = []
    for one in wanted:
        row = by_instant.get(one.at) or (None if one.ours else by_wall.pop(one.wall, None))
        if row is not None:
            lines.append(Line(row.due_at, True, Fate.RECORDED, row))
            continue
        fate, reason = _fate(one, gaps, bounds)
        if one.sure or fate is not Fate.MISSING:
            lines.append(Line(one.at, True, fate, None, reason))
    used = {line.at for line in lines if line.record is not None}
    lines += [Line(row.due_at, False, Fate.RECORDED, row) for row in rows if row.due_at not in used]
    return sorted(lines, key=lambda line: line.at)


def _fate(one: Expected, gaps: Sequence[Passed], bounds: Bounds) -> tuple[Fate, str | None]:
    """What became of an instant without a row."""
    gap = next((gap for gap in gaps if gap.since <= one.at < gap.until), None)
    if gap is not None:
        return Fate.PASSED_OVER, gap.reason
    if one.at >= bounds.made_until:
        return Fate.PLANNED, None
    return (Fate.DROPPED if one.at < bounds.kept_since else Fate.MISSING), None
