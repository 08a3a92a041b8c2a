"""Cron against cronsim and against the calendar itself."""

from __future__ import annotations

import calendar
import contextlib
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import check, expand, parse
from qhronos.core.recurrence import zone as of_zone
from qhronos.errors import Invalid
from tests.unit.test_recurrence_properties import examples

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs/reference/cron.md"
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def rules(text: object) -> tuple[str, ...]:
    return parse(text, now=NOW).rrule


def refusal(schedule: object) -> tuple[str, str | None]:
    with pytest.raises(Invalid) as caught:
        parse(schedule, now=NOW)
    return str(caught.value), caught.value.field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", ["FREQ=SECONDLY"]),
        ("* * * * *", ["FREQ=MINUTELY;BYSECOND=0"]),
        ("*/20 * * * * *", ["FREQ=MINUTELY;BYSECOND=0,20,40"]),
        ("5/15 * * * *", ["FREQ=HOURLY;BYMINUTE=5,20,35,50;BYSECOND=0"]),
        ("10-40/10 0-23 * * *", ["FREQ=HOURLY;BYMINUTE=10,20,30,40;BYSECOND=0"]),
        ("0 */8 * * *", ["FREQ=DAILY;BYHOUR=0,8,16;BYMINUTE=0;BYSECOND=0"]),
        ("30 0 22-2/2 ? * ?", ["FREQ=DAILY;BYHOUR=0,2,22;BYMINUTE=0;BYSECOND=30"]),
        ("0 9 * * fri-Mon", ["FREQ=WEEKLY;BYDAY=MO,FR,SA,SU;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 * * 5-7", ["FREQ=WEEKLY;BYDAY=FR,SA,SU;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 * * 0,7", ["FREQ=WEEKLY;BYDAY=SU;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 * * 1/2", ["FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 * NOV-JAN *", ["FREQ=DAILY;BYMONTH=1,11,12;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 */10 * MON", ["FREQ=MONTHLY;BYMONTHDAY=1,11,21,31;BYDAY=MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        (
            "0 0 13 * 5",
            [
                "FREQ=MONTHLY;BYMONTHDAY=13;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
                "FREQ=WEEKLY;BYDAY=FR;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
            ],
        ),
        ("0 9 L,L-3 * *", ["FREQ=MONTHLY;BYMONTHDAY=-4,-1;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        ("0 9 * * 2,FRIL,0#5", ["FREQ=MONTHLY;BYDAY=TU,5SU,-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0"]),
        (
            "0 * * * TUE,FRI#2,FRIL",
            [
                "FREQ=HOURLY;BYDAY=TU;BYMINUTE=0;BYSECOND=0",
                "FREQ=HOURLY;BYMONTHDAY=8,9,10,11,12,13,14,-7,-6,-5,-4,-3,-2,-1;BYDAY=FR;BYMINUTE=0;BYSECOND=0",
            ],
        ),
        ("@every 90m", ["FREQ=MINUTELY;INTERVAL=90"]),
        ("@hourly", ["FREQ=HOURLY;BYMINUTE=0;BYSECOND=0"]),
        ("@yearly", ["FREQ=MONTHLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0;BYSECOND=0"]),
        ("CRON_TZ=UTC @midnight", ["FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=0"]),
    ],
)
def test_cron_is_read_into_rules(text, expected):
    assert sorted(expected) == sorted(rules(text))


@pytest.mark.parametrize("prefix", ["CRON_TZ", "TZ"])
def test_cron_may_bring_its_zone(prefix):
    assert BERLIN == parse(f"{prefix}={BERLIN} 0 9 * * *", now=NOW).timezone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 25 * * *", "field 2 (hour) 25: must be 0..23"),
        ("0 0 25 * * *", "field 3 (hour) 25: must be 0..23"),
        ("0 9 32W * *", "field 3 (day of month) 32W: must be 1..31"),
        ("0 9 1,,2 * *", "field 3 (day of month) empty: must be 1..31"),
        ("0 9 L-31 * *", "field 3 (day of month) L-31: must be L, or L-1..L-30"),
        ("0 9 L-x * *", "field 3 (day of month) L-X: must be 1..31"),
        ("0 9 29W * *", "field 3 (day of month) 29W: February has it in leap years only"),
        ("0 9 * 13 *", "field 4 (month) 13: must be 1..12 or JAN..DEC"),
        ("0 9 * * MONDAY", "field 5 (day of week) MONDAY: must be 0..7 or SUN..SAT"),
        ("0 9 * * L", "field 5 (day of week) L: the last of which day?"),
        ("0 9 * * FRI#6", "field 5 (day of week) FRI#6: after # must be 1..5"),
        ("0 9 */2 * FRI#2", "field 5 (day of week) FRI#2: L, W and # need * as day of month, not */2"),
        ("0 9 15W * */2", "field 3 (day of month) 15W: L, W and # need * as day of week, not */2"),
        ("*/90 * * * *", "field 1 (minute) */90: a step must be 1..59; a longer interval is @every 90m"),
        ("0 9 */0 * *", "field 3 (day of month) */0: a step must be 1..31"),
        ("? 9 * * *", "field 1 (minute) ?: must be 0..59"),
        ("0 9 ?/2 * *", "field 3 (day of month) ?/2: must be 1..31"),
        ("0 9 * *", "4 fields; there are minute, hour"),
        ("0 0 9 * * ? 2026", "7 fields; there are minute, hour"),
        ("TZ=UTC", "0 fields; there are minute, hour"),
        ("@reboot", "@reboot: nothing boots here"),
        ("@fortnightly", "@fortnightly: not known"),
        ("@daily 5", "@daily 5: not known"),
        ("0 9 1W,10W,20W,28W,30W,31W,L,3 * MON#2", "takes 11 rules; at most 10"),
    ],
)
def test_what_is_wrong_in_cron_is_pointed_at(text, expected):
    message, field = refusal(text)

    assert f"cron: {expected}" in message
    assert "schedule" == field


@pytest.mark.parametrize(
    "text",
    ["every 5 minutes at noon please", "mon tue wed thu fri", "5 times on a day", "0 9 15 3 monday", "FREQ= x y z"],
)
def test_words_are_not_taken_for_cron(text):
    assert "cron" not in refusal(text)[0]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("5m", "FREQ=MINUTELY;INTERVAL=5"),
        ("1h30m", "FREQ=MINUTELY;INTERVAL=90"),
        ("PT5M", "FREQ=MINUTELY;INTERVAL=5"),
        ("P1D", "FREQ=DAILY"),
        ("P2W", "FREQ=WEEKLY;INTERVAL=2"),
        ("1w2d", "FREQ=DAILY;INTERVAL=9"),
        ("7d", "FREQ=WEEKLY"),
        ("24h", "FREQ=HOURLY;INTERVAL=24"),
        ({"every": " 90s "}, "FREQ=SECONDLY;INTERVAL=90"),
        ({"interval_seconds": 1}, "FREQ=SECONDLY"),
        ({"interval_seconds": 86_400}, "FREQ=HOURLY;INTERVAL=24"),
        ({"interval_seconds": 3_600_000_000_000}, "FREQ=HOURLY;INTERVAL=1000000000"),
    ],
)
def test_an_interval_is_read_into_the_largest_unit_that_fits(schedule, expected):
    assert (expected,) == rules(schedule)


@pytest.mark.parametrize(
    ("schedule", "expected", "field"),
    [
        ("1d2h", "1d2h: w and d are days of the calendar", "schedule"),
        ("P1DT12H", "P1DT12H: w and d are days of the calendar", "schedule"),
        ("P1M", "P1M: write it like 5m", "schedule"),
        ("PT", "PT: write it like 5m", "schedule"),
        ("1.5h", "1.5h: write it like 5m", "schedule"),
        ("@every soon", "soon: write it like 5m", "schedule"),
        ({"every": ""}, "every: : write it like 5m", "schedule.every"),
        ({"every": "0s"}, "every: 0s: must be 1 second at least", "schedule.every"),
        ({"every": 5}, "every: must be a text", "schedule.every"),
        ({"every": "5m", "interval_seconds": 5}, "interval_seconds: every says it, too", "schedule.interval_seconds"),
        ({"every": "5m", "count": 5}, "unknown field count", "schedule.count"),
        ({"interval_seconds": 0}, "0: must be 1 second at least", "schedule.interval_seconds"),
        ({"interval_seconds": 10**13}, "must be 1 second at least", "schedule.interval_seconds"),
        ({"interval_seconds": 10**5000}, "so great a number", "schedule.interval_seconds"),
        ({"interval_seconds": True}, "must be a whole number", "schedule.interval_seconds"),
        ("9" * 9000, "schedule: longer than", "schedule"),
    ],
)
def test_an_interval_that_cannot_be_is_refused(schedule, expected, field):
    message, named = refusal(schedule)

    assert expected in message
    assert field == named


def nearest(day: int, year: int, month: int) -> date | None:
    """By looking at the days around it."""
    last = calendar.monthrange(year, month)[1]
    wanted = last if day == -1 else day
    working = [n for n in range(1, last + 1) if calendar.weekday(year, month, n) < 5]
    return date(year, month, min(working, key=lambda n: (abs(n - wanted), n))) if wanted <= last else None


def days_of(text: str, years: int) -> list[date]:
    recurrence = parse(text, now=NOW)
    until = datetime(2026 + years, 1, 1, tzinfo=UTC)
    expansion = expand(recurrence, NOW, until, 100_000, 10_000_000)
    assert expansion.complete
    return [instant.wall.date() for instant in expansion.instants]


@pytest.mark.parametrize("day", [*range(1, 29), 30, 31, -1])
def test_the_nearest_working_day_is_what_the_calendar_says(day):
    item = "LW" if day == -1 else f"{day}W"
    every_month = [nearest(day, year, month) for year in range(2026, 2054) for month in range(1, 13)]

    assert [found for found in every_month if found] == days_of(f"0 9 {item} * *", 28)
    for month in range(1, 13):
        alone = [found for found in every_month if found and found.month == month]
        assert [found for found in alone if found.year < 2036] == days_of(f"0 9 {item} {month} *", 10)
        for year in range(2026, 2106, 27) if alone else ():
            check(parse(f"0 9 {item} {month} *", now=NOW), datetime(year, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("hours", ["9", "*"])
@pytest.mark.parametrize("nth", ["#1", "#2", "#4", "#5", "L"])
def test_the_nth_weekday_is_what_the_calendar_says(nth, hours):
    for weekday, name in enumerate(DAYS):
        expected = []
        for year in range(2026, 2032):
            for month in range(1, 13):
                weeks = [week[weekday] for week in calendar.monthcalendar(year, month) if week[weekday]]
                found = weeks[-1] if nth == "L" else (weeks[int(nth[1]) - 1 : int(nth[1])] or [0])[0]
                expected += [date(year, month, found)] if found else []
        assert expected == list(dict.fromkeys(days_of(f"0 {hours} * * {name}{nth}", 6)))


def fields(low: int, high: int):
    """Of the grammar that all crons share."""
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.integers(1, max(2, (high - low) // 2))
    wide = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    stepped = st.tuples(wide, steps).map(lambda pair: f"{pair[0]}/{pair[1]}")
    stars = st.just("*") | steps.map(lambda step: f"*/{step}")
    listed = st.lists(number.map(str) | spans | stepped, min_size=1, max_size=3).map(",".join)
    return st.just("*") | stars | listed


EXPRESSIONS = st.tuples(
    fields(0, 59), fields(0, 23), fields(1, 28) | st.sampled_from(["L", "LW"]), fields(1, 12), fields(0, 6)
)
# Beside such a day and a step from * they read both fields, and we refuse the text.
EXPRESSIONS = EXPRESSIONS.filter(lambda parts: "L" not in parts[2] or "*/" not in parts[4]).map(" ".join)


@settings(max_examples=examples(300), deadline=None)
@given(EXPRESSIONS, st.booleans(), st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - wall time
def test_cron_agrees_with_cronsim(text, with_seconds, start):
    text = f"15,45 {text}" if with_seconds else text
    since = start.replace(microsecond=0, tzinfo=UTC)
    recurrence = parse(text, now=since)
    theirs = CronSim(text, since - timedelta(seconds=1))
    found = expand(recurrence, since, since + timedelta(days=365 * 12), 12, 10_000_000).instants

    assert [next(theirs) for _ in found] == [instant.at for instant in found]
    assert found


@pytest.mark.parametrize(
    ("text", "zone", "night", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-03-29", ["03:30+02:00"]),
        ("30 2 * * *", NEW_YORK, "2026-03-08", ["03:30-04:00"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-04", ["02:45+11:00"]),
        ("30 2 * * *", BERLIN, "2026-10-25", ["02:30+02:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01", ["01:30-04:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-05", ["01:45+11:00"]),
        ("0 */2 * * *", BERLIN, "2026-03-29", ["00:00+01:00", "03:00+02:00", "04:00+02:00"]),
        ("0 * * * *", BERLIN, "2026-03-29", ["00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00"]),
        (
            "30 * * * *",
            NEW_YORK,
            "2026-11-01",
            ["00:30-04:00", "01:30-04:00", "01:30-05:00", "02:30-05:00", "03:30-05:00", "04:30-05:00"],
        ),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-25",
            [
                *("00:00+02:00", "00:30+02:00", "01:00+02:00", "01:30+02:00", "02:00+02:00", "02:30+02:00"),
                *("02:00+01:00", "02:30+01:00", "03:00+01:00", "03:30+01:00", "04:00+01:00", "04:30+01:00"),
            ],
        ),
    ],
)
def test_clock_changes_neither_lose_nor_double_what_cron_gives(text, zone, night, expected):
    assert expected == shown(text, zone, night)


def shown(text: str, zone: str, night: str) -> list[str]:
    """From midnight until five."""
    begins = datetime.fromisoformat(f"{night}T00:00").replace(tzinfo=of_zone(zone))
    recurrence = parse(text, now=NOW, start_time=begins - timedelta(days=90), timezone=zone)
    found = expand(recurrence, begins.astimezone(UTC), begins.replace(hour=5).astimezone(UTC), 1000).instants
    return [re.sub(r"^.*T(\d\d:\d\d):00", r"\1", instant.at.astimezone(of_zone(zone)).isoformat()) for instant in found]


@pytest.mark.parametrize("night", ["2026-04-05", "2026-10-04"])
@pytest.mark.parametrize("season", ["2026-01-10", "2026-07-10"])
@pytest.mark.parametrize("minutes", ["0", "15", "45", "*/15", "10,40"])
def test_every_real_minute_that_the_clock_shows_fires_where_it_moves_by_half_an_hour(night, season, minutes):
    recurrence = parse(
        f"{minutes} * * * *",
        now=NOW,
        start_time=datetime.fromisoformat(f"{season}T09:20") - timedelta(days=365),
        timezone=LORD_HOWE,
    )
    since = datetime.fromisoformat(f"{night}T00:00Z") - timedelta(days=1)
    every = [since + timedelta(minutes=minute) for minute in range(2 * 1440)]
    wanted = {int(minute) for minute in minutes.split(",")} if "*" not in minutes else set(range(0, 60, 15))

    expected = [at for at in every if at.astimezone(of_zone(LORD_HOWE)).minute in wanted]
    assert expected == [instant.at for instant in expand(recurrence, since, since + timedelta(days=2), 1000).instants]


@settings(max_examples=examples(500), deadline=None)
@given(st.text(alphabet="0123456789*/,-?#LWMONFRIJA@TZ= \n", max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(Invalid):
        assert parse(text, now=NOW).timezone


def shown_examples() -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), flags=re.MULTILINE)


def test_the_page_has_examples():
    assert len(shown_examples()) > 20


@pytest.mark.parametrize("text", shown_examples())
def test_the_examples_of_the_page_are_read(text):
    check(parse(text, now=NOW), NOW)
