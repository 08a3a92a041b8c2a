"""What is published means the same to other readers, and to us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from dateutil.rrule import rruleset, rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from qhronos.core.feed import Changed, Entry, calendar
from qhronos.core.recurrence import Business, Dst, Fold, Gap, expand, parse, start
from qhronos.core.recurrence.imported import split
from qhronos.core.recurrence.vtimezones import lines_of, rules_from_iana

NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
UNTIL = datetime(2028, 1, 1, tzinfo=UTC)
HORIZON = timedelta(days=30)
DAY = timedelta(days=1)


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
    found = {begins, *dates.between(begins, until, inc=True)} | {time[0] for time in event.rdates}
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


BEGINS = datetime(2026, 11, 21, 2, 30)  # noqa: DTZ001 - wall time


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("FREQ=DAILY", {"dst": Dst(gap=Gap.SKIP)}),
        ("FREQ=DAILY", {"dst": Dst(fold=Fold.BOTH)}),
        ("FREQ=HOURLY", {}),
        ("FREQ=DAILY;BYSECOND=60", {}),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=FORWARD", {}),
        ("FREQ=DAILY", {"business": Business(calendars=("de",), weekend=("SA", "SU"), known_until=UNTIL.date())}),
        ("FREQ=YEARLY;BYWEEKNO=48;INTERVAL=2", {}),
        ({"rrule": ["FREQ=DAILY", "FREQ=WEEKLY"]}, {}),
        ({"rrule": ["FREQ=DAILY"], "rdate": ["2026-11-20T13:00:00Z"]}, {}),
        ({"rdate": ["2026-11-22T13:00:00Z", "2046-11-20T13:00:00Z"]}, {}),
        ("FREQ=DAILY;COUNT=90000;BYHOUR=1,2,3,4,5,6,7,8,9", {}),
    ],
)
def test_what_others_might_read_otherwise_is_published_one_by_one(schedule, said):
    recurrence = parse(schedule, now=NOW, start_time=BEGINS, timezone="America/New_York", **said)
    data = published(entry(recurrence))

    until = datetime(2026, 12, 20, tzinfo=UTC)
    expected = [one.at for one in expand(recurrence, datetime(2026, 11, 20, tzinfo=UTC), until, 500).instants]
    assert expected == [event["DTSTART"].dt for event in events(data)]
    assert [f"evt-1@qhronos-{at:%Y%m%dT%H%M%SZ}" for at in expected] == [event["UID"] for event in events(data)]


def test_a_rule_with_an_exrule_is_published_one_by_one():
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=BEGINS)
    less = msgspec.structs.replace(recurrence, exrule=("FREQ=WEEKLY;BYDAY=SA,SU",))

    assert {"MO", "TU", "WE", "TH", "FR"} == {
        f"{event['DTSTART'].dt:%a}"[:2].upper() for event in events(published(entry(less)))
    }


def test_a_rule_that_leaves_nothing_is_not_published():
    recurrence = parse({"rrule": ["FREQ=DAILY;COUNT=1"], "exdate": ["2026-11-21"]}, now=NOW, start_time=BEGINS)

    assert [] == events(published(entry(recurrence)))


def test_a_second_pass_of_the_clock_is_published_in_utc():
    recurrence = parse({"rdate": ["2026-10-25T01:30:00Z", "2026-12-01T09:00:00Z"]}, now=NOW, timezone="Europe/Berlin")
    (event,) = events(published(entry(recurrence)))

    assert set(instants(recurrence)) == by_others(event)
    assert datetime(2026, 10, 25, 1, 30, tzinfo=UTC) == event["DTSTART"].dt


def test_an_event_is_published_with_what_it_says_of_itself():
    recurrence = parse("FREQ=DAILY", now=NOW, start_time=BEGINS, timezone="Europe/Berlin")
    whole = entry(recurrence, name="A; b, c\\d", description="ä" * 99 + "\n\x07end", tags=("x,y", "z"), status="paused")
    data = published(whole, entry(recurrence, uid="evt-2"))

    assert data == published(whole, entry(recurrence, uid="evt-2"), now=NOW + timedelta(hours=3))
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    for line in (
        "METHOD:PUBLISH",
        "NAME:Team",
        "X-WR-CALNAME:Team",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
    ):
        assert line.encode() in data.split(b"\r\n")
    assert 1 == data.count(b"BEGIN:VTIMEZONE")
    first, second = events(data)
    assert ("A; b, c\\d", "ä" * 99 + "\nend", ["x,y", "z"]) == (
        first["SUMMARY"],
        first["DESCRIPTION"],
        first["CATEGORIES"].cats,
    )
    assert (3, NOW, NOW, NOW - HORIZON) == (
        first["SEQUENCE"],
        *(first[name].dt for name in ("DTSTAMP", "LAST-MODIFIED", "CREATED")),
    )
    assert ("TENTATIVE", "CONFIRMED") == (first["STATUS"], second["STATUS"])


@settings(deadline=None, max_examples=60)
@given(
    rule=st.sampled_from(
        [
            "FREQ=DAILY;INTERVAL=3",
            "FREQ=WEEKLY;BYDAY=TU,SU;WKST=SU;INTERVAL=2",
            "FREQ=MONTHLY;BYDAY=2WE",
            "FREQ=MONTHLY;BYMONTHDAY=-1,29",
        ]
    ),
    end=st.sampled_from(["", ";COUNT=9", ";UNTIL=20270401", ";UNTIL=20270401T000000Z"]),
    begins=st.datetimes(datetime(2026, 9, 1), datetime(2026, 12, 31)).map(lambda when: when.replace(microsecond=0)),  # noqa: DTZ001 - wall time
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Asia/Kathmandu"]),
)
def test_what_is_published_is_read_back_as_the_same_instants(rule, end, begins, timezone):
    recurrence = parse(rule + end, now=NOW, start_time=begins, timezone=timezone)
    data = published(entry(recurrence))

    (event,) = events(data)
    assert set(instants(recurrence)) == by_others(event) == by_us(data)


def test_a_zone_of_its_own_is_published_with_its_rules():
    rules = rules_from_iana("Europe/Berlin", 2026).replace("BYMONTH=3", "BYMONTH=4")
    source = [
        *lines_of("Own", rules),
        "BEGIN:VEVENT",
        "DTSTART;TZID=Own:20260301T090000",
        "RRULE:FREQ=DAILY;COUNT=90",
        "END:VEVENT",
    ]
    recurrence = parse("\n".join(source), now=NOW)

    (event,), data = events(published(entry(recurrence))), published(entry(recurrence))
    assert "Own" == recurrence.timezone
    assert set(instants(recurrence)) == by_us(data) == by_others(event)


def test_single_occurrences_that_were_changed_are_shown_as_they_happen():
    daily = parse("FREQ=DAILY", now=NOW, start_time=datetime(2026, 11, 21, 9), timezone="Europe/Berlin")  # noqa: DTZ001
    first, second, third = instants(daily, NOW + 4 * DAY)[:3]
    to = second + timedelta(hours=5)
    changed = (Changed(first, None), Changed(second, to), Changed(third + timedelta(hours=1), to))

    series, moved = events(published(entry(daily, changed=changed)))

    assert series["UID"] == moved["UID"]
    assert first == series["EXDATE"].dts[0].dt
    assert (second, to) == (moved["RECURRENCE-ID"].dt, moved["DTSTART"].dt)
    assert "RRULE" not in moved

    alone = msgspec.structs.replace(daily, dst=Dst(gap=Gap.SKIP))  # which no reader of a rule would know
    shown = [event["DTSTART"].dt for event in events(published(entry(alone, changed=changed)))]
    assert first not in shown
    assert second not in shown
    assert {third, to} <= set(shown)
    late = (Changed(NOW - DAY, NOW + DAY),)  # of yesterday, and moved to tomorrow
    assert NOW + DAY in [event["DTSTART"].dt for event in events(published(entry(alone, changed=late)))]


def test_a_change_that_cannot_be_said_of_an_instance_is_shown_as_single_events():
    once = parse(None, now=NOW, start_time=datetime(2026, 11, 25, 9), timezone="Europe/Berlin")  # noqa: DTZ001
    (due,) = instants(once)
    assert [] == events(published(entry(once, changed=(Changed(due, None),))))
    (moved,) = events(published(entry(once, changed=(Changed(due, due + DAY),))))
    assert due + DAY == moved["DTSTART"].dt


def test_what_policies_move_is_published_when_it_acts():
    daily = parse("FREQ=DAILY", now=NOW, start_time=datetime(2026, 11, 20, 9), timezone="UTC")  # noqa: DTZ001 - wall time
    called_off, early = datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 11, 22, 7, tzinfo=UTC)
    moved = entry(
        daily,
        later=lambda due_at: timedelta(minutes=due_at.day),
        changed=(Changed(called_off, None), Changed(called_off + DAY, early)),
    )
    shown = events(published(moved, horizon=4 * DAY))

    assert all("RRULE" not in event for event in shown)
    expected = [datetime(2026, 11, 20, 9, 20, tzinfo=UTC), early, datetime(2026, 11, 23, 9, 23, tzinfo=UTC)]
    assert expected == [event.decoded("DTSTART") for event in shown]
