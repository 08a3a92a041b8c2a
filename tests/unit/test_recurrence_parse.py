from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from qhronos.core.recurrence import Dst, Fold, Recurrence, brings, parse, restated, start, to_text
from qhronos.errors import Invalid

NOW = datetime(2026, 11, 20, 12, 0, 30, 250_000, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def rules(schedule: object) -> tuple[str, ...]:
    return parse(schedule, now=NOW).rrule


def refusal(schedule: object, **said: object) -> tuple[str, str | None]:
    with pytest.raises(Invalid) as caught:
        parse(schedule, now=NOW, **said)
    return str(caught.value), caught.value.field


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"frequency": "daily"}, "FREQ=DAILY"),
        ({"frequency": "Weekly", "interval": 2, "by_day": ["we", "MO"]}, "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE"),
        ({"frequency": "monthly", "by_day": ["-1MO", "1FR", "+2TU"]}, "FREQ=MONTHLY;BYDAY=1FR,2TU,-1MO"),
        (
            {"frequency": "monthly", "by_month_day": [-1, 15, 1, 15], "count": 3},
            "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=1,15,-1",
        ),
        ({"frequency": "daily", "by_month": [9, 3], "by_hour": [0, 23]}, "FREQ=DAILY;BYMONTH=3,9;BYHOUR=0,23"),
        ({"frequency": "hourly", "by_minute": 30, "by_second": "60"}, "FREQ=HOURLY;BYMINUTE=30;BYSECOND=60"),
        (
            {"frequency": "yearly", "by_week_no": [53, -1], "week_start": "su", "by_day": ["MO"], "by_set_pos": [-1]},
            "FREQ=YEARLY;BYWEEKNO=53,-1;BYDAY=MO;BYSETPOS=-1;WKST=SU",
        ),
        ({"frequency": "yearly", "by_year_day": [366, -366]}, "FREQ=YEARLY;BYYEARDAY=366,-366"),
        ({"frequency": "daily", "count": None, "by_day": [], "week_start": "MO"}, "FREQ=DAILY"),
        ({"frequency": "daily", "until": "2026-12-24T18:00:00+01:00"}, "FREQ=DAILY;UNTIL=20261224T170000Z"),
        ({"frequency": "daily", "until": "2026-12-24T18:00:00.999Z"}, "FREQ=DAILY;UNTIL=20261224T180000Z"),
        ({"frequency": "daily", "until": "2026-12-24T18:00"}, "FREQ=DAILY;UNTIL=20261224T180000"),
        ({"frequency": "daily", "until": "2026-12-24"}, "FREQ=DAILY;UNTIL=20261224"),
        ("freq=secondly;interval=1000000000", "FREQ=SECONDLY;INTERVAL=1000000000"),
        (" RRULE:FREQ = DAILY ; BYHOUR = 9, 17 ;", "FREQ=DAILY;BYHOUR=9,17"),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", "FREQ=DAILY;UNTIL=99991231T235959Z"),
        ("FREQ=DAILY;COUNT=100000", "FREQ=DAILY;COUNT=100000"),
        ({"rrule": "RRULE:FREQ=DAILY"}, "FREQ=DAILY"),
    ],
)
def test_a_rule_is_read_into_its_canonical_form(schedule, expected):
    assert (expected,) == rules(schedule)


def test_rules_that_say_the_same_are_one():
    schedule = "RRULE:FREQ=DAILY;INTERVAL=1\r\nRRULE:FREQ=HOURLY;BYMINUTE=\r\n 0\nFREQ=DAILY;WKST=MO\n\n"

    assert ("FREQ=DAILY", "FREQ=HOURLY;BYMINUTE=0") == rules(schedule)


RANGES = {
    "BYMONTH": ("0", "13", "-1", "1..12"),
    "BYWEEKNO": ("0", "54", "-54", "1..53 or -53..-1"),
    "BYYEARDAY": ("0", "367", "-367", "1..366 or -366..-1"),
    "BYMONTHDAY": ("0", "32", "-32", "1..31 or -31..-1"),
    "BYHOUR": ("24", "-1", "X", "0..23"),
    "BYMINUTE": ("60", "-1", "1.5", "0..59"),
    "BYSECOND": ("61", "-1", "٣", "0..60"),
    "BYSETPOS": ("0", "367", "-367", "1..366 or -366..-1"),
    "INTERVAL": ("0", "-1", "1000000001", "1..1000000000"),
    "COUNT": ("0", "-1", "100001", "1..100000"),
}


@pytest.mark.parametrize(
    ("part", "value", "span"), [(part, value, spans[-1]) for part, spans in RANGES.items() for value in spans[:-1]]
)
def test_a_number_out_of_range_is_refused_with_the_range(part, value, span):
    text = f"FREQ=YEARLY;BYDAY=MO;{part}={value}"

    assert (f"RRULE: {part}={value}: must be {span}", "schedule") == refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "schedule: empty"),
        (
            "FREQ=DAILY\nevery day",
            "schedule: 'every day' cannot be read; write RRULE text such as FREQ=DAILY;INTERVAL=2",
        ),
        ("RRULE:", "RRULE: =: a part is NAME=value"),
        ("RRULE:FREQ=DAILY;;COUNT=2", "RRULE: =: a part is NAME=value"),
        ("FREQ=DAILY;COUNT", "RRULE: COUNT=: a part is NAME=value"),
        ("FREQ=DAILY;FREQ=DAILY", "RRULE: FREQ=DAILY: given twice"),
        ("FREQ=DAILY;INTERVAL=1,2", "RRULE: INTERVAL=1,2: takes one value"),
        (
            "RRULE:COUNT=2",
            "RRULE: FREQ=: is missing; it is one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY",
        ),
        (
            "FREQ=FORTNIGHTLY",
            "RRULE: FREQ=FORTNIGHTLY: must be one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY",
        ),
        ("FREQ=DAILY;WKST=XX", "RRULE: WKST=XX: must be one of MO, TU, WE, TH, FR, SA, SU"),
        ("FREQ=MONTHLY;BYDAY=0MO", "RRULE: BYDAY=0MO: must be one of MO..SU, alone or after 1..53 or -53..-1"),
        ("FREQ=MONTHLY;BYDAY=54MO", "RRULE: BYDAY=54MO: must be one of MO..SU, alone or after 1..53 or -53..-1"),
        ("FREQ=MONTHLY;BYDAY=MONDAY", "RRULE: BYDAY=MONDAY: must be one of MO..SU, alone or after 1..53 or -53..-1"),
        ("FREQ=DAILY;BYDAY=XX", "RRULE: BYDAY=XX: must be one of MO..SU, alone or after 1..53 or -53..-1"),
        ("FREQ=DAILY;UNTIL=tomorrow", "RRULE: UNTIL=TOMORROW: is neither a date nor a date and time"),
        ("FREQ=DAILY;UNTIL=20260230", "RRULE: UNTIL=20260230: day is out of range for month"),
        ("FREQ=DAILY;UNTIL=18991231", "RRULE: UNTIL=18991231: years run from 1900 to 9999"),
        ("FREQ=DAILY;UNTIL=99991231T235959-01:00", "RRULE: UNTIL=99991231T235959-01:00: years run from 1900 to 9999"),
        ("FREQ=DAILY;UNTIL=20260101T000000+24:00", "RRULE: UNTIL=20260101T000000+24:00: +24:00 is no offset from UTC"),
        (
            "FREQ=DAILY;BYEASTER=1",
            (
                "RRULE: BYEASTER=1: no such part; there are FREQ, INTERVAL, COUNT, UNTIL, BYMONTH, BYWEEKNO, BYYEARDAY, "
                "BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE, BYSECOND, BYSETPOS, WKST, SKIP"
            ),
        ),
        ("FREQ=MONTHLY;SKIP=FORWARD", "RRULE: SKIP=FORWARD: needs RSCALE=GREGORIAN beside it (RFC 7529 §4.1)"),
        ("RSCALE=HEBREW;FREQ=MONTHLY", "RRULE: RSCALE=HEBREW: only GREGORIAN is known"),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=YES", "RRULE: SKIP=YES: must be one of OMIT, BACKWARD, FORWARD"),
        ("EXRULE:FREQ=DAILY", "EXRULE: not taken; name the dates in EXDATE"),
        ("DTSTART:20260101T000000Z\nDTSTART:20260101T000000Z", "DTSTART: given twice"),
        ("DTSTART:soon\nRRULE:FREQ=DAILY", "DTSTART: soon: is neither a date nor a date and time"),
        ("RDATE:20260101", "RDATE: 20260101: has no time of day"),
        ("RDATE:20260101T000000.5Z", "RDATE: 20260101T000000.5Z: must be whole seconds"),
        ("RDATE;VALUE=PERIOD:20260101T000000Z/PT1H", "RDATE: VALUE=PERIOD is not taken"),
        ("EXDATE:20260101T25", "EXDATE: 20260101T25: is neither a date nor a date and time"),
        ("\n".join(f"FREQ=DAILY;INTERVAL={n}" for n in range(1, 12)), "RRULE: 11 are too many; at most 10"),
        ("FREQ=DAILY;BYHOUR=" + "9," * 4096 + "9", "schedule: longer than 8192 bytes"),
    ],
)
def test_text_that_cannot_be_is_refused_at_the_part(text, message):
    assert (message, "schedule") == refusal(text)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FREQ=DAILY;COUNT=1;UNTIL=20260101", "UNTIL=20260101: COUNT and UNTIL exclude each other"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO=1: only FREQ=YEARLY may have it"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY=1: FREQ=MONTHLY may not have it"),
        ("FREQ=WEEKLY;BYYEARDAY=1", "BYYEARDAY=1: FREQ=WEEKLY may not have it"),
        ("FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY=1: FREQ=DAILY may not have it"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY=1: FREQ=WEEKLY may not have it"),
        (
            "FREQ=WEEKLY;BYDAY=1MO",
            "BYDAY=1MO: only FREQ=MONTHLY and FREQ=YEARLY (without BYWEEKNO) may number weekdays",
        ),
        (
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,-1TU",
            "BYDAY=MO,-1TU: only FREQ=MONTHLY and FREQ=YEARLY (without BYWEEKNO) may number weekdays",
        ),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS=1: needs another BY part to choose from"),
    ],
)
def test_what_the_rfc_forbids_is_refused_with_the_reason(rule, message):
    assert (f"RRULE: {message} (RFC 5545 §3.3.10)", "schedule") == refusal(rule)


@pytest.mark.parametrize(
    ("schedule", "message", "field"),
    [
        ({}, "frequency: is missing; it is one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY", "schedule.frequency"),
        ({"frequency": "monthly", "by_month_day": [1, 40]}, "by_month_day: 40: must be 1..31 or -31..-1", "schedule.by_month_day"),
        ({"frequency": "daily", "interval": 0}, "interval: 0: must be 1..1000000000", "schedule.interval"),
        ({"frequency": "daily", "count": 10**5000}, "count: so great a number: must be 1..100000", "schedule.count"),
        ({"frequency": "daily", "count": True}, "count: must be numbers or texts", "schedule.count"),
        ({"frequency": "daily", "by_hour": [9.5]}, "by_hour: must be numbers or texts", "schedule.by_hour"),
        ({"frequency": "daily", "by_hour": [9] * 1001}, "by_hour: 1001 are too many; at most 1000", "schedule.by_hour"),
        ({"frequency": "daily", "by_week_no": [1]}, "by_week_no: 1: only FREQ=YEARLY may have it (RFC 5545 §3.3.10)", "schedule.by_week_no"),
        ({"frequency": "daily", "intervall": 2}, "schedule: unknown field intervall; did you mean interval?", "schedule.intervall"),
        ({"rrule": [], "when": 1}, "schedule: unknown field when; known are rrule, rdate, exdate", "schedule.when"),
        ({"rrule": ["FREQ=DAILY", "FREQ=DAILY;COUNT=0"]}, "RRULE: COUNT=0: must be 1..100000", "schedule.rrule[1]"),
        ({"rrule": [1]}, "rrule: must be a list of texts", "schedule.rrule"),
        ({"rrule": ["FREQ=DAILY;BYHOUR=" + "9," * 4096 + "9"]}, "RRULE: longer than 8192 bytes", "schedule.rrule[0]"),
        ({"rdate": ["2026-01-01T00:00:00", "soon"]}, "RDATE: soon: is neither a date nor a date and time", "schedule.rdate[1]"),
        ({"exdate": ["2026-01-01T00:00:00"] * 1001}, "exdate: 1001 are too many; at most 1000", "schedule.exdate"),
        ([], "schedule: must be an object, text or null", "schedule"),
        (7, "schedule: must be an object, text or null", "schedule"),
    ],
)  # fmt: skip
def test_json_that_cannot_be_is_refused_at_the_field(schedule, message, field):
    assert (message, field) == refusal(schedule)


@pytest.mark.parametrize(
    ("start_time", "timezone", "wall", "instant"),
    [
        ("2026-07-01T09:00:00", None, "2026-07-01T09:00:00", "2026-07-01T09:00:00+00:00"),
        ("2026-07-01T09:00:00", BERLIN, "2026-07-01T09:00:00", "2026-07-01T07:00:00+00:00"),
        ("2026-07-01T09:00:00Z", BERLIN, "2026-07-01T11:00:00", "2026-07-01T09:00:00+00:00"),
        ("2026-07-01T09:00:00-04:00", BERLIN, "2026-07-01T15:00:00", "2026-07-01T13:00:00+00:00"),
        (None, BERLIN, "2026-11-20T13:00:30", "2026-11-20T12:00:30+00:00"),
    ],
)
def test_a_start_with_an_offset_is_an_instant_and_without_one_wall_time(start_time, timezone, wall, instant):
    given = start_time and at(start_time)
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=given, timezone=timezone)

    assert (at(wall), timezone or "UTC") == (recurrence.dtstart, recurrence.timezone)
    assert at(instant) == start(recurrence)


def test_only_a_single_instant_keeps_its_microseconds():
    once, daily = parse(None, now=NOW), parse("FREQ=DAILY", now=NOW)

    assert start(once) == NOW
    assert start(daily) == NOW.replace(microsecond=0)


def test_a_start_in_the_second_pass_of_the_clock_stays_there():
    second = at("2026-10-25T01:30:00+00:00")
    recurrence = parse(None, now=NOW, start_time=second, timezone=BERLIN)

    assert second == start(recurrence)
    assert recurrence == parse(to_text(recurrence), now=NOW, timezone=BERLIN)


@pytest.mark.parametrize(("fold", "utc_hour"), [("first", 0), ("second", 1), ("both", 0)])
def test_a_wall_time_that_comes_twice_means_what_the_policy_says(fold, utc_hour):
    recurrence = parse(None, now=NOW, start_time=at("2026-10-25T02:30"), timezone=BERLIN, dst=Dst(fold=Fold(fold)))

    assert datetime(2026, 10, 25, utc_hour, 30, tzinfo=UTC) == start(recurrence)


def test_dtstart_in_the_text_gives_start_and_zone():
    recurrence = parse("DTSTART;X-A=1;TZID=Europe/Berlin:20260701T090000\nRRULE:FREQ=DAILY", now=NOW)
    a_day = parse('DTSTART;VALUE=DATE;TZID="Europe/Berlin":20260701\nRRULE:FREQ=DAILY', now=NOW)

    assert at("2026-07-01T07:00:00Z") == start(recurrence)
    assert (at("2026-07-01T00:00:00"), BERLIN) == (a_day.dtstart, a_day.timezone)


def test_a_start_may_be_given_twice_only_if_it_is_the_same():
    text = "DTSTART;TZID=Europe/Berlin:20260701T090000\nRRULE:FREQ=DAILY"
    twice = parse(text, now=NOW, start_time=at("2026-07-01T07:00:00Z"), timezone=BERLIN)

    assert parse(text, now=NOW) == twice
    assert refusal(text, start_time=at("2026-07-01T09:00:00Z")) == (
        "start_time: differs from the start in the schedule; give one",
        "start_time",
    )
    assert refusal(text, timezone="UTC") == (
        "timezone: UTC here, Europe/Berlin in the schedule; give one",
        "timezone",
    )


@pytest.mark.parametrize("start_time", ["1899-12-31T00:00", "9999-12-31T00:00", "9999-12-31T00:00Z"])
def test_a_start_outside_of_the_calendar_is_refused(start_time):
    assert refusal(None, start_time=at(start_time)) == ("start_time: years run from 1900 to 9999", "start_time")


def test_the_calendar_begins_with_1900():
    assert ("FREQ=DAILY",) == parse("FREQ=DAILY", now=NOW, start_time=at("1900-01-01T00:00")).rrule


def test_an_unknown_zone_is_refused_wherever_it_stands():
    assert refusal(None, timezone="Europe/Berln")[1] == "timezone"
    assert refusal("DTSTART;TZID=Nowhere:20260701T090000")[1] == "timezone"
    assert refusal("RDATE;TZID=Nowhere:20260701T090000")[1] == "timezone"


def test_dates_are_wall_time_unless_they_say_otherwise():
    dates = ["2026-07-02T09:00", "20260701T090000Z", "2026-07-01 09:00:00.000", "2026-07-02T09:00:00"]
    recurrence = parse({"rrule": ["FREQ=DAILY"], "rdate": dates, "exdate": ["2026-07-05"]}, now=NOW, timezone=BERLIN)

    assert ("2026-07-01T09:00:00", "2026-07-01T09:00:00Z", "2026-07-02T09:00:00") == recurrence.rdate
    assert ("2026-07-05",) == recurrence.exdate


def test_dates_of_another_zone_become_instants():
    text = (
        "DTSTART;TZID=Europe/Berlin:20260701T090000\n"
        "RDATE;TZID=America/New_York:20260702T090000,20260703T090000\n"
        "RDATE;TZID=Europe/Berlin;VALUE=DATE-TIME:20260704T090000\n"
        "EXDATE;TZID=America/New_York;VALUE=DATE:20260705"
    )
    recurrence = parse(text, now=NOW)

    assert ("2026-07-02T13:00:00Z", "2026-07-03T13:00:00Z", "2026-07-04T09:00:00") == recurrence.rdate
    assert ("2026-07-05",) == recurrence.exdate


def test_dates_without_rule_and_start_begin_with_the_first_of_them():
    dates = ["2026-07-02T09:00", "2026-07-02T06:30:00Z"]

    assert at("2026-07-02T08:30") == parse({"rdate": dates}, now=NOW, timezone=BERLIN).dtstart


def test_nothing_means_once():
    once = parse(None, now=NOW)

    assert once == parse({"rrule": [], "rdate": [], "exdate": None}, now=NOW)
    assert (once.rrule, once.rdate, once.exdate) == ((), (), ())


@pytest.mark.parametrize(
    "recurrence",
    [
        parse(None, now=NOW),
        parse(None, now=NOW.replace(microsecond=0), timezone=BERLIN),
        parse(
            {"rrule": ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO"], "exdate": ["2026-12-24", "2026-12-25T12:00:30"]}, now=NOW
        ),
        parse({"rdate": ["2026-12-24T12:00:00", "2026-12-24T12:00:00Z"]}, now=NOW, timezone="America/New_York"),
    ],
)
def test_what_is_printed_reads_back_as_the_same(recurrence):
    assert recurrence == parse(to_text(recurrence), now=NOW + timedelta(days=1), timezone=recurrence.timezone)


def test_the_text_names_each_line_as_the_rfc_does():
    schedule = {
        "rrule": ["FREQ=DAILY"],
        "rdate": ["2026-07-02T09:00:00Z"],
        "exdate": ["2026-07-05", "2026-07-06T09:00"],
    }
    recurrence = parse(schedule, now=NOW, start_time=at("2026-07-01T09:00"), timezone=BERLIN)

    assert to_text(recurrence).splitlines() == [
        "DTSTART;TZID=Europe/Berlin:20260701T090000",
        "RRULE:FREQ=DAILY",
        "RDATE:20260702T090000Z",
        "EXDATE;VALUE=DATE:20260705",
        "EXDATE;TZID=Europe/Berlin:20260706T090000",
    ]


def test_the_stored_form_shows_what_matters_and_nothing_else():
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=at("2026-07-01T09:00"), timezone=BERLIN)
    stored = msgspec.json.encode(recurrence)

    assert msgspec.json.decode(stored) == {
        "dtstart": "2026-07-01T09:00:00",
        "timezone": BERLIN,
        "rrule": ["FREQ=DAILY"],
        "rdate": [],
        "exdate": [],
    }
    assert recurrence == msgspec.json.decode(stored, type=Recurrence)


def test_an_aware_start_may_be_in_any_zone():
    start_time = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))

    assert start_time == start(parse(None, now=NOW, start_time=start_time, timezone=BERLIN))


def test_a_second_z_after_until_is_overlooked():
    twice = parse("FREQ=DAILY;UNTIL=20260801T150000ZZ", now=NOW)

    assert ("FREQ=DAILY;UNTIL=20260801T150000Z",) == twice.rrule


@pytest.mark.parametrize(
    ("schedule", "names"),
    [
        (None, set()),
        ("FREQ=DAILY", set()),
        ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", {"start_time"}),
        ("DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY", {"start_time", "timezone"}),
    ],
)
def test_a_schedule_tells_what_it_names_itself(schedule, names):
    assert names == brings(schedule, now=NOW)


@pytest.mark.parametrize("schedule", [None, "FREQ=DAILY;COUNT=3", {"rrule": [], "rdate": ["2026-01-01T09:00:00"]}])
def test_what_is_stored_can_be_said_again(schedule):
    recurrence = parse(schedule, now=NOW)

    assert recurrence == parse(restated(recurrence), now=NOW, start_time=recurrence.dtstart)
