"""Business calendars: what is closed is left out or rolls."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import (
    Business,
    Dst,
    Fold,
    Gap,
    Mark,
    Recurrence,
    Roll,
    check,
    closed_days,
    earliest,
    expand,
    explain,
    parse,
    start,
    zone,
)
from qhronos.core.recurrence.business import LONGEST_ROLL, days_of, refuse_what_cannot_roll
from qhronos.core.recurrence.days import day_of
from qhronos.errors import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "America/St_Johns", "Pacific/Auckland")
CHRISTMAS = ("2026-12-25/2026-12-26",)
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;BYHOUR=2,23;BYMINUTE=30",
    "FREQ=WEEKLY;BYDAY=FR,SA,MO",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYDAY=-1FR;COUNT=9",
    "FREQ=DAILY;INTERVAL=3;UNTIL=20261001",
)


def business(roll=Roll.SKIP, closed=CHRISTMAS, weekend=("SA", "SU")):
    return Business(calendars=("de",), roll=roll, closed=closed, weekend=weekend, known_until=date(2036, 12, 31))


def given_by(schedule, roll=Roll.SKIP, *, begins="2026-12-01T09:00", timezone="Europe/Berlin", **more):
    calendars = business(roll, **{name: more.pop(name) for name in ("closed", "weekend") if name in more})
    begins = datetime.fromisoformat(begins)
    return parse(schedule, now=NOW, start_time=begins, timezone=timezone, business=calendars, **more)


def walls(recurrence, since, until):
    found = expand(recurrence, instant(since), instant(until), 1000)
    assert found.complete
    return [f"{one.wall:%m-%d %H:%M}" for one in found.instants]


def instant(day):
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def naive(recurrence: Recurrence, since: datetime, until: datetime) -> list[tuple[datetime, date | None]]:
    """Map each date of a wide span by the definition; the date that it comes from, if it moved."""
    bare = msgspec.structs.replace(recurrence, business=None)
    raw = expand(bare, since - 45 * DAY, until + 45 * DAY, 50_000, 10_000_000)
    assert raw.complete
    found: dict[datetime, date | None] = {}
    for one in sorted(raw.instants, key=lambda one: one.wall):
        day = one.wall.date()
        target = goes_to(recurrence.business, day)
        if target == day:
            found[one.at] = None
        elif target is not None:
            for at in instants_of(datetime.combine(target, one.wall.time()), recurrence):
                found.setdefault(at, day)
    return sorted((at, origin) for at, origin in found.items() if since <= at < until)


def is_closed(calendars: Business, day: date) -> bool:
    runs = [run.split("/") for run in calendars.closed]
    named = any(run[0] <= day.isoformat() <= run[-1] for run in runs)
    return named or ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()] in calendars.weekend


def goes_to(calendars: Business, day: date) -> date | None:
    if not is_closed(calendars, day):
        return day
    after = next(day + n * DAY for n in range(1, 60) if not is_closed(calendars, day + n * DAY))
    before = next(day - n * DAY for n in range(1, 60) if not is_closed(calendars, day - n * DAY))
    return {
        Roll.SKIP: None,
        Roll.FOLLOWING: after,
        Roll.PRECEDING: before,
        Roll.MODIFIED_FOLLOWING: after if after.month == day.month else before,
        Roll.NEAREST: before if day - before < after - day else after,
    }[calendars.roll]


def instants_of(wall: datetime, recurrence: Recurrence) -> set[datetime]:
    first, second = (wall.replace(tzinfo=zone(recurrence.timezone), fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        return {first} if recurrence.dst.gap is Gap.SHIFT else set()
    return {Fold.FIRST: {first}, Fold.SECOND: {second}, Fold.BOTH: {first, second}}[recurrence.dst.fold]


closures = st.lists(
    st.builds(
        lambda first, length: [date(2026, 1, 1) + (first + n) * DAY for n in range(length)],
        st.integers(0, 500),
        st.integers(1, 20),
    ),
    max_size=8,
).map(lambda runs: closed_days(day for run in runs for day in run))
calendars = st.builds(
    business,
    roll=st.sampled_from(Roll),
    closed=closures,
    weekend=st.sampled_from([(), ("SA", "SU"), ("FR",), ("MO", "WE")]),
)
rolling = st.builds(
    lambda rules, begins, timezone, dst, rdate, exdate, closed: parse(
        {"rrule": rules, "rdate": rdate, "exdate": exdate},
        now=NOW,
        start_time=begins.replace(second=0, microsecond=0),
        timezone=timezone,
        dst=dst,
        business=closed,
    ),
    st.lists(st.sampled_from(RULES), min_size=1, max_size=2),
    st.datetimes(datetime(2026, 1, 20), datetime(2026, 4, 20)),  # noqa: DTZ001 - wall time
    st.sampled_from(ZONES),
    st.builds(Dst, gap=st.sampled_from(Gap), fold=st.sampled_from(Fold)),
    st.lists(st.sampled_from(["2026-03-08T02:30:00", "2026-05-01T09:00:00", "2026-11-01T06:30:00Z"]), max_size=2),
    st.lists(st.sampled_from(["2026-05-02", "2026-03-29T02:30:00"]), max_size=2),
    calendars,
)


@settings(deadline=None, max_examples=150)
@given(recurrence=rolling, first=st.integers(-20, 250), length=st.integers(1, 120))
def test_each_date_goes_where_the_definition_sends_it(recurrence, first, length):
    since = start(recurrence) + first * DAY
    until = since + length * DAY
    found = expand(recurrence, since, until, 10_000)

    assert found.complete
    assert naive(recurrence, since, until) == [(one.at, one.rolled_from) for one in found.instants]


@settings(deadline=None, max_examples=60)
@given(recurrence=rolling, cuts=st.lists(st.integers(0, 200 * 86_400), min_size=3, max_size=3), limit=st.integers(1, 5))
def test_windows_that_meet_neither_lose_nor_repeat_what_rolls(recurrence, cuts, limit):
    first, middle, last = (start(recurrence) + timedelta(seconds=cut) for cut in sorted(cuts))
    whole = expand(recurrence, first, last, 2000).instants

    parts = [*expand(recurrence, first, middle, 2000).instants, *expand(recurrence, middle, last, 2000).instants]
    assert list(whole) == parts
    one_by_one, since = [], first
    while True:
        found = expand(recurrence, since, last, limit, 30_000)
        one_by_one += found.instants
        if found.complete:
            break
        assert found.covered > since
        since = found.covered
    assert list(whole) == one_by_one


@pytest.mark.parametrize(
    ("roll", "expected"),
    [
        (Roll.SKIP, ["12-24", "12-28"]),
        (Roll.FOLLOWING, ["12-24", "12-28"]),
        (Roll.PRECEDING, ["12-24", "12-28"]),
    ],
)
def test_of_what_falls_together_one_happens(roll, expected):
    daily = given_by("FREQ=DAILY", roll)

    assert [f"{day} 09:00" for day in expected] == walls(daily, "2026-12-24", "2026-12-29")


@pytest.mark.parametrize(
    ("roll", "day", "expected"),
    [
        (Roll.FOLLOWING, "2026-12-25", "2026-12-28"),
        (Roll.PRECEDING, "2026-12-26", "2026-12-24"),
        (Roll.NEAREST, "2026-12-25", "2026-12-24"),
        (Roll.NEAREST, "2026-12-26", "2026-12-28"),
        (Roll.MODIFIED_FOLLOWING, "2026-12-26", "2026-12-28"),
        (Roll.MODIFIED_FOLLOWING, "2026-10-31", "2026-10-30"),
    ],
)
def test_a_single_instant_and_a_date_of_rdate_roll_like_any_other(roll, day, expected):
    once = given_by(None, roll, begins=f"{day}T09:00:00.250")
    dated = given_by({"rdate": [f"{day}T09:00:00"]}, roll, begins=f"{day}T09:00:00")

    wall = datetime.fromisoformat(f"{expected}T09:00:00.250")
    assert [(wall, date.fromisoformat(day))] == [
        (one.wall, one.rolled_from) for one in expand(once, earliest(once), None, 2).instants
    ]
    assert [wall.replace(microsecond=0)] == [one.wall for one in expand(dated, earliest(dated), None, 2).instants]


def test_a_single_instant_that_is_left_out_is_over():
    once = given_by(None, begins="2026-12-25T09:00")

    assert ((), True) == expand(once, earliest(once), None, 1)[::3]
    with pytest.raises(Invalid, match="calendars: every instant is on a day that is closed in de"):
        check(once, NOW)


def test_a_rule_that_never_happens_says_so_whatever_the_calendars():
    nothing = given_by({"rrule": ["FREQ=DAILY;COUNT=1"], "exdate": ["2026-12-01"]})

    with pytest.raises(Invalid, match="EXDATE, EXRULE or a skipped clock change leaves nothing"):
        check(nothing, NOW)


def test_an_end_has_only_come_when_what_rolls_past_it_has_come():
    last = given_by("FREQ=DAILY;COUNT=2", Roll.FOLLOWING, begins="2026-12-24T09:00")

    before = expand(last, instant("2026-12-24"), instant("2026-12-26"), 10)
    after = expand(last, instant("2026-12-24"), instant("2026-12-29"), 10)
    assert (1, False) == (len(before.instants), before.ended)
    assert (2, True) == (len(after.instants), after.ended)


def test_a_rolled_instant_is_looked_up_in_the_zone_anew():
    sundays = given_by("FREQ=DAILY;COUNT=1", Roll.FOLLOWING, begins="2026-03-28T02:30", weekend=("SA",))

    (shifted,) = expand(sundays, start(sundays), None, 2).instants
    assert (Mark.GAP_SHIFTED, instant("2026-03-29T01:30:00")) == (shifted.mark, shifted.at)


def test_closed_stretches_of_a_rule_by_the_second_cost_nothing():
    seconds = given_by("FREQ=SECONDLY", closed=("2026-12-02/2027-10-31",), weekend=())
    found = expand(seconds, instant("2026-12-02"), None, 1, 1000)

    assert [datetime(2027, 11, 1)] == [one.wall for one in found.instants]  # noqa: DTZ001 - wall time


def test_midnight_that_comes_twice_does_not_hold_up_what_is_left_out():
    # At 00:01 the clock of St. John's went back to 23:01 of the day before.
    hourly = given_by(
        "FREQ=MINUTELY;INTERVAL=30",
        begins="2010-11-06T22:00",
        timezone="America/St_Johns",
        closed=("2010-11-06",),
        weekend=(),
    )

    assert ["11-07 00:00", "11-07 00:00", "11-07 00:30"] == walls(hourly, "2010-11-07", "2010-11-07T04:30")


def test_where_nothing_near_is_open_nothing_happens():
    closed = ("2027-01-01/2029-12-31",)
    for roll, days in [
        (Roll.FOLLOWING, LONGEST_ROLL),
        (Roll.PRECEDING, LONGEST_ROLL),
        (Roll.NEAREST, 2 * LONGEST_ROLL),
    ]:
        calendars = days_of(business(roll, closed, weekend=()))
        span = range(day_of(date(2027, 1, 1)), day_of(date(2030, 1, 1)))
        assert days == sum(calendars.rolled(day) is not None for day in span)


def test_what_rolls_nowhere_is_left_out():
    yearly = given_by("FREQ=YEARLY", Roll.FOLLOWING, begins="2027-02-01T09:00", closed=("2027-01-01/2029-12-31",))

    assert ["02-01 09:00", "02-03 09:00"] == walls(yearly, "2027-01-01", "2031-12-31")[-2:]
    assert ["01-01 09:00", "02-01 09:00"] == walls(yearly, "2030-01-01", "2030-12-31")
    assert explain(yearly, instant("2027-02-01T08:00")).reason == "2027-02-01 is closed in de: left out"


def test_closed_days_are_written_as_runs():
    days = [date(2026, 1, 1) + n * DAY for n in (0, 5, 6, 7, 6, 9)]

    assert ("2026-01-01", "2026-01-06/2026-01-08", "2026-01-10") == closed_days(days)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("FREQ=HOURLY", "roll: FREQ=HOURLY does not roll; use roll=skip, or FREQ=DAILY with BYHOUR"),
        (
            f"FREQ=DAILY;BYMINUTE={','.join(map(str, range(25)))}",
            "roll: 25 times a day, at most 24 roll; use roll=skip",
        ),
    ],
)
def test_what_cannot_roll_is_refused(schedule, message):
    with pytest.raises(Invalid) as refused:
        given_by(schedule, Roll.FOLLOWING)
    assert (message, "roll") == (str(refused.value), refused.value.field)
    assert given_by(schedule, Roll.SKIP).business


def test_what_an_exrule_takes_away_does_not_roll():
    rolling = msgspec.structs.replace(given_by("FREQ=DAILY", Roll.FOLLOWING), exrule=("FREQ=WEEKLY",))

    with pytest.raises(Invalid, match="roll: does not go with EXRULE"):
        refuse_what_cannot_roll(rolling)


def test_a_roll_may_come_before_the_start():
    monthly = given_by("FREQ=MONTHLY", Roll.PRECEDING, begins="2026-12-26T09:00")

    assert instant("2026-12-24T08:00:00") == expand(monthly, earliest(monthly), None, 1).instants[0].at
    assert start(given_by("FREQ=DAILY", Roll.FOLLOWING)) == earliest(given_by("FREQ=DAILY", Roll.FOLLOWING))


@pytest.mark.parametrize(
    ("roll", "at", "included", "reason"),
    [
        (Roll.SKIP, "2026-12-25T08:00:00", False, "2026-12-25 is closed in de: left out"),
        (Roll.FOLLOWING, "2026-12-25T08:00:00", False, "2026-12-25 is closed in de: rolled to 2026-12-28"),
        (
            Roll.FOLLOWING,
            "2026-12-28T08:00:00",
            True,
            "given by RRULE: FREQ=MONTHLY; 2026-12-25 is closed in de: rolled to 2026-12-28",
        ),
        (Roll.FOLLOWING, "2027-01-25T08:00:00", True, "given by RRULE: FREQ=MONTHLY"),
        (Roll.SKIP, "2026-12-28T08:00:00", False, "RRULE: DTSTART, hence BYMONTHDAY=25: on the clock there it is"),
    ],
)
def test_explain_names_the_calendar(roll, at, included, reason):
    monthly = given_by("FREQ=MONTHLY", roll, begins="2026-12-25T09:00")
    explanation = explain(monthly, instant(at))

    assert included == explanation.included
    assert explanation.reason.startswith(reason)


def test_a_recurrence_keeps_what_its_calendars_said():
    recurrence = given_by("FREQ=DAILY", Roll.NEAREST)

    assert recurrence == msgspec.json.decode(msgspec.json.encode(recurrence), type=Recurrence)
    assert b"business" not in msgspec.json.encode(msgspec.structs.replace(recurrence, business=None))
