"""Rows made by old zone rules, told from the new ones: as if Berlin's clocks had been otherwise until now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qhronos.core.follow import Moved, Moves, Row, anchored, follow
from qhronos.core.recurrence import Dst, Fold, Gap, Recurrence, Subdaily, expand, parse, start

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def berlin(rrule: str | None, start: str = "2026-11-01T09:00:00", **more: object) -> Recurrence:
    schedule = {"rrule": [rrule]} if rrule else None
    return parse(schedule, now=NOW, start_time=datetime.fromisoformat(start), timezone="Europe/Berlin", **more)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def given(recurrence: Recurrence, since: datetime, until: datetime, shift: timedelta = timedelta()) -> list[Row]:
    """What there is of a window, made by rules that were `shift` off."""
    found = expand(recurrence, since - shift, until - shift, 1000).instants
    return [Row(one.at + shift, one.wall, one.at + shift > NOW) for one in found]


def instants(recurrence: Recurrence, *ats: datetime):
    return tuple(one for at in ats for one in expand(recurrence, at, at + MINUTE, 1).instants)


DAILY = berlin("FREQ=DAILY")  # 08:00Z
TOMORROW = datetime(2026, 11, 28, 8, tzinfo=UTC)


def test_what_the_new_rules_give_as_well_stays():
    for rrule in ("FREQ=DAILY", "FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=7", "FREQ=DAILY;BYHOUR=0,1,2,3,13,14,22"):
        recurrence = berlin(rrule)
        assert not follow(recurrence, given(recurrence, NOW - DAY, NOW + DAY), NOW + DAY, NOW)


@pytest.mark.parametrize("shift", [HOUR, -HOUR, 3 * HOUR, -24 * HOUR + MINUTE])
def test_a_local_time_stays_and_its_instant_moves(shift):
    rows = [Row(TOMORROW + shift, local("2026-11-28 09:00"), free=True)]
    moves = follow(DAILY, rows, NOW + 3 * DAY, NOW)
    assert moves.moved == (Moved(TOMORROW + shift, *instants(DAILY, TOMORROW)),)
    assert moves.removed == moves.kept_back == ()


def test_what_is_then_over_is_not_lost():
    today = berlin("FREQ=DAILY", "2026-11-27T12:30:00")  # 11:30Z, and 12:30Z by the old rules
    rows = [Row(NOW + HOUR / 2, local("2026-11-27 12:30"), free=True)]
    (moved,) = follow(today, rows, NOW + HOUR, NOW).moved
    assert moved.after.at == NOW - HOUR / 2


def test_a_local_time_that_has_happened_does_not_happen_again():
    today = berlin("FREQ=DAILY", "2026-11-27T13:30:00")  # 12:30Z, and 11:30Z by the old rules
    rows = [Row(NOW - HOUR / 2, local("2026-11-27 13:30"), free=False)]
    for cursor in (NOW, NOW + HOUR):  # to be made by the expander, or not
        moves = follow(today, rows, cursor, NOW)
        assert moves == Moves(kept_back=(Moved(NOW - HOUR / 2, *instants(today, NOW + HOUR / 2)),))


def test_what_happened_and_is_over_by_the_new_rules_too_is_left_alone():
    rows = [Row(NOW - 6 * HOUR, local("2026-11-27 09:00"), free=False)]
    assert not follow(DAILY, rows, NOW, NOW)


def test_what_the_old_rules_had_after_the_cursor_and_the_new_ones_before_it_is_added():
    # Expanded until 08:30Z; by the old rules it would be at 09:00Z, so it was not made.
    cursor = TOMORROW + HOUR / 2
    assert follow(DAILY, [], cursor, NOW).added == instants(DAILY, TOMORROW)


def test_what_was_never_made_and_is_over_now_is_added_too():
    today = berlin("FREQ=DAILY", "2026-11-20T12:55:00")  # 11:55Z, and 12:55Z by the old rules
    before = Row(NOW - 23 * HOUR - 5 * MINUTE, local("2026-11-26 12:55"), free=False)
    moves = follow(today, [before], NOW + 30 * MINUTE, NOW)
    assert moves == Moves(added=instants(today, NOW - 5 * MINUTE))


@pytest.mark.parametrize("rows", [[], [Row(NOW - 23 * HOUR - 5 * MINUTE, None, free=False)]])
def test_what_was_passed_over_is_not_made_up_for(rows):
    today = berlin("FREQ=DAILY", "2026-11-20T12:55:00")
    assert not follow(today, rows, NOW + 30 * MINUTE, NOW)


def test_what_no_longer_exists_is_removed():
    skipping = berlin("FREQ=DAILY", "2027-03-20T02:30:00", dst=Dst(gap=Gap.SKIP))
    now = datetime(2027, 3, 28, tzinfo=UTC)
    row = Row(now + 90 * MINUTE, local("2027-03-28 02:30"), free=True)
    assert follow(skipping, [row], now + 2 * HOUR, now).removed == (row,)
    assert follow(DAILY, [Row(TOMORROW + HOUR, None, free=True)], NOW, NOW).removed


def test_both_passes_of_a_clock_are_two():
    both = berlin("FREQ=DAILY", "2026-10-20T02:30:00", dst=Dst(fold=Fold.BOTH))
    now = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    wall = local("2026-10-25 02:30")
    assert not follow(both, [Row(first, wall, free=True), Row(second, wall, free=True)], now + DAY, now)
    moves = follow(both, [Row(first - HOUR, wall, free=True), Row(second - HOUR, wall, free=True)], now + DAY, now)
    assert [one.after.at for one in moves.moved] == [second]  # the other row stands where the first pass is
    assert moves == moves._replace(added=(), removed=(), kept_back=())


def test_what_was_opened_by_hand_far_ahead_moves_too():
    far = TOMORROW + 60 * DAY
    rows = [Row(far, local("2027-01-27 09:00"), free=False), Row(far + 25 * HOUR, local("2027-01-28 09:00"), free=True)]
    assert follow(DAILY, rows, NOW, NOW).moved == (Moved(far + 25 * HOUR, *instants(DAILY, far + DAY)),)


def test_a_single_instant_moves():
    once = berlin(None, "2026-11-28T09:00:00.250000")
    (moved,) = follow(once, [Row(TOMORROW + HOUR, once.dtstart, free=True)], NOW + DAY, NOW).moved
    assert moved.after.at == TOMORROW + timedelta(milliseconds=250)
    assert not follow(once, [], NOW, NOW)


def test_every_second_by_the_clock_is_followed_whole():
    seconds = berlin("FREQ=SECONDLY;BYHOUR=14", "2026-11-27T14:00:00")
    assert len(follow(seconds, [], NOW + 2 * HOUR, NOW).added) == 3600
    by_the_clock = berlin("FREQ=SECONDLY", "2026-11-26T00:00:00", subdaily=Subdaily.WALL)
    assert len(follow(by_the_clock, [], NOW + HOUR, NOW).added) == 3599


def test_real_time_goes_on_as_it_began():
    hourly = berlin("FREQ=MINUTELY;INTERVAL=45")
    began = start(hourly)
    assert anchored(hourly, began, NOW) is hourly
    kept = anchored(hourly, began + 20 * MINUTE, NOW)
    assert start(kept) == began + 20 * MINUTE
    assert kept.dtstart == hourly.dtstart + 20 * MINUTE
    assert anchored(hourly, NOW + HOUR, NOW) is hourly  # it has not begun: its local time stays
    by_the_clock = msgspec.structs.replace(hourly, subdaily=Subdaily.WALL)
    for recurrence in (DAILY, by_the_clock, berlin(None)):
        assert anchored(recurrence, start(recurrence) + HOUR, NOW) is recurrence


def test_real_time_that_began_in_a_second_pass_goes_on_from_it():
    hourly = berlin("FREQ=HOURLY", "2026-10-25T02:30:00")
    kept = anchored(hourly, datetime(2026, 10, 25, 1, 30, tzinfo=UTC), NOW)
    assert (kept.dtstart, kept.second_pass) == (local("2026-10-25 02:30"), True)


TWO = berlin("FREQ=DAILY;BYHOUR=13,14", "2026-11-20T13:00:00")  # 12:00Z and 13:00Z


def rows_of(begun: datetime, *pairs: tuple[datetime, str]) -> list[Row]:
    return [Row(at, local(f"2026-11-27 {wall}"), free=at > begun) for at, wall in pairs]


def test_a_local_time_that_has_happened_does_not_take_the_place_of_its_neighbour():
    """By the old rules an hour sooner: 13:00 has been at 11:00Z, and 14:00 stands where 13:00 is now."""
    now = NOW - HOUR / 2
    rows = rows_of(now, (NOW - HOUR, "13:00"), (NOW, "14:00"))
    moves = follow(TWO, rows, now + DAY / 2, now)
    assert moves.moved == (Moved(NOW, *instants(TWO, NOW + HOUR)),)
    assert moves.kept_back == (Moved(NOW - HOUR, *instants(TWO, NOW)),)
    assert moves.added == moves.removed == ()


def test_a_local_time_is_not_lost_where_its_neighbour_has_been():
    """By the old rules an hour later: 13:00 has been at 13:00Z, where 14:00 is now; it has yet to happen."""
    now = NOW + 3 * HOUR / 2
    rows = rows_of(now, (NOW + HOUR, "13:00"), (NOW + 2 * HOUR, "14:00"))
    assert not follow(TWO, rows, now + DAY / 2, now)  # it stays at 14:00Z: late, and once


def test_neighbours_that_all_move_take_each_others_places():
    rows = rows_of(NOW - 2 * HOUR, (NOW - HOUR, "13:00"), (NOW, "14:00"))
    moves = follow(TWO, rows, NOW + DAY / 2, NOW - 2 * HOUR)
    assert [(one.before, one.after.at) for one in moves.moved] == [(NOW - HOUR, NOW), (NOW, NOW + HOUR)]
    assert moves.added == moves.removed == moves.kept_back == ()
