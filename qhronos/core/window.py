"""Which part of time to expand next.

An event's instants are made a window ahead. Everything before `expanded_until` exists, in `pending`, in the ledger or
as a gap; a pass adds what is new and says when to come back. A pass that is cut short, by the room left or by the step
budget of the recurrence, is simply resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from qhronos.core.recurrence import STEPS, Expansion, Instant, Recurrence, Steps, earliest, spend

TOO_OLD = "older than the catch-up window"
TOO_MANY = "more than are caught up"
GAP_ROOM = 10_000  # instants counted for a gap in one pass
LEAST_REST = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


class Gap(NamedTuple):
    """Instants of [since, until) that are deliberately not made."""

    since: datetime
    until: datetime
    instants: int
    reason: str

    def joined(self, after: Gap) -> Gap:
        """Both as one; `after` begins where this one ends."""
        reason = self.reason if after.reason == self.reason else f"{self.reason}; {after.reason}"
        return Gap(self.since, after.until, self.instants + after.instants, reason)


class Advance(NamedTuple):
    """The result of a pass."""

    instants: tuple[Instant, ...]
    expanded_until: datetime
    next_due_at: datetime | None  # the first instant not made, where the pass found it
    next_expand_at: datetime | None  # None: nothing is left to expand
    gap: Gap | None = None


def begin(recurrence: Recurrence, now: datetime, grace: timedelta) -> datetime:
    """Where expansion starts for a new event.

    A single instant is never dropped, however long ago: the misfire policy judges it. A rule starts with its event: what
    it gave before is history that was never promised, but for the grace period, so that "from now on" includes now.
    """
    if is_once(recurrence):
        return earliest(recurrence)
    return max(earliest(recurrence), now - grace)


def is_once(recurrence: Recurrence) -> bool:
    return not recurrence.rrule and not recurrence.rdate


def advance(
    recurrence: Recurrence,
    since: datetime,
    *,
    now: datetime,
    look_ahead: timedelta,
    room: int,
    catchup: datetime | None = None,
    most: int | None = None,
    steps: Steps | None = None,
) -> Advance:
    """One pass from `since`: at most `room` instants, none after `now + look_ahead`, for no more than `steps`.

    What a rule gave before `catchup` is counted as a gap instead of made, and so is what was missed, if that is more than
    there is room for and only the latest `most` of it are to fire. The pass goes on behind it: the next would find that
    time has moved on, and count again.
    """
    steps = steps or Steps(STEPS)
    gap: Gap | None = None
    for end, keep, reason in _passed_over(recurrence, now, room, catchup, most):
        if since >= end:
            continue
        passed = spend(steps, recurrence, since, end, GAP_ROOM)
        surplus = max(0, len(passed.instants) - keep)
        if keep and not surplus:
            continue
        behind = passed.instants[surplus].at if keep else passed.covered
        if surplus:
            more = Gap(since, behind, surplus, reason)
            gap = gap.joined(more) if gap else more
        since = behind
        if not passed.complete:
            return Advance((), since, None, now, gap)
    step = _make(recurrence, since, now, look_ahead, room, steps)
    return step._replace(gap=gap) if gap else step


def _passed_over(
    recurrence: Recurrence, now: datetime, room: int, catchup: datetime | None, most: int | None
) -> Iterator[tuple[datetime, int, str]]:
    """Until when instants are not made, but for the last so many, and why. A single one is always made."""
    if is_once(recurrence):
        return
    if catchup is not None:
        yield catchup, 0, TOO_OLD
    if most is not None and room > 0:
        yield now, max(most, room), TOO_MANY


def _make(
    recurrence: Recurrence, since: datetime, now: datetime, look_ahead: timedelta, room: int, steps: Steps
) -> Advance:
    until = now + look_ahead
    if room <= 0:
        return Advance((), since, None, now + LEAST_REST + look_ahead / 100)
    if is_once(recurrence) and not recurrence.exrule:
        return _make_once(recurrence, since, max(until, since), look_ahead, steps)
    made = spend(steps, recurrence, since, max(until, since), room)
    if not made.complete:
        # Cut short. With instants in hand, come back when half of them are done; without any, go on at once.
        half = (made.covered - now) / 2 if made.instants else timedelta()
        return Advance(made.instants, made.covered, None, now + max(half, LEAST_REST if made.instants else half))
    return _look_beyond(recurrence, made, now, look_ahead, steps)


def _make_once(
    recurrence: Recurrence, since: datetime, until: datetime, look_ahead: timedelta, steps: Steps
) -> Advance:
    """One search instead of two finds an instant that is alone."""
    found = spend(steps, recurrence, since, None, 1)
    if not found.instants:
        return Advance((), until, None, None)
    due = found.instants[0].at
    return Advance(found.instants, until, None, None) if due < until else Advance((), until, due, due - look_ahead / 2)


def _look_beyond(
    recurrence: Recurrence, made: Expansion, now: datetime, look_ahead: timedelta, steps: Steps
) -> Advance:
    """After a whole window: find the next instant, to sleep until it comes near."""
    if made.ended:
        return Advance(made.instants, made.covered, None, None)
    ahead = spend(steps, recurrence, made.covered, None, 1)
    if ahead.instants:
        due = ahead.instants[0].at
        return Advance(made.instants, made.covered, due, due - look_ahead / 2)
    if ahead.ended:
        return Advance(made.instants, made.covered, None, None)
    # Nothing up to where the search came: that much of time is done with.
    return Advance(made.instants, ahead.covered, None, max(now, ahead.covered - look_ahead / 2))
