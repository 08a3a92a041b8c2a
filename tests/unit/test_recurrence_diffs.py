"""What another rule would change, and how close to each other instants may come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qhronos.core.recurrence import diff, expand, parse, refuse_crowded
from qhronos.errors import Invalid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def rule(schedule, **said):
    return parse(schedule, now=NOW, **said)


def days(instants):
    return [instant.at.day for instant in instants]


def test_instants_come_go_and_stay():
    change = diff(rule("FREQ=DAILY;INTERVAL=2"), rule("FREQ=DAILY;INTERVAL=3"), NOW, NOW + 9 * DAY, 100)

    assert ([4], [3, 5, 9], [1, 7], True) == (*map(days, change[:3]), change.complete)


def test_the_same_rule_changes_nothing():
    daily = rule("FREQ=DAILY")

    assert ((), (), expand(daily, NOW, NOW + 9 * DAY, 100).instants, True) == diff(daily, daily, NOW, NOW + 9 * DAY, 9)


def test_what_stays_is_told_as_the_new_rule_has_it():
    change = diff(rule("FREQ=DAILY"), rule("FREQ=DAILY", timezone="Asia/Tokyo"), NOW, NOW + DAY, 10)

    assert [9] == [instant.wall.hour for instant in change.kept]


def test_beyond_the_limit_nothing_is_claimed_of_either_side():
    """Three instants of the one are three hours, of the other three days: after three hours nothing is known."""
    change = diff(rule("FREQ=HOURLY"), rule("FREQ=DAILY"), NOW, NOW + 9 * DAY, 3)

    assert ([], [1, 1], [1], False) == (*map(days, change[:3]), change.complete)


def test_a_long_search_takes_several_passes_and_then_says_how_far_it_came():
    seldom = rule("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;BYMINUTE=4;BYSECOND=5")
    hostile = rule("FREQ=SECONDLY;INTERVAL=7;BYMINUTE=59;BYSECOND=59")

    found = diff(rule(None), seldom, NOW, datetime(2028, 3, 1, tzinfo=UTC), 10)
    cut = diff(rule(None), hostile, NOW, NOW + 3000 * DAY, 100_000)

    assert ([29], True) == (days(found.added), found.complete)
    assert not cut.complete


@pytest.mark.parametrize(
    ("schedule", "least"),
    [("FREQ=MINUTELY", MINUTE), ("FREQ=SECONDLY", timedelta(seconds=1)), ("FREQ=SECONDLY", timedelta()), (None, DAY)],
)
def test_what_keeps_its_distance_is_let_in(schedule, least):
    refuse_crowded(rule(schedule), NOW, least)


@pytest.mark.parametrize(
    ("schedule", "least", "told"),
    [
        (
            "FREQ=SECONDLY;INTERVAL=30",
            MINUTE,
            "schedule: fires at 2026-03-01T00:00:00Z and 2026-03-01T00:00:30Z, 30 s apart; at least 60 s are required",
        ),
        (
            {"rrule": ["FREQ=HOURLY"], "rdate": ["2026-03-01T03:00:01"]},
            timedelta(seconds=1.5),
            "schedule: fires at 2026-03-01T03:00:00Z and 2026-03-01T03:00:01Z, 1 s apart; at least 1.5 s are required",
        ),
    ],
)
def test_what_fires_too_often_is_refused_with_the_two_that_are_too_close(schedule, least, told):
    with pytest.raises(Invalid) as refused:
        refuse_crowded(rule(schedule), NOW, least)

    assert (told, "schedule") == (str(refused.value), refused.value.field)


def test_what_is_long_past_is_not_held_against_a_rule():
    past = {"rrule": ["FREQ=DAILY"], "rdate": ["2020-01-01T00:00:01"]}

    refuse_crowded(rule(past, start_time=datetime(2020, 1, 1, tzinfo=UTC)), NOW, MINUTE)
