"""What is published means the same to other readers, and to us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dateutil.rrule import rruleset, rrulestr
from icalendar import Calendar

from qhronos.core.feed import Entry, calendar
from qhronos.core.recurrence import expand, parse, split, start

NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
UNTIL = datetime(2028, 1, 1, tzinfo=UTC)
HORIZON = timedelta(days=30)


def entry(recurrence, **changes):
    usual = Entry("evt-1@qhronos", "Stand-up", "", recurrence, (), "active", 3, NOW - HORIZON, NOW)
    return usual._replace(**changes)


def published(*entries, horizon=HORIZON, now=NOW):
    return calendar("Team", entries, now, horizon)


def events(data):
    return Calendar.from_ical(data).walk("VEVENT")


def instants(recurrence, until=UNTIL):
    return [found.at for found in expand(recurrence, start(recurrence) - HORIZON, until, 5000).instants]


def utc(times):
    return {time.astimezone(UTC) for time in times}


def by_others(event, until=UNTIL):
    """By icalendar and dateutil."""
    assert [] == event.errors
    begins = event["DTSTART"].dt
    dates = rruleset()
    if "RRULE" in event:
        dates.rrule(rrulestr(event["RRULE"].to_ical().decode(), dtstart=begins))
    found = (
        {begins, *(time for time in dates.between(begins, until, inc=True))} | {time for time, _ in event.rdates}
        if False
        else {begins}
    )
    found |= set(dates.between(begins, until, inc=True)) | {time[0] for time in event.rdates}
    return utc(time for time in found if time < until) - utc(event.exdates)


def by_us(data, until=UNTIL):
    return {at for item in split(data) for at in instants(parse(item.schedule, now=NOW), until)}


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    "schedule",
    [
        None,
        {"rdate": ["2026-12-01T10:00:00", "2026-12-05T10:00:00Z"]},
        "FREQ=DAILY",
        "FREQ=DAILY;COUNT=10",
        "FREQ=DAILY;UNTIL=20270301",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;COUNT=30",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=TU;UNTIL=20271224T120000",
        "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9,17",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=YEARLY",
        "FREQ=YEARLY;BYMONTHDAY=24",
        "FREQ=YEARLY;BYWEEKNO=20",
        {"rrule": ["FREQ=DAILY"], "exdate": ["2026-11-25", "2026-11-26T02:30:00"], "rdate": ["2026-12-24T18:00:00"]},
        {"rrule": ["FREQ=DAILY;COUNT=5"], "exdate": ["2026-11-21"]},
    ],
)
def test_a_rule_that_all_read_alike_is_published_as_it_is(schedule, timezone):
    begins = datetime(2026, 11, 21, 2, 30)  # noqa: DTZ001 - wall time
    recurrence = parse(schedule, now=NOW, start_time=begins, timezone=timezone)

    data = published(entry(recurrence))

    (event,) = events(data)
    assert set(instants(recurrence)) == by_others(event) == by_us(data)
