"""What an event promised against what is recorded of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from qhronos.core.ledger import Bounds, Fate, Line, Passed, Promise, account, outlook, unmatched
from qhronos.core.recurrence import Recurrence, parse

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERYTHING = Bounds(kept_since=NOON - 30 * DAY, made_until=NOON + 30 * DAY)


class Row(NamedTuple):
    due_at: datetime
    wall: datetime | None = None


def rule(schedule: str | None, start: datetime = NOON - DAY, timezone: str = "UTC") -> Recurrence:
    return parse(schedule, now=NOON, start_time=start, timezone=timezone)


def promise(
    recurrence: Recurrence,
    since: datetime,
    until: datetime | None = None,
    *,
    early: timedelta = HOUR,
    ours: bool = True,
) -> Promise:
    return Promise(recurrence, since - early, since, until, ours)


HOURLY = rule("FREQ=HOURLY")
DAILY = rule("FREQ=DAILY")


def hours(*numbers: int) -> list[datetime]:
    return [NOON + number * HOUR for number in numbers]


def instants(promises, since=NOON - DAY, until=NOON + DAY, limit=100):
    return [one.at for one in outlook(promises, since, until, limit).instants]


def lines(promises, rows=(), *, beyond=(), gaps=(), bounds=EVERYTHING, until=NOON + 3 * HOUR):
    wanted = outlook(promises, NOON, until, 100).instants
    return account(wanted, list(rows), list(beyond), list(gaps), bounds)


def test_a_version_promises_what_comes_while_it_is_valid():
    versions = [promise(HOURLY, NOON, NOON + 2 * HOUR, early=HOUR / 2), promise(DAILY, NOON + 2 * HOUR, early=HOUR / 2)]

    assert hours(0, 1) == instants(versions)
    assert hours(0, 1, 24) == instants(versions, until=NOON + 2 * DAY)


def test_versions_in_a_row_that_promise_the_same_are_one():
    cut = [promise(HOURLY, at, at + HOUR, early=timedelta()) for at in hours(0, 1, 2)]

    assert hours(0, 1, 2) == instants(cut)
    assert [] == instants([])


def test_a_single_instant_is_promised_also_if_it_was_over():
    late = rule(None, NOON - HOUR)

    assert [NOON - HOUR] == instants([promise(late, NOON)])
    assert [] == instants([promise(rule(None, NOON + HOUR), NOON, NOON + HOUR / 2)])


def test_a_single_instant_that_had_not_begun_when_its_version_ended_is_expected_only_if_it_was_made():
    waits = promise(rule(None, NOON), NOON - HOUR, NOON + HOUR)._replace(delay=HOUR)

    assert [] == lines([waits])
    assert [Line(NOON, True, Fate.RECORDED, Row(NOON))] == lines([waits], [Row(NOON)])
    assert [NOON] == [line.at for line in lines([waits._replace(delay=HOUR / 2)])]


def test_what_two_versions_promise_is_promised_once():
    once = rule(None, NOON)

    assert [NOON] == instants([promise(once, NOON, NOON + HOUR, ours=False), promise(once, NOON + HOUR)])


def test_an_outlook_goes_as_far_as_its_limit():
    first = outlook([promise(HOURLY, NOON)], NOON, NOON + DAY, 3)
    then = outlook([promise(HOURLY, NOON)], first.covered, NOON + DAY, 100)

    assert (hours(0, 1, 2), NOON + 3 * HOUR) == ([one.at for one in first.instants], first.covered)
    assert hours(*range(3, 24)) == [one.at for one in then.instants]


def test_several_versions_share_the_limit():
    versions = [promise(rule(None, NOON), NOON, NOON + 2 * HOUR), promise(HOURLY, NOON + 2 * HOUR, early=HOUR)]

    assert (hours(0, 1), NOON + 2 * HOUR) == (
        instants(versions, NOON, NOON + DAY, 2),
        outlook(versions, NOON, NOON + DAY, 2).covered,
    )


def test_no_version_is_looked_at_beyond_what_an_earlier_one_covers():
    endless = rule("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30")  # never, which takes all the steps to find out
    seen = outlook(
        [promise(endless, NOON, NOON + 20 * DAY), promise(HOURLY, NOON + 20 * DAY)], NOON, NOON + 30 * DAY, 9
    )

    assert all(one.at < seen.covered for one in seen.instants)


def test_what_has_a_row_is_recorded_and_what_has_none_is_missing():
    found = lines([promise(HOURLY, NOON)], [Row(at) for at in hours(0, 2)])

    assert [
        Line(NOON, True, Fate.RECORDED, Row(NOON)),
        Line(NOON + HOUR, True, Fate.MISSING),
        Line(NOON + 2 * HOUR, True, Fate.RECORDED, Row(NOON + 2 * HOUR)),
    ] == found
    assert [True, True, True] == [line.counts for line in found]


def test_what_lies_in_a_gap_was_passed_over_unless_it_has_a_row():
    gap = Passed(NOON, NOON + 2 * HOUR, 1, "paused")
    found = lines([promise(HOURLY, NOON)], [Row(NOON)], gaps=[gap], bounds=EVERYTHING)

    assert [Fate.RECORDED, Fate.PASSED_OVER, Fate.MISSING] == [line.fate for line in found]
    assert [None, "paused", None] == [line.reason for line in found]
    assert all(line.counts for line in found)


def test_what_is_not_made_yet_is_planned():
    found = lines([promise(HOURLY, NOON)], [Row(NOON + 2 * HOUR)], bounds=EVERYTHING._replace(made_until=NOON + HOUR))

    assert [Fate.MISSING, Fate.PLANNED, Fate.RECORDED] == [line.fate for line in found]
    assert [True, False, True] == [line.counts for line in found]


def test_history_that_has_had_its_time_is_not_missing():
    found = lines([promise(HOURLY, NOON)], bounds=EVERYTHING._replace(kept_since=NOON + HOUR))

    assert [Fate.DROPPED, Fate.MISSING, Fate.MISSING] == [line.fate for line in found]
    assert [False, True, True] == [line.counts for line in found]


def test_what_may_have_been_made_is_expected_only_if_it_was():
    versions = [promise(HOURLY, NOON + HOUR, early=HOUR)]

    assert hours(1, 2) == [line.at for line in lines(versions)]
    assert [True, True, True] == [line.expected for line in lines(versions, [Row(NOON)])]


def test_rows_that_the_schedule_has_not_are_listed_and_not_expected():
    found = lines([promise(HOURLY, NOON)], [Row(NOON + HOUR / 2), *map(Row, hours(0, 1, 2))])

    assert [True, False, True, True] == [line.expected for line in found]
    assert [True, False, True, True] == [line.counts for line in found]


BERLIN = rule("FREQ=DAILY", datetime(2026, 2, 1, 13, tzinfo=UTC), "Europe/Berlin")  # 14:00 there
AT, WALL = datetime(2026, 3, 1, 13, tzinfo=UTC), datetime(2026, 3, 1, 14)  # noqa: DTZ001 - a local time


@pytest.mark.parametrize("inside", [True, False])
def test_what_other_zone_rules_made_is_known_by_its_local_time(inside):
    row = Row(AT + HOUR, WALL)
    wanted = [promise(BERLIN, NOON, ours=False)]
    found = lines(wanted, [row] if inside else [], beyond=[] if inside else [row])

    assert [Line(AT + HOUR, True, Fate.RECORDED, row)] == found


def test_by_our_own_zone_rules_an_instant_is_an_instant():
    found = lines([promise(BERLIN, NOON)], [Row(AT + HOUR, WALL)])

    assert [(AT, Fate.MISSING, True), (AT + HOUR, Fate.RECORDED, False)] == [
        (line.at, line.fate, line.expected) for line in found
    ]


def test_a_row_beyond_the_window_that_is_nobodys_is_not_listed():
    assert [] == lines([promise(DAILY, NOON + 5 * HOUR, ours=False)], beyond=[Row(NOON - HOUR, WALL)])


def test_those_without_a_row_of_their_instant():
    wanted = outlook([promise(HOURLY, NOON)], NOON, NOON + 3 * HOUR, 9).instants

    assert hours(1) == [one.at for one in unmatched(wanted, [Row(at) for at in hours(0, 2)])]
