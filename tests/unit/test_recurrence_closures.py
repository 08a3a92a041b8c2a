"""Calendar files as the days that they close, 2026 and 2027."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from qhronos.core.recurrence import closures
from qhronos.core.recurrence.vevents import duration_of
from qhronos.errors import Invalid

SINCE, UNTIL = date(2026, 1, 1), date(2028, 1, 1)


def file(*events: str, head: str = "") -> str:
    inside = "".join(f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{inside}END:VCALENDAR\n"


def closed(*events: str) -> list[str]:
    return [day.isoformat() for day in closures(file(*events), SINCE, UNTIL).dates]


@pytest.mark.parametrize(
    ("event", "days"),
    [
        ("DTSTART;VALUE=DATE:20261224", ["2026-12-24"]),
        ("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227", ["2026-12-24", "2026-12-25", "2026-12-26"]),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:P2D", ["2026-12-24", "2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261224", ["2026-12-24"]),
        ("DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY", ["2026-05-01", "2027-05-01"]),
        ("DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20270501", ["2026-05-01"]),
        # What has begun before closes the days that it lasts into, and what lasts on closes up to the end.
        ("DTSTART;VALUE=DATE:20251224\nDTEND;VALUE=DATE:20260103", ["2026-01-01", "2026-01-02"]),
        ("DTSTART;VALUE=DATE:20271231\nDTEND;VALUE=DATE:20280103", ["2027-12-31"]),
        # Times close the days that they touch, in their own zone; midnight belongs to the day that begins.
        ("DTSTART;TZID=Asia/Tokyo:20260701T013000\nDURATION:PT1H", ["2026-07-01"]),
        ("DTSTART;TZID=America/New_York:20260701T200000\nDTEND;TZID=America/New_York:20260702T000000", ["2026-07-01"]),
        ("DTSTART:20260701T200000Z\nDTEND:20260702T000001Z", ["2026-07-01", "2026-07-02"]),
        ("DTSTART:20260701T200000Z", ["2026-07-01"]),
        # By the local clock: the hour that autumn adds closes no day.
        (
            "DTSTART;TZID=Europe/Berlin:20261024T000000\nDTEND;TZID=Europe/Berlin:20261026T000000",
            ["2026-10-24", "2026-10-25"],
        ),
        ("DTSTART;TZID=Europe/Berlin:20261024T000000\nDTEND:20261024T220000Z", ["2026-10-24"]),
        # Periods and changed instances take as long as they say.
        (
            "DTSTART:20260601T100000Z\nRDATE;VALUE=PERIOD:20260701T100000Z/P1D",
            ["2026-06-01", "2026-07-01", "2026-07-02"],
        ),
        (
            "DTSTART:20260601T100000Z\nRDATE;VALUE=PERIOD:20260701T100000Z/20260702T090000Z",
            ["2026-06-01", "2026-07-01", "2026-07-02"],
        ),
        ("DTSTART:20260701T200000Z\nDTEND:20260630T200000Z", ["2026-07-01"]),
    ],
)
def test_each_day_that_an_instance_touches_is_closed(event, days):
    assert days == closed(event)


def test_an_instance_that_was_changed_takes_as_long_as_it_says():
    series = "DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY"
    changed = (
        "BEGIN:VEVENT\nUID:0\nRECURRENCE-ID;VALUE=DATE:20270501\n"
        "DTSTART;VALUE=DATE:20270501\nDTEND;VALUE=DATE:20270503\nEND:VEVENT\nEND:VCALENDAR"
    )
    found = closures(file(series).replace("END:VCALENDAR", changed), SINCE, UNTIL).dates
    assert [date(2026, 5, 1), date(2027, 5, 1), date(2027, 5, 2)] == list(found)
    found = closures(
        file(series).replace("END:VCALENDAR", changed.replace("DTEND;VALUE=DATE:20270503\n", "")), SINCE, UNTIL
    )
    assert [date(2026, 5, 1), date(2027, 5, 1)] == list(found.dates)


def test_an_instance_that_was_cancelled_closes_nothing():
    series = "DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY\nRDATE;VALUE=DATE:20260601"
    cancelled = "BEGIN:VEVENT\nUID:0\nRECURRENCE-ID;VALUE=DATE:20270501\nSTATUS:CANCELLED\nEND:VEVENT\nEND:VCALENDAR"
    found = closures(file(series).replace("END:VCALENDAR", cancelled), SINCE, UNTIL).dates
    assert [date(2026, 5, 1), date(2026, 6, 1)] == list(found)


def test_all_days_of_a_floating_calendar_are_whole():
    head = "X-WR-TIMEZONE:Europe/Berlin\n"
    text = file("DTSTART;VALUE=DATE:20261024\nDTEND;VALUE=DATE:20261027", head=head)
    assert [24, 25, 26] == [day.day for day in closures(text, SINCE, UNTIL).dates]


def test_events_close_together_and_what_is_cancelled_closes_nothing():
    assert ["2026-12-24", "2026-12-25"] == closed(
        "DTSTART;VALUE=DATE:20261225", "DTSTART;VALUE=DATE:20261224", "STATUS:CANCELLED\nDTSTART;VALUE=DATE:20261226"
    )


def test_a_list_is_known_to_the_end_of_its_last_year_and_a_rule_to_the_end_of_the_window():
    listed = closures(file("DTSTART;VALUE=DATE:20260105"), SINCE, UNTIL)
    ruled = closures(file("DTSTART;VALUE=DATE:20200105\nRRULE:FREQ=YEARLY"), SINCE, UNTIL)
    past = closures(file("DTSTART;VALUE=DATE:20200105"), SINCE, UNTIL)
    assert (date(2026, 12, 31), date(2027, 12, 31), date(2025, 12, 31)) == (
        listed.known_until,
        ruled.known_until,
        past.known_until,
    )
    assert () == past.dates


@pytest.mark.parametrize(
    ("head", "again"),
    [
        ("", None),
        ("REFRESH-INTERVAL;VALUE=DURATION:PT12H\n", timedelta(hours=12)),
        ("X-PUBLISHED-TTL:P1D\n", timedelta(days=1)),
        ("X-PUBLISHED-TTL:PT5M\n", timedelta(hours=1)),
        ("X-PUBLISHED-TTL:P4W\n", timedelta(days=7)),
        ("X-PUBLISHED-TTL:soon\n", None),
    ],
)
def test_a_file_says_how_often_it_wants_to_be_read(head, again):
    text = file("DTSTART;VALUE=DATE:20260105", head=head)
    assert again == closures(text, SINCE, UNTIL).again == closures(text.encode(), SINCE, UNTIL).again


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("BEGIN:VCALENDAR", "has no END"),
        (file(), "there is no event in it"),
        (file("STATUS:CANCELLED\nDTSTART;VALUE=DATE:20261226"), "there is no event in it"),
        (file("SUMMARY:Easter\nDTSTART;VALUE=DATE:20260405\nRRULE:FREQ=SOMETIMES"), "'Easter': RRULE: FREQ=SOMETIMES"),
        (file("SUMMARY:Years\nDTSTART:20200101T000000Z\nDURATION:P9999D"), "'Years': lasts longer than 3660 days"),
        (file("SUMMARY:Two\nDTSTART:20200101T000000Z\nDURATION:two days"), "'Two': DURATION: two days: must be like"),
        (file("SUMMARY:Ever\nDTSTART:20200101T000000Z\nRRULE:FREQ=SECONDLY"), "'Ever': more instances than"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_whole(text, told):
    with pytest.raises(Invalid, match=r"^ics: ") as refused:
        closures(text, SINCE, UNTIL)
    assert "ics" == refused.value.field
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "hours"),
    [("P1W", 168), ("P1DT2H30M", 26.5), ("+PT90S", 0.025), ("PT9000000S", 2500)],
)
def test_durations_are_those_of_the_rfc(text, hours):
    assert timedelta(hours=hours) == duration_of(text)


@pytest.mark.parametrize("text", ["P", "PT", "1D", "-P1D", "two days"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(Invalid, match="DURATION"):
        duration_of(text)
