"""A series in two: nothing is lost, nothing comes twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import Business, Dst, Fold, Roll, Subdaily, closed_days, expand, parse, split, start
from qhronos.errors import Invalid
from tests.unit.test_recurrence_properties import CALENDAR, FREQUENCIES, examples, recurrences, rules

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day, hour=9, minute=0, month=3):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def instants(recurrence, limit=400):
    return expand(recurrence, start(recurrence) - DAY, None, limit).instants


@pytest.mark.parametrize(
    ("schedule", "instant", "before", "after"),
    [
        ("FREQ=DAILY", at(5), ["FREQ=DAILY;UNTIL=20260305T085959Z"], ["FREQ=DAILY"]),
        ("FREQ=DAILY;COUNT=10", at(5), ["FREQ=DAILY;COUNT=4"], ["FREQ=DAILY;COUNT=6"]),
        ("FREQ=DAILY;INTERVAL=3", at(7), ["FREQ=DAILY;INTERVAL=3;UNTIL=20260307T085959Z"], ["FREQ=DAILY;INTERVAL=3"]),
        (
            "FREQ=DAILY;UNTIL=20260310",
            at(5),
            ["FREQ=DAILY;UNTIL=20260305T085959Z"],
            ["FREQ=DAILY;UNTIL=20260310"],
        ),
        ("FREQ=HOURLY;INTERVAL=5", at(1, 19), ["FREQ=HOURLY;INTERVAL=5;UNTIL=20260301T185959Z"], ["FREQ=HOURLY;INTERVAL=5"]),
        # What was left to DTSTART is written out where the instant says something else.
        (
            {"rrule": ["FREQ=DAILY", "FREQ=DAILY;BYHOUR=17"]},
            at(5, 17),
            ["FREQ=DAILY;UNTIL=20260305T165959Z", "FREQ=DAILY;UNTIL=20260305T165959Z;BYHOUR=17"],
            ["FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "FREQ=DAILY;BYHOUR=17"],
        ),
        # A rule that has ended, or has given nothing yet, is of one side alone.
        (
            {"rrule": ["FREQ=DAILY;COUNT=3", "FREQ=DAILY;BYMONTH=3;BYMONTHDAY=10"]},
            at(10),
            ["FREQ=DAILY;COUNT=3"],
            ["FREQ=DAILY;BYMONTH=3;BYMONTHDAY=10"],
        ),
        ({"rrule": ["FREQ=DAILY;UNTIL=20260303"], "rdate": ["2026-03-08T09:00:00"]}, at(8), ["FREQ=DAILY;UNTIL=20260303"], []),
    ],
)  # fmt: skip
def test_each_side_has_its_rules(schedule, instant, before, after):
    whole = parse(schedule, now=NOW)
    first, second = split(whole, instant)

    assert (tuple(before), tuple(after)) == (first.rrule, second.rrule)
    assert instant.replace(tzinfo=None) == second.dtstart
    assert instants(whole) == (instants(first) + instants(second))[: len(instants(whole))]


def test_dates_and_exceptions_go_with_their_side():
    whole = parse(
        {
            "rrule": ["FREQ=DAILY"],
            "rdate": ["2026-03-02T12:00:00", "2026-03-08T12:00:00Z"],
            "exdate": ["2026-03-03T09:00:00", "2026-03-09T09:00:00", "2026-03-01", "2026-03-05", "2026-03-20"],
        },
        now=NOW,
    )
    first, second = split(whole, at(6))

    assert (("2026-03-02T12:00:00",), ("2026-03-08T12:00:00Z",)) == (first.rdate, second.rdate)
    assert ("2026-03-01", "2026-03-03T09:00:00", "2026-03-05") == first.exdate
    assert ("2026-03-05", "2026-03-09T09:00:00", "2026-03-20") == second.exdate
    assert instants(whole)[:100] == (instants(first) + instants(second))[:100]


def test_dates_alone_are_divided_too():
    whole = parse({"rdate": ["2026-03-02T12:00:00", "2026-03-03T12:00:00", "2026-03-04T12:00:00"]}, now=NOW)
    first, second = split(whole, at(3, 12))

    assert [at(2, 12)] == [one.at for one in instants(first)]
    assert [at(3, 12), at(4, 12)] == [one.at for one in instants(second)]
    assert [at(2, 12), at(3, 12)] == [one.at for one in instants(split(whole, at(4, 12))[0])]


def test_where_only_the_start_is_before_the_start_alone_is_left():
    whole = parse({"rdate": ["2026-03-04T12:00:00"]}, now=NOW, start_time=at(2))

    assert [at(2)] == [one.at for one in instants(split(whole, at(4, 12))[0])]


def test_where_no_rule_has_begun_the_first_date_is_the_start():
    whole = parse({"rrule": ["FREQ=MONTHLY;BYMONTHDAY=20"], "rdate": ["2026-03-08T09:00:00"]}, now=NOW)
    first, second = split(whole, at(20))

    assert [at(8)] == [one.at for one in instants(first)]
    assert [at(20), at(20, month=4)] == [one.at for one in instants(second)[:2]]


def test_a_date_that_comes_twice_is_parted_by_its_instants():
    whole = parse(
        {"rrule": ["FREQ=YEARLY"], "rdate": ["2026-10-25T02:30:00"], "exdate": ["2027-10-31T02:30:00"]},
        now=NOW,
        timezone="Europe/Berlin",
        dst=Dst(fold=Fold.BOTH),
    )
    first, second = split(whole, at(25, 1, 30, month=10))

    assert [NOW, at(25, 0, 30, month=10)] == [one.at for one in instants(first)]
    assert (("2026-10-25T01:30:00Z",), True) == (second.rdate, second.second_pass)
    assert instants(whole)[2:] == instants(second)[: len(instants(whole)) - 2]


@pytest.mark.parametrize(
    ("schedule", "instant", "told"),
    [
        ("FREQ=DAILY", at(5, 10), "the event has no occurrence at this instant"),
        ("FREQ=DAILY", at(1), "this is the first occurrence; edit the event instead"),
        ("FREQ=MONTHLY;BYMONTHDAY=20", at(20), "this is the first occurrence"),
        (None, NOW, "this is the first occurrence"),
        (
            {"rrule": ["FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY"]},
            at(8),
            "RRULE: FREQ=DAILY;INTERVAL=3: counts INTERVAL from DTSTART; split at an instant of its own",
        ),
        ({"rrule": ["FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY"]}, at(2), "counts INTERVAL from DTSTART"),
        (
            {"rrule": ["FREQ=HOURLY"], "rdate": ["2026-03-02T12:30:00"]},
            at(2, 12, 30),
            "no rule that begins at this instant goes on like this one; split at another",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(schedule, instant, told):
    with pytest.raises(Invalid) as refused:
        split(parse(schedule, now=NOW), instant)

    assert "scheduled_at" == refused.value.field
    assert str(refused.value).startswith(told) or told in str(refused.value)


def test_steps_on_the_clock_face_keep_their_phase():
    whole = parse("FREQ=HOURLY;INTERVAL=5", now=NOW, timezone="Europe/Berlin", subdaily=Subdaily.WALL)
    middle = instants(whole)[150]  # after the clock change
    first, second = split(whole, middle.at)

    assert instants(whole)[:150] == instants(first)
    assert instants(whole)[150:400] == instants(second)[:250]


@settings(CALENDAR, max_examples=examples(30))
@given(recurrence=recurrences(), index=st.integers(1, 40), count=st.integers(0, 30))
def test_both_sides_together_are_the_whole(recurrence, index, count):
    if count:
        recurrence = parse(
            {"rrule": [f"{text};COUNT={count}" for text in recurrence.rrule], "exdate": list(recurrence.exdate)},
            now=NOW,
            start_time=recurrence.dtstart,
            timezone=recurrence.timezone,
            dst=recurrence.dst,
            subdaily=recurrence.subdaily,
        )
    since = start(recurrence) - 800 * DAY  # RDATE may lie before DTSTART
    whole = expand(recurrence, since, None, index + 400)
    assume(len(whole.instants) > index)
    middle = whole.instants[index].at
    try:
        first, second = split(recurrence, middle)
    except Invalid as refused:
        assume("split at" not in str(refused))
        raise
    before = expand(first, since, middle + 400 * DAY, index + 1)
    after = expand(second, since, None, 400)

    assert [one.at for one in whole.instants[:index]] == [one.at for one in before.instants]
    told = min(whole.covered, after.covered)
    assert [one.at for one in whole.instants[index:] if one.at < told] == [
        one.at for one in after.instants if one.at < told
    ]


def test_what_takes_away_is_not_divided():
    whole = parse("FREQ=DAILY", now=NOW)
    with pytest.raises(Invalid, match="an event with an EXRULE cannot be split; name the dates in EXDATE first"):
        split(msgspec.structs.replace(whole, exrule=("FREQ=WEEKLY",)), at(5))


@settings(CALENDAR, max_examples=examples(30))
@given(
    recurrence=recurrences(rules(FREQUENCIES[:4])),
    index=st.integers(1, 12),
    roll=st.sampled_from(list(Roll)),
    closed=st.sets(st.integers(0, 700), max_size=40),
)
def test_both_sides_of_what_goes_by_calendars_are_the_whole(recurrence, index, roll, closed):
    days = closed_days((NOW + timedelta(days=number)).date() for number in closed)
    business = Business(
        calendars=("de",), closed=days, weekend=("SA", "SU"), roll=roll, known_until=NOW.date() + timedelta(days=700)
    )
    recurrence = msgspec.structs.replace(recurrence, business=business)
    since = start(recurrence) - 800 * DAY
    whole = expand(recurrence, since, None, index + 100)
    assume(len(whole.instants) > index)
    middle = whole.instants[index].at
    try:
        first, second = split(recurrence, middle)
    except Invalid as refused:
        assume("split at" not in str(refused) and "no occurrence" not in str(refused))
        raise
    before = expand(first, since, middle + 400 * DAY, index + 1)
    after = expand(second, since, None, 100)

    told = min(whole.covered, after.covered)
    assert whole.instants[:index] == before.instants
    assert [one.at for one in whole.instants[index:] if one.at < told] == [
        one.at for one in after.instants if one.at < told
    ]


def test_the_first_after_closed_days_that_roll_to_it_is_refused():
    daily = parse("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", now=NOW)
    weekend = Business(calendars=("de",), weekend=("SA", "SU"), roll=Roll.FOLLOWING, known_until=NOW.date())
    rolling = msgspec.structs.replace(daily, business=weekend)
    monday = next(one.at for one in expand(rolling, NOW, None, 9).instants if one.at.weekday() == 0)

    with pytest.raises(Invalid, match="closed days are rolled to this instant or over it; split at another"):
        split(rolling, monday)
    first, second = split(rolling, monday + DAY)
    assert monday == expand(first, NOW, None, 100).instants[-1].at
    assert monday + DAY == start(second)


def test_the_first_behind_what_is_rolled_before_it_is_refused():
    """Saturday at 9:00 goes to Friday at 9:00, before the rule begins."""
    rules = [f"FREQ=DAILY;BYHOUR={hour};BYMINUTE=0;BYSECOND=0" for hour in (9, 18)]
    friday = at(6, 18)
    daily = parse({"rrule": rules}, now=NOW, start_time=friday)
    weekend = Business(calendars=("de",), weekend=("SA", "SU"), roll=Roll.PRECEDING, known_until=NOW.date())
    rolling = msgspec.structs.replace(daily, business=weekend)
    assert [at(6, 9), friday] == [one.at for one in instants(rolling, 2)]

    with pytest.raises(Invalid, match="closed days are rolled to this instant or over it; split at another"):
        split(rolling, friday)
