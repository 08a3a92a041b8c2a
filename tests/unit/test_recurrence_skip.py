"""Days that a month or year does not have: RFC 7529 SKIP, against examples and against a search of the calendar."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.recurrence import describe, expand, explain, parse
from tests.unit.test_recurrence_expand import instants

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def recurrence(rule: str, begins: str):
    return parse(rule, now=NOW, start_time=datetime.fromisoformat(f"{begins}T09:00"))


def days(rule: str, begins: str, count: int) -> list[str]:
    found = expand(recurrence(rule, begins), datetime.fromisoformat(f"{begins}T00:00Z"), None, count)
    return [f"{one.at:%Y-%m-%d}" for one in found.instants]


@pytest.mark.parametrize(
    ("rule", "begins", "expected"),
    [
        # RFC 7529 §4.1 has this one: monthly from 31 January.
        ("MONTHLY;SKIP=OMIT", "2014-01-31", ["2014-01-31", "2014-03-31", "2014-05-31"]),
        ("MONTHLY;SKIP=BACKWARD", "2014-01-31", ["2014-01-31", "2014-02-28", "2014-03-31", "2014-04-30"]),
        ("MONTHLY;SKIP=FORWARD", "2014-01-31", ["2014-01-31", "2014-03-01", "2014-03-31", "2014-05-01"]),
        ("YEARLY;SKIP=BACKWARD", "2016-02-29", ["2016-02-29", "2017-02-28", "2018-02-28", "2019-02-28", "2020-02-29"]),
        ("YEARLY;SKIP=FORWARD", "2016-02-29", ["2016-02-29", "2017-03-01", "2018-03-01", "2019-03-01", "2020-02-29"]),
        ("YEARLY;INTERVAL=3;SKIP=FORWARD", "2016-02-29", ["2016-02-29", "2019-03-01", "2022-03-01", "2025-03-01"]),
        # What moves into the next month is still of the month that counts.
        ("MONTHLY;INTERVAL=3;BYMONTHDAY=31;SKIP=FORWARD", "2026-01-31", ["2026-01-31", "2026-05-01", "2026-07-31"]),
        ("MONTHLY;INTERVAL=3;BYMONTHDAY=-31;SKIP=BACKWARD", "2026-01-01", ["2026-01-01", "2026-03-31", "2026-07-01"]),
        ("MONTHLY;BYMONTHDAY=-31;SKIP=FORWARD", "2026-01-01", ["2026-01-01", "2026-02-01", "2026-03-01"]),
        ("MONTHLY;BYMONTH=2;BYMONTHDAY=30;SKIP=FORWARD", "2026-01-01", ["2026-03-01", "2027-03-01", "2028-03-01"]),
        # Two that become one day are one.
        (
            "MONTHLY;BYMONTHDAY=1,31;SKIP=FORWARD",
            "2026-04-02",
            ["2026-05-01", "2026-05-31", "2026-06-01", "2026-07-01"],
        ),
        ("MONTHLY;BYMONTHDAY=29,30,31;SKIP=BACKWARD", "2026-02-01", ["2026-02-28", "2026-03-29", "2026-03-30"]),
        # BYDAY chooses after the move.
        ("MONTHLY;BYMONTHDAY=31;BYDAY=MO;SKIP=BACKWARD", "2026-01-01", ["2026-08-31", "2026-11-30", "2027-05-31"]),
        ("MONTHLY;BYMONTHDAY=30,31;BYSETPOS=-1;SKIP=FORWARD", "2026-02-01", ["2026-03-01", "2026-03-31", "2026-05-01"]),
        ("YEARLY;BYYEARDAY=366;SKIP=BACKWARD", "2026-01-01", ["2026-12-31", "2027-12-31", "2028-12-31"]),
        ("YEARLY;BYYEARDAY=366;SKIP=FORWARD", "2026-01-02", ["2027-01-01", "2028-01-01", "2028-12-31", "2030-01-01"]),
        ("YEARLY;BYYEARDAY=-366;SKIP=BACKWARD", "2027-01-02", ["2028-01-01", "2028-12-31", "2029-12-31"]),
        ("YEARLY;BYYEARDAY=366;BYMONTH=1;SKIP=FORWARD", "2026-01-02", ["2027-01-01", "2028-01-01", "2030-01-01"]),
        ("YEARLY;BYMONTH=4,6;BYMONTHDAY=31;SKIP=BACKWARD", "2026-01-01", ["2026-04-30", "2026-06-30", "2027-04-30"]),
    ],
)
def test_a_day_that_is_not_there_moves(rule, begins, expected):
    assert expected == days(f"RSCALE=GREGORIAN;FREQ={rule}", begins, len(expected))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("FREQ=MONTHLY;SKIP=BACKWARD;RSCALE=gregorian", "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD"),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=OMIT", "FREQ=MONTHLY"),
        # Where no day is ever missing there is nothing to skip.
        ("RSCALE=GREGORIAN;FREQ=DAILY;BYMONTHDAY=31;SKIP=FORWARD", "FREQ=DAILY;BYMONTHDAY=31"),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;BYDAY=5FR;SKIP=FORWARD", "FREQ=MONTHLY;BYDAY=5FR"),
        ("RSCALE=GREGORIAN;FREQ=YEARLY;BYWEEKNO=53;SKIP=FORWARD", "FREQ=YEARLY;BYWEEKNO=53"),
    ],
)
def test_skip_is_kept_where_it_says_something(text, canonical):
    assert (canonical,) == recurrence(text, "2026-01-01").rrule


def test_an_object_may_skip_too():
    rule = {"frequency": "monthly", "by_month_day": [31], "skip": "backward"}

    assert ("RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD",) == recurrence(rule, "2026-01-31").rrule


def test_times_of_day_stay_what_they_are_on_the_day_that_stands_in():
    rule = recurrence("RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;BYHOUR=8,20;SKIP=FORWARD", "2026-04-01")

    found = instants(rule, datetime(2026, 5, 1, 9, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))

    assert ["05-01 20", "05-31 08", "05-31 20"] == [f"{at:%m-%d %H}" for at in found]


def test_a_rule_that_skips_is_explained_and_shown_as_itself():
    rule = recurrence("RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=FORWARD", "2026-04-30")

    assert explain(rule, datetime(2026, 5, 1, 9, tzinfo=UTC)).included
    assert "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=FORWARD" in describe(rule)


def moved(year: int, month: int, number: int, skip: str) -> date:
    """By the letter: count days of the month one by one, and step back or forth over what is not there."""
    length = calendar.monthrange(year, month)[1]
    place = number if number > 0 else length + 1 + number
    if 1 <= place <= length:
        return date(year, month, place)
    edge = date(year, month, 1) + (place > length) * (length * DAY)
    return edge if skip == "FORWARD" else edge - DAY


month_days = st.lists(st.one_of(st.integers(27, 31), st.integers(-31, -27)), min_size=1, max_size=3)
skips = st.sampled_from(["FORWARD", "BACKWARD"])


@given(
    numbers=month_days, skip=skips, interval=st.integers(1, 7), since=st.integers(0, 1500), length=st.integers(1, 900)
)
def test_any_window_holds_what_counting_on_the_calendar_gives(numbers, skip, interval, since, length):
    text = f"RSCALE=GREGORIAN;FREQ=MONTHLY;INTERVAL={interval};BYMONTHDAY={','.join(map(str, numbers))};SKIP={skip}"
    begin = datetime(2023, 1, 15, 9, tzinfo=UTC)
    since, until = begin + since * DAY, begin + (since + length) * DAY
    months = [(2023 + index // 12, index % 12 + 1) for index in range(0, 12 * 12, interval)]
    made = {datetime.combine(moved(*month, number, skip), begin.timetz()) for month in months for number in numbers}

    found = instants(recurrence(text, "2023-01-15"), since, until)

    assert sorted(at for at in made if max(since, begin) <= at < until) == found


@given(skip=skips, year=st.integers(2000, 2030), interval=st.integers(1, 5))
def test_leap_days_of_years_that_have_none_move(skip, year, interval):
    text = f"RSCALE=GREGORIAN;FREQ=YEARLY;INTERVAL={interval};BYMONTH=2;BYMONTHDAY=29;SKIP={skip}"
    years = range(year, year + 5 * interval, interval)

    found = instants(
        recurrence(text, f"{year}-01-01"), datetime(year, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    )

    assert [moved(one, 2, 29, skip) for one in years] == [at.date() for at in found[:5]]
