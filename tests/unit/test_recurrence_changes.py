"""Every zone of the database through its next twenty clock changes, beside what zoneinfo says. A sample by default; all of
them where QHRONOS_TEST_EXAMPLES is set, as in `make properties`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from qhronos.core.recurrence import Dst, Fold, Gap, Mark, Subdaily, clock_changes, expand, parse, timezones, zone

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CHANGES = 20
EVERY = 1 if "QHRONOS_TEST_EXAMPLES" in os.environ else 25
NAMES = [name for name in timezones() if clock_changes(name, NOW, NOW + 400 * DAY)][::EVERY]
POLICIES = [Dst(gap=gap, fold=fold) for gap, fold in product(Gap, Fold)]


def changes(name):
    return clock_changes(name, NOW, NOW + 25 * 366 * DAY)[:CHANGES]


def shown(at, there):
    return at.astimezone(there).replace(tzinfo=None)


def meant(wall, there, dst):
    """What a wall time means, by zoneinfo and the documented rules, with its mark."""
    first, second = (wall.replace(tzinfo=there, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        return [(first, Mark.GAP_SHIFTED)] if dst.gap is Gap.SHIFT else []
    if first == second:
        return [(first, Mark.NORMAL)]
    both = [(first, Mark.FOLD_FIRST), (second, Mark.FOLD_SECOND)]
    return {Fold.FIRST: both[:1], Fold.SECOND: both[1:], Fold.BOTH: both}[dst.fold]


def test_there_are_changes_to_look_at():
    assert NAMES
    assert CHANGES == len(changes("Europe/Berlin"))


@pytest.mark.parametrize("name", NAMES)
def test_real_time_knows_no_clock_change(name):
    for change in changes(name):
        begins = shown(change.at - 12 * HOUR, zone(name))
        for text, step in (("FREQ=HOURLY", HOUR), ("FREQ=MINUTELY;INTERVAL=10", 10 * MINUTE)):
            recurrence = parse(text, now=NOW, start_time=begins, timezone=name)
            found = expand(recurrence, change.at - 4 * HOUR, change.at + 4 * HOUR, 100).instants
            assert [change.at - 4 * HOUR + n * step for n in range(8 * HOUR // step)] == [one.at for one in found]
            assert [shown(one.at, zone(name)) for one in found] == [one.wall for one in found]


@pytest.mark.parametrize("name", NAMES)
def test_a_time_of_day_in_a_gap_or_a_fold_happens_as_the_policy_says(name):
    there = zone(name)
    for change in changes(name):
        before = (change.at + change.before).replace(tzinfo=None)
        after = (change.at + change.after).replace(tzinfo=None)
        wall = min(before, after) + abs(change.after - change.before) / 2  # in the middle of what comes twice or never
        for dst in POLICIES:
            recurrence = parse("FREQ=DAILY", now=NOW, start_time=wall - 7 * DAY, timezone=name, dst=dst)
            found = expand(recurrence, change.at - 2 * DAY, change.at + 2 * DAY, 100).instants
            expected = {one for days in range(-4, 5) for one in meant(wall + days * DAY, there, dst)}
            near = sorted((at, mark) for at, mark in expected if change.at - 2 * DAY <= at < change.at + 2 * DAY)
            assert near == [(one.at, one.mark) for one in found]


@pytest.mark.parametrize("name", NAMES)
def test_a_clock_that_is_stepped_by_the_face_loses_and_doubles_nothing(name):
    there = zone(name)
    for change in changes(name)[:4]:
        since, until = change.at - 4 * HOUR, change.at + 4 * HOUR
        begins = shown(change.at - 2 * DAY, there).replace(minute=0, second=0)
        for dst in POLICIES:
            recurrence = parse(
                "FREQ=MINUTELY;INTERVAL=15", now=NOW, start_time=begins, timezone=name, dst=dst, subdaily=Subdaily.WALL
            )
            found = [one.at for one in expand(recurrence, since, until, 1000).instants]
            walls = (begins + n * 15 * MINUTE for n in range(4 * 24 * 4))
            expected = sorted({at for wall in walls for at, _ in meant(wall, there, dst) if since <= at < until})
            assert expected == found
