from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qhronos.core.recurrence import STEPS, Mark, Recurrence, expand, is_settled, local, parse, settle, start

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)


def recurrence(schedule: object, begins: str = "2026-01-01T09:00", zone: str = "UTC") -> Recurrence:
    return parse(schedule, now=NOW, start_time=datetime.fromisoformat(begins), timezone=zone)


def days(schedule: object, begins: str, count: int) -> list[str]:
    rule = recurrence(schedule, begins)
    return [f"{instant.at:%y-%m-%d}" for instant in expand(rule, start(rule), None, count).instants]


def instants(rule: Recurrence, since: datetime, until: datetime | None, limit: int = 1000) -> list[datetime]:
    return [instant.at for instant in expand(rule, since, until, limit).instants]


@pytest.mark.parametrize(
    ("schedule", "begins", "expected"),
    [
        # What the first Qhronos lost or moved.
        ({"frequency": "monthly", "by_month_day": [1, 15]}, "2025-01-10", "25-01-15 25-02-01 25-02-15 25-03-01"),
        ({"frequency": "monthly"}, "2025-01-31", "25-01-31 25-03-31 25-05-31 25-07-31"),
        ({"frequency": "monthly", "by_month_day": [31]}, "2025-01-31", "25-01-31 25-03-31 25-05-31 25-07-31"),
        ({"frequency": "yearly", "by_month": [3, 9]}, "2025-06-01", "25-09-01 26-03-01 26-09-01 27-03-01"),
        ({"frequency": "weekly", "interval": 2, "by_day": ["MO"]}, "2025-01-02", "25-01-13 25-01-27 25-02-10 25-02-24"),
        ({"frequency": "daily", "until": "2025-01-03T00:00:00Z"}, "2025-01-01", "25-01-01 25-01-02 25-01-03"),
        ({"frequency": "daily", "count": 3}, "2025-01-01", "25-01-01 25-01-02 25-01-03"),
        (
            {"frequency": "daily", "by_day": ["SA"], "by_month": [3]},
            "2025-01-01",
            "25-03-01 25-03-08 25-03-15 25-03-22",
        ),
        # Where engines differ.
        ("FREQ=MONTHLY;BYDAY=MO,1WE", "2025-01-01", "25-01-01 25-01-06 25-01-13 25-01-20"),
        ("FREQ=YEARLY;BYMONTHDAY=-1", "2025-02-01", "25-02-28 26-02-28 27-02-28 28-02-29"),
        ("FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR", "2025-01-01", "25-06-13 26-02-13 26-03-13 26-11-13"),
        ("FREQ=YEARLY", "2024-02-29", "24-02-29 28-02-29 32-02-29"),
        ("FREQ=YEARLY;BYWEEKNO=20", "1997-05-15", "97-05-15 98-05-14 99-05-20 00-05-18"),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA,SU", "2010-01-01", "10-01-02 10-01-03 16-01-02 16-01-03"),
        ("FREQ=YEARLY;BYWEEKNO=-53;BYDAY=MO", "2019-01-01", "19-12-30 25-12-29"),
        ("FREQ=YEARLY;INTERVAL=5;BYWEEKNO=53;BYDAY=TH", "2027-01-03", "32-12-30"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,SU;BYSETPOS=1", "2019-01-01", "19-12-30 21-01-04 22-01-03 23-01-02"),
        ("FREQ=YEARLY;BYYEARDAY=-1,60", "2024-01-01", "24-02-29 24-12-31 25-03-01 25-12-31"),
        ("FREQ=YEARLY;BYYEARDAY=1,2;BYDAY=TH", "2025-01-01", "25-01-02 26-01-01 31-01-02"),
        ("FREQ=YEARLY;BYDAY=1MO,-1MO", "2025-01-01", "25-01-06 25-12-29 26-01-05 26-12-28"),
        ("FREQ=YEARLY;BYMONTH=2,3;BYDAY=1MO,-1MO", "2025-01-01", "25-02-03 25-02-24 25-03-03 25-03-31"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=2", "1997-01-01", "97-01-07 97-01-14 97-01-21 97-01-28"),
        ("FREQ=WEEKLY;BYDAY=SA,SU;BYSETPOS=-1;WKST=SU", "2025-01-01", "25-01-04 25-01-11 25-01-18 25-01-25"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1", "2025-01-01", "25-01-01 25-01-31 25-02-03 25-02-28"),
        ("FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=30", "2025-01-01", "25-01-30 25-06-30 25-11-30 26-04-30"),
        ("FREQ=DAILY;INTERVAL=3;BYMONTHDAY=1,2,3", "2025-01-01", "25-01-01 25-02-03 25-03-02 25-04-01"),
        ("FREQ=DAILY;INTERVAL=1000000000", "2025-01-01", "25-01-01"),
        ("FREQ=WEEKLY;INTERVAL=1000000000;BYDAY=WE", "2025-01-01", "25-01-01"),
        ("FREQ=MONTHLY;INTERVAL=1000000000", "2025-01-01", "25-01-01"),
        ("FREQ=YEARLY;INTERVAL=1000000000", "2025-01-01", "25-01-01"),
        ("FREQ=HOURLY;INTERVAL=1000000000", "2025-01-01", "25-01-01"),
    ],
)
def test_a_rule_gives_its_days(schedule, begins, expected):
    wanted = expected.split()

    assert wanted == days(schedule, begins, len(wanted))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY;BYHOUR=8,17;BYMINUTE=0,30", "01-17:00 01-17:30 02-08:00 02-08:30"),
        ("FREQ=DAILY;BYHOUR=8,9,17;BYSETPOS=-1,1", "01-17:05 02-08:05 02-17:05 03-08:05"),
        ("FREQ=DAILY;BYSECOND=59,60", "01-09:05:59 02-09:05:59"),
        ("FREQ=HOURLY;INTERVAL=10", "01-09:05 01-19:05 02-05:05 02-15:05"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "01-09:30 01-10:00 01-10:30 01-11:00"),
        ("FREQ=HOURLY;BYMINUTE=0,10,20;BYSETPOS=-1,1", "01-09:20 01-10:00 01-10:20 01-11:00"),
        ("FREQ=HOURLY;BYSECOND=15,45", "01-09:05:15 01-09:05:45 01-10:05:15"),
        ("FREQ=HOURLY;BYMINUTE=5;BYSECOND=15,60", "01-09:05:15 01-09:05:59 01-10:05:15"),
        ("FREQ=HOURLY;BYHOUR=3,23;BYDAY=FR", "02-03:05 02-23:05 09-03:05"),
        ("FREQ=HOURLY;BYHOUR=23;BYYEARDAY=1", "01-23:05 01-23:05"),
        ("FREQ=MINUTELY;INTERVAL=1440", "01-09:05 02-09:05 03-09:05"),
        ("FREQ=MINUTELY;INTERVAL=7;BYMINUTE=0", "01-12:00 01-19:00 02-02:00"),
        ("FREQ=MINUTELY;BYSECOND=20,40;BYHOUR=9", "01-09:05:20 01-09:05:40 01-09:06:20"),
        ("FREQ=MINUTELY;BYHOUR=9;BYMINUTE=3,4", "02-09:03 02-09:04 03-09:03"),
        ("FREQ=SECONDLY;INTERVAL=90", "01-09:05 01-09:06:30 01-09:08 01-09:09:30"),
        ("FREQ=SECONDLY;BYSECOND=58,60;BYMINUTE=5,6", "01-09:05:58 01-09:05:59 01-09:06:58 01-09:06:59 01-10:05:58"),
        ("FREQ=SECONDLY;INTERVAL=7;BYSECOND=0;BYMONTHDAY=-1", "31-00:03 31-00:10 31-00:17"),
    ],
)
def test_a_rule_gives_its_times(rule, expected):
    found = instants(recurrence(rule, "2026-01-01T09:05"), NOW, None, len(expected.split()))

    assert expected == " ".join(f"{at:%d-%H:%M:%S}".removesuffix(":00") for at in found)


def test_a_window_is_half_open():
    daily = recurrence("FREQ=DAILY")
    nine = datetime(2026, 1, 5, 9, tzinfo=UTC)

    assert [nine] == instants(daily, nine, nine + DAY)
    assert [] == instants(daily, nine + MICROSECOND, nine + DAY)
    assert [nine] == instants(daily, nine - DAY + MICROSECOND, nine + MICROSECOND)
    assert [] == instants(daily, nine, nine)
    assert [] == instants(recurrence("FREQ=HOURLY;BYHOUR=9"), nine, nine)


def test_nothing_comes_before_the_start_or_after_the_calendar():
    daily = recurrence("FREQ=DAILY;BYHOUR=8,9,10")
    all_of_it = expand(daily, datetime.min.replace(tzinfo=UTC), NOW + DAY, 10)
    beyond = expand(daily, FOR_EVER - DAY, None, 10)

    assert [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (9, 10)] == [
        instant.at for instant in all_of_it.instants
    ]
    assert ((), True, True) == (beyond.instants, beyond.complete, beyond.ended)


def test_a_full_answer_says_where_the_next_instant_is():
    weekly = recurrence("FREQ=WEEKLY")
    expansion = expand(weekly, NOW, NOW + 100 * DAY, 2)

    assert 2 == len(expansion.instants)
    assert (datetime(2026, 1, 15, 9, tzinfo=UTC), False, False) == expansion[1:]


def test_a_window_that_holds_no_more_is_complete_and_one_after_the_end_has_ended():
    three = recurrence("FREQ=DAILY;UNTIL=20260103")
    first_two, all_three = expand(three, NOW, NOW + 2 * DAY, 2), expand(three, NOW, NOW + 50 * DAY, 3)

    assert (NOW + 2 * DAY, True, False) == first_two[1:]
    assert (NOW + 50 * DAY, True, True) == all_three[1:]


def test_an_open_window_ends_after_ten_years_and_is_only_complete_when_all_has_ended():
    leap, counted = recurrence("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"), recurrence("FREQ=DAILY;COUNT=2")
    searched = expand(leap, NOW, None, 10)

    assert ["28", "32"] == [f"{instant.at:%y}" for instant in searched.instants]
    assert (start(leap) + timedelta(days=3653), False, False) == searched[1:]
    assert (True, True) == expand(counted, NOW, None, 10)[2:]


def test_the_open_window_of_a_recurrence_that_begins_later_reaches_beyond_its_start():
    later = recurrence("FREQ=YEARLY", "2050-06-01")

    assert [datetime(2050, 6, 1, tzinfo=UTC)] == instants(later, NOW, None, 1)


def test_several_rules_and_dates_make_one_set():
    schedule = {
        "rrule": ["FREQ=DAILY;COUNT=2", "FREQ=DAILY;INTERVAL=2;UNTIL=20260105T090000"],
        "rdate": ["2026-01-03T09:00", "2026-01-04T12:00Z", "2025-12-24T09:00"],
        "exdate": ["2026-01-02T09:00"],
    }
    found = expand(recurrence(schedule), NOW - 30 * DAY, NOW + 30 * DAY, 100)

    assert ["12-24 09", "01-01 09", "01-03 09", "01-04 12", "01-05 09"] == [
        f"{one.at:%m-%d %H}" for one in found.instants
    ]
    assert (True, True) == found[2:]


def test_dtstart_counts_if_there_is_no_rule_or_a_rule_gives_it():
    assert ["26-01-05"] == days("FREQ=WEEKLY;BYDAY=MO", "2026-01-01", 1)
    assert ["26-01-01", "26-01-07"] == days({"rdate": ["2026-01-07T00:00"]}, "2026-01-01", 9)


def test_exdate_does_not_give_back_what_it_takes_from_count():
    schedule = {"frequency": "daily", "count": 3, "exdate": ["2026-01-02T00:00:00", "2026-01-03"]}

    assert ["26-01-01"] == days(schedule, "2026-01-01", 9)


def test_a_single_instant_is_exact():
    once = parse(None, now=NOW + MICROSECOND)
    expansion = expand(once, NOW, NOW + DAY, 5)

    assert (NOW + MICROSECOND, Mark.NORMAL) == (expansion.instants[0].at, expansion.instants[0].mark)
    assert (NOW + DAY, True, True) == expansion[1:]
    assert [NOW + MICROSECOND] == instants(once, NOW, None)
    assert [] == instants(once, NOW, NOW + MICROSECOND)
    assert [] == instants(once, NOW + 2 * MICROSECOND, None)
    assert not expand(once, NOW - DAY, NOW, 5).ended
    assert [] == instants(parse({"exdate": ["2026-01-01"]}, now=NOW), NOW, None)


def test_local_time_carries_its_offset():
    rule = recurrence("FREQ=DAILY", zone="Europe/Berlin")

    assert "2026-01-01T09:00:00+01:00" == local(rule, start(rule)).isoformat()


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        ("FREQ=DAILY;COUNT=10", "2026-01-10T09:00"),
        ("FREQ=MINUTELY;COUNT=100000", "2026-03-11T19:39"),
        ("FREQ=WEEKLY;BYDAY=MO,FR;COUNT=5", "2026-01-16T09:00"),
    ],
)
def test_a_count_is_settled_pass_by_pass_into_its_last_instant(rule, last):
    counted, passes = recurrence(rule), 0
    while not is_settled(counted):
        counted = settle(counted)
        passes += 1

    (state,) = counted.counted
    assert state is not None
    assert (0, passes < 20) == (state.left, True)
    last_instant = datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert last_instant == state.until
    assert [last_instant] == instants(counted, last_instant, None)


def test_a_count_that_the_calendar_cannot_hold_ends_with_it():
    counted = recurrence("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=100000")
    while not is_settled(counted):
        counted = settle(counted)

    assert 9999 == counted.counted[0].until.year
    assert ["92", "96"] == [f"{at:%y}" for at in instants(counted, datetime(9990, 1, 1, tzinfo=UTC), None)]


def test_settling_takes_up_where_it_was_left_and_then_changes_nothing():
    rule = recurrence({"rrule": ["FREQ=DAILY;COUNT=300", "FREQ=HOURLY", "FREQ=WEEKLY;COUNT=2"]})
    by_and_by = rule
    for _ in range(500):
        by_and_by = settle(by_and_by, 20)
    at_once = settle(rule)

    assert (None, 0) == (at_once.counted[1], at_once.counted[0].left)
    assert at_once == by_and_by == settle(at_once)
    assert is_settled(at_once)
    assert not is_settled(rule)


def test_a_recurrence_without_count_needs_no_settling():
    rule = recurrence("FREQ=DAILY")

    assert is_settled(rule)
    assert rule == settle(rule)


def test_a_count_gives_the_same_whether_settled_half_settled_or_not():
    fresh = recurrence("FREQ=DAILY;COUNT=30")
    half, done = settle(fresh, 100), settle(fresh)
    windows = [(NOW, None), (NOW + 5 * DAY, NOW + 20 * DAY), (NOW + 25 * DAY, None), (NOW + 40 * DAY, None)]

    assert 0 < half.counted[0].left < 30
    for since, until in windows:
        assert expand(fresh, since, until, 50) == expand(half, since, until, 50) == expand(done, since, until, 50)


def test_an_old_count_that_is_not_settled_does_not_hold_anyone_up():
    old = recurrence("FREQ=MINUTELY;COUNT=100000", "2026-01-01")
    expansion = expand(old, NOW + 60 * DAY, NOW + 61 * DAY, 10)

    assert ((), NOW + 60 * DAY, False, False) == expansion


def test_age_does_not_matter():
    """A rule that began a hundred years ago costs as many steps as a young one."""
    for rule in ("FREQ=DAILY", "FREQ=HOURLY;INTERVAL=7", "FREQ=MINUTELY;BYHOUR=9", "FREQ=SECONDLY;INTERVAL=30"):
        old, young = recurrence(rule, "1926-01-01T09:00"), recurrence(rule, "2025-12-31T09:00")
        steps = next(steps for steps in range(10, STEPS, 10) if expand(young, NOW, NOW + HOUR, 5000, steps).complete)

        assert expand(old, NOW, NOW + HOUR, 5000, steps + 20).complete


def test_the_stored_count_survives_json():
    settled = settle(recurrence("FREQ=DAILY;COUNT=10"))

    assert settled == msgspec.json.decode(msgspec.json.encode(settled), type=Recurrence)
