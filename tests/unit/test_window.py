from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from qhronos.core.recurrence import Recurrence, expand
from qhronos.core.window import LEAST_REST, advance, begin, is_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def recurrence(*rrule, dtstart=NOW, rdate=(), exdate=()):
    return Recurrence(
        dtstart=dtstart.replace(tzinfo=None),
        timezone="UTC",
        rrule=tuple(rrule),
        rdate=tuple(rdate),
        exdate=tuple(exdate),
    )


def step(rule, since=NOW, *, now=NOW, room=1000, catchup=None, most=None):
    return advance(rule, since, now=now, look_ahead=HOUR, room=room, catchup=catchup, most=most)


def test_a_single_instant_is_begun_with_however_long_ago():
    long_ago = NOW - timedelta(days=400)
    once = recurrence(dtstart=long_ago)

    assert is_once(once)
    assert long_ago == begin(once, NOW, MINUTE)


@pytest.mark.parametrize(("start", "expected"), [(-400, -1), (-0.5, -0.5), (5, 5)])
def test_a_rule_begins_with_its_event_give_or_take_the_grace_period(start, expected):
    start, expected = NOW + start * MINUTE, NOW + expected * MINUTE

    assert expected == begin(recurrence("FREQ=MINUTELY", dtstart=start), NOW, MINUTE)


def test_a_date_before_the_start_of_the_rule_is_begun_with():
    early = recurrence("FREQ=DAILY", dtstart=NOW + 9 * HOUR, rdate=["2026-03-01T18:00:00"])

    assert NOW + 6 * HOUR == begin(early, NOW, MINUTE)


def test_a_window_is_filled_and_the_next_pass_comes_when_half_of_it_is_used_up():
    pass_ = step(recurrence("FREQ=MINUTELY;INTERVAL=10"))

    assert [NOW + n * 10 * MINUTE for n in range(6)] == [one.at for one in pass_.instants]
    assert NOW + HOUR == pass_.expanded_until == pass_.next_due_at
    assert NOW + HOUR / 2 == pass_.next_expand_at


def test_passes_that_follow_each_other_neither_lose_nor_repeat():
    rule, since, now, found = recurrence("FREQ=MINUTELY;INTERVAL=7"), NOW, NOW, []
    for _ in range(10):
        pass_ = step(rule, since, now=now)
        found += [one.at for one in pass_.instants]
        since, now = pass_.expanded_until, pass_.next_expand_at

    assert [NOW + n * 7 * MINUTE for n in range(len(found))] == found
    assert len(found) > 40


def test_a_far_instant_is_slept_towards():
    far = NOW + timedelta(days=400)

    pass_ = step(recurrence(dtstart=far), far)

    assert () == pass_.instants
    assert (far, far - HOUR / 2) == (pass_.next_due_at, pass_.next_expand_at)


def test_after_the_last_instant_nothing_is_left():
    pass_ = step(recurrence())

    assert [NOW] == [one.at for one in pass_.instants]
    assert (None, None) == (pass_.next_due_at, pass_.next_expand_at)


def test_a_rule_that_has_ended_is_over_at_once():
    pass_ = step(recurrence("FREQ=DAILY;UNTIL=20260301T130000Z"), NOW + 2 * HOUR, now=NOW + 2 * HOUR)

    assert ((), None, None) == (pass_.instants, pass_.next_due_at, pass_.next_expand_at)


def test_when_the_room_is_used_up_the_next_pass_comes_with_half_of_it_free():
    pass_ = step(recurrence("FREQ=SECONDLY"), room=100)

    assert 100 == len(pass_.instants)
    assert pass_.instants[-1].at < pass_.expanded_until <= pass_.instants[-1].at + timedelta(seconds=1)
    assert NOW + LEAST_REST < pass_.next_expand_at < pass_.expanded_until


def test_without_room_nothing_moves_but_the_time():
    pass_ = step(recurrence("FREQ=SECONDLY"), room=0)

    assert ((), NOW) == (pass_.instants, pass_.expanded_until)
    assert NOW < pass_.next_expand_at < NOW + HOUR


def test_what_is_older_than_the_catch_up_window_is_counted_and_not_made():
    since, catchup = NOW - timedelta(days=3), NOW - timedelta(days=1)

    pass_ = step(recurrence("FREQ=HOURLY", dtstart=since), since, catchup=catchup)

    assert (since, catchup, 48, "older than the catch-up window") == pass_.gap
    assert [catchup + n * HOUR for n in range(25)] == [one.at for one in pass_.instants]
    assert NOW + HOUR == pass_.expanded_until


@pytest.mark.parametrize("rule", ["FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY"])
def test_what_is_rare_is_made_though_its_last_pass_is_longer_ago_than_the_catch_up_window(rule):
    """However late each pass comes, and though the catch-up window moves on with every one."""
    rare, since, now, made = recurrence(rule, dtstart=NOW), NOW, NOW, []
    for _ in range(40):
        pass_ = step(rare, since, now=now, catchup=now - timedelta(days=1))
        made += [one.at for one in pass_.instants]
        since, now = pass_.expanded_until, max(now, pass_.next_expand_at) + timedelta(milliseconds=50)

    assert len(made) >= 20
    assert [one.at for one in expand(rare, NOW, since, 100).instants] == made


def test_a_gap_of_more_than_a_pass_counts_is_gone_on_with():
    since, catchup = NOW - timedelta(days=3), NOW - timedelta(days=1)
    often = recurrence("FREQ=SECONDLY", dtstart=since)

    pass_ = step(often, since, catchup=catchup)

    assert (since, since + timedelta(seconds=10_000), 10_000) == pass_.gap[:3]
    assert ((), pass_.gap.until, NOW) == (pass_.instants, pass_.expanded_until, pass_.next_expand_at)


@pytest.mark.parametrize(("most", "room", "kept"), [(0, 10, 10), (1, 10, 10), (30, 10, 30)])
def test_of_more_that_was_missed_than_there_is_room_for_only_what_may_fire_is_made(most, room, kept):
    """Else each roomful would have a latest of its own."""
    since = NOW - timedelta(hours=2)
    pass_ = step(recurrence("FREQ=MINUTELY", dtstart=since), since, room=room, most=most)

    until = NOW - kept * MINUTE
    assert (since, until, 120 - kept, "more than are caught up") == pass_.gap
    assert [until + n * MINUTE for n in range(room)] == [one.at for one in pass_.instants]


def test_what_was_missed_is_made_whole_where_there_is_room_or_all_of_it_fires():
    since = NOW - timedelta(hours=2)
    rule = recurrence("FREQ=MINUTELY", dtstart=since)

    for pass_ in (step(rule, since, room=120, most=1), step(rule, since, room=10)):
        assert pass_.gap is None
        assert since == pass_.instants[0].at


def test_more_than_a_pass_counts_is_gone_on_with_and_the_latest_are_kept():
    since, made, gaps = NOW - timedelta(hours=20), [], []
    often = recurrence("FREQ=SECONDLY", dtstart=since)
    while not made:
        pass_ = step(often, since, room=10, most=1)
        made, since = pass_.instants, pass_.expanded_until
        gaps.append(pass_.gap)

    assert [NOW - timedelta(seconds=10 - n) for n in range(10)] == [one.at for one in made]
    assert 20 * 3600 - 10 == sum(gap.instants for gap in gaps)
    assert all(before.until == after.since for before, after in pairwise(gaps))


def test_what_is_too_old_and_what_is_too_much_are_one_gap():
    since, catchup = NOW - timedelta(hours=4), NOW - timedelta(hours=2)
    pass_ = step(recurrence("FREQ=MINUTELY", dtstart=since), since, catchup=catchup, room=10, most=1)

    why = "older than the catch-up window; more than are caught up"
    assert (since, NOW - 10 * MINUTE, 230, why) == pass_.gap


def test_a_gap_in_which_nothing_was_due_is_none():
    since = NOW - timedelta(days=3)
    rule = recurrence("FREQ=YEARLY", dtstart=NOW - timedelta(days=100))

    pass_ = step(rule, since, catchup=NOW - timedelta(days=1))

    assert pass_.gap is None


def test_a_single_instant_is_never_a_gap():
    since = NOW - timedelta(days=3)

    pass_ = step(recurrence(dtstart=since), since, catchup=NOW - timedelta(days=1))

    assert [since] == [one.at for one in pass_.instants]


def test_a_rule_that_ended_within_its_gap_has_nothing_left():
    since = NOW - timedelta(days=3)
    rule = recurrence("FREQ=HOURLY;UNTIL=20260227T000000Z", dtstart=since)

    pass_ = step(rule, since, catchup=NOW - timedelta(days=1))

    assert pass_.gap is not None
    assert pass_.next_expand_at is None


def test_a_rule_whose_search_takes_long_goes_on_where_it_stopped():
    rule = recurrence("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;BYMINUTE=4;BYSECOND=5")
    since, now, passes = NOW, NOW, 0
    while not (pass_ := step(rule, since, now=now)).instants:
        assert pass_.expanded_until > since or pass_.next_due_at
        since, now, passes = pass_.expanded_until, pass_.next_expand_at, passes + 1
        assert passes < 5000

    assert datetime(2028, 2, 29, 3, 4, 5, tzinfo=UTC) == pass_.instants[0].at


def test_an_instant_beyond_the_search_is_searched_for_again_when_that_comes_near():
    rule = recurrence("FREQ=YEARLY;INTERVAL=20", dtstart=NOW)

    pass_ = step(rule, NOW + HOUR, now=NOW + HOUR)

    assert pass_.next_due_at is None
    assert NOW + timedelta(days=9 * 365) < pass_.expanded_until < NOW + timedelta(days=11 * 365)
    assert pass_.expanded_until - HOUR / 2 == pass_.next_expand_at


def test_a_rule_that_ends_without_another_instant_is_over():
    rule = recurrence("FREQ=DAILY;UNTIL=20260301T200000Z")

    pass_ = step(rule, NOW + HOUR, now=NOW + HOUR)

    assert ((), None, None) == (pass_.instants, pass_.next_due_at, pass_.next_expand_at)


@pytest.mark.parametrize("start", [NOW, NOW + 30 * HOUR])
def test_a_single_instant_that_is_taken_away_leaves_nothing_to_come_back_for(start):
    once = recurrence(dtstart=start, exdate=(start.date().isoformat(),))

    assert ((), NOW + HOUR, None, None, None) == step(once)
