from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from qhronos.core.recurrence import Business, Roll, describe, parse
from qhronos.core.recurrence.words import readable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGINS = "from 5 January 2026 at 09:00 (Europe/Berlin)"


def words(schedule: object) -> str:
    start_time = datetime(2026, 1, 5, 9)  # noqa: DTZ001 - wall time
    return describe(parse(schedule, now=NOW, start_time=start_time, timezone="Europe/Berlin"))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=SECONDLY", "Every second"),
        ("FREQ=MINUTELY;INTERVAL=15", "Every 15 minutes"),
        ("FREQ=HOURLY;COUNT=1", "Every hour, once"),
        ("FREQ=DAILY", "Every day at 09:00"),
        ("FREQ=DAILY;INTERVAL=2;BYHOUR=8,17;BYMINUTE=30", "Every 2 days at 08:30 and 17:30"),
        ("FREQ=DAILY;BYSECOND=15,60", "Every day at 09:00:15 and 09:00:59"),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "Every weekday, Monday to Friday, at 09:00"),
        ("FREQ=DAILY;BYDAY=SU", "Every Sunday at 09:00"),
        ("FREQ=WEEKLY", "Every Monday at 09:00"),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR", "Every Monday, Wednesday and Friday at 09:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU", "Every 2 weeks on Saturday and Sunday at 09:00"),
        ("FREQ=MONTHLY", "On the 5th of every month at 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,2,3,11,22,-1", "On the 1st, the 2nd, the 3rd, the 11th, the 22nd and the last day of every month at 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=31,-2", "On the 31st (if there is one) and the second to last day of every month at 09:00"),
        ("FREQ=MONTHLY;INTERVAL=3;BYDAY=1FR,-1MO", "Every 3 months on the first Friday and the last Monday of the month at 09:00"),
        ("FREQ=MONTHLY;BYDAY=TU;BYMONTH=3,9", "On every Tuesday of March and September at 09:00"),
        ("FREQ=YEARLY", "Every year on the 5th of January at 09:00"),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=1TU", "Every 4 years on the first Tuesday of November at 09:00"),
        ("FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7", "Every day, every hour from 01:00 to 07:00"),
        ("FREQ=DAILY;BYMONTH=1,6", "Every day in January and June at 09:00"),
        ("FREQ=WEEKLY;BYHOUR=9,10;BYMINUTE=0,15,30,45", "Every Monday, every 15 minutes from 09:00 to 10:45"),
        ("FREQ=MINUTELY;BYDAY=MO;BYMONTH=6", "Every minute on Monday in June"),
        ("FREQ=HOURLY;BYMINUTE=15,45", "Every hour at :15 and :45"),
        ("FREQ=HOURLY;BYMINUTE=15;BYSECOND=30", "Every hour at :15:30"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "On the last working day of every month at 09:00"),
        ("FREQ=MONTHLY;BYMONTH=3,6;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", "Every year on the first working day of March and June at 09:00"),
        ("FREQ=MONTHLY;BYMONTH=3;BYDAY=1MO", "Every year on the first Monday of March at 09:00"),
        ("FREQ=DAILY;COUNT=10", "Every day at 09:00, 10 times"),
        ("FREQ=DAILY;UNTIL=20261224", "Every day at 09:00, until 24 December 2026"),
        ("FREQ=DAILY;UNTIL=20261224T180000", "Every day at 09:00, until 24 December 2026 at 18:00"),
        ("FREQ=DAILY;UNTIL=20261224T180001Z", "Every day at 09:00, until 24 December 2026 at 18:00:01 UTC"),
    ],
)  # fmt: skip
def test_a_common_rule_is_told_in_words(rule, expected):
    assert f"{expected}, {BEGINS}" == words(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;BYHOUR=9",
        "FREQ=MINUTELY;BYSECOND=1",
        "FREQ=DAILY;BYMONTHDAY=1",
        "FREQ=DAILY;INTERVAL=2;BYDAY=MO",
        "FREQ=DAILY;BYHOUR=1,2,3,4,5,6,8",
        "FREQ=DAILY;BYHOUR=1,2;BYSETPOS=1",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU",
        "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "FREQ=MONTHLY;BYDAY=-3MO",
        "FREQ=MONTHLY;INTERVAL=2;BYMONTH=1",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYDAY=20MO",
        "FREQ=YEARLY;BYDAY=1MO",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=YEARLY;BYYEARDAY=100",
    ],
)
def test_what_the_words_cannot_say_is_shown_as_the_rule(rule):
    assert f"By the rule {rule}, {BEGINS}" == words(rule)


def test_a_single_instant_is_told_to_the_microsecond():
    assert "Once, on 1 January 2026 at 00:00:00.000250 (UTC)" == describe(parse(None, now=NOW.replace(microsecond=250)))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, "Once, on 5 January 2026 at 09:00 (Europe/Berlin)"),
        ({"rdate": ["2026-01-05T09:00", "2026-01-06T09:00"]}, "On 5 January 2026 at 09:00; also on 2026-01-06T09:00:00 (Europe/Berlin)"),
        ("FREQ=MONTHLY;BYDAY=5MO", f"On the fifth Monday (if there is one) of every month at 09:00, {BEGINS}"),
        ({"rdate": ["2026-01-05T09:00"]}, "On 5 January 2026 at 09:00 (Europe/Berlin)"),
        (
            {"rrule": ["FREQ=DAILY", "FREQ=HOURLY"], "exdate": ["2026-01-06", "2026-01-07"]},
            "Every day at 09:00; and every hour, from 5 January 2026 at 09:00; but not on 2026-01-06 and 2026-01-07 (Europe/Berlin)",
        ),
        (
            {"frequency": "daily", "rdate": [f"2026-02-0{day}T12:00" for day in range(1, 5)]},
            "Every day at 09:00, from 5 January 2026 at 09:00; also on 4 dates (Europe/Berlin)",
        ),
    ],
)  # fmt: skip
def test_dates_are_told_with_the_rest(schedule, expected):
    assert expected == words(schedule)


@pytest.mark.parametrize(
    ("roll", "expected"),
    [
        (Roll.SKIP, "but not on days closed in de and bank"),
        (Roll.FOLLOWING, "moved to the next open day where a day is closed in de and bank"),
        (Roll.PRECEDING, "moved to the open day before where a day is closed in de and bank"),
        (
            Roll.MODIFIED_FOLLOWING,
            "moved to the next open day, or the one before if that is in another month, where a day is closed in de and bank",
        ),
        (Roll.NEAREST, "moved to the nearest open day where a day is closed in de and bank"),
    ],
)
def test_calendars_are_told_with_what_they_do(roll, expected):
    business = Business(calendars=("de", "bank"), roll=roll, weekend=("SU",), known_until=date(2030, 1, 1))
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=NOW, business=business)

    assert f"; {expected} (UTC)" in describe(recurrence)
    assert readable(recurrence) is None


def test_a_start_that_the_clock_shows_twice_is_told_in_utc():
    begins = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=begins, timezone="Europe/Berlin")

    assert "Every day at 02:30, from 25 October 2026 at 01:30 UTC (Europe/Berlin)" == describe(recurrence)


def test_more_minutes_than_one_reads_are_shown_as_the_rule():
    assert "By the rule FREQ=HOURLY;BYMINUTE=0,1,2,3,4,5,6" in words("FREQ=HOURLY;BYMINUTE=0,1,2,3,4,5,6")


def test_what_has_no_name_among_working_days_is_shown_as_the_rule():
    assert "By the rule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=9" in words(
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=9"
    )


def test_more_times_than_a_day_has_minutes_are_shown_as_the_rule():
    seconds = (
        f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(60)))};BYSECOND=0,30"
    )

    assert f"By the rule {seconds}" in words(seconds)
