"""Calendar text as Google, Outlook, Exchange, Apple and Thunderbird write it, and as it is when something broke it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import (
    brings,
    check,
    clock_changes,
    describe,
    expand,
    explain,
    local,
    parse,
    restated,
    start,
    zone,
)
from qhronos.core.recurrence.contentlines import MOST_COMPONENTS
from qhronos.core.recurrence.imported import split
from qhronos.core.recurrence.lines import to_event
from qhronos.core.recurrence.vtimezones import MOST_SPANS, OwnZone, face_of, rules_from_iana
from qhronos.errors import Invalid

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def vtimezone(tzid, *, spring=3, autumn=10, began="16010101", extra=()):
    """Of central Europe, unless the months are others."""
    return [
        "BEGIN:VTIMEZONE",
        f"TZID:{tzid}",
        *extra,
        "BEGIN:STANDARD",
        f"DTSTART:{began}T030000",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        f"RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH={autumn}",
        "END:STANDARD",
        "BEGIN:DAYLIGHT",
        f"DTSTART:{began}T020000",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        f"RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH={spring}",
        "END:DAYLIGHT",
        "END:VTIMEZONE",
    ]


def vevent(*lines):
    return ["BEGIN:VEVENT", "UID:a@example.org", *lines, "END:VEVENT"]


def text(*parts, end="\r\n"):
    return end.join(["BEGIN:VCALENDAR", "VERSION:2.0", *(line for part in parts for line in part), "END:VCALENDAR", ""])


def when(source, count=4, **said):
    recurrence = parse(source, now=NOW, **said)
    found = expand(recurrence, start(recurrence) - timedelta(days=9), None, count).instants
    return [f"{local(recurrence, one.at):%m-%d %H:%M%z}" for one in found]


def refused(source, **said):
    with pytest.raises(Invalid) as caught:
        parse(source, now=NOW, **said)
    return str(caught.value)


WEEKLY = "RRULE:FREQ=WEEKLY;BYDAY=MO"
MONDAYS = ["12-07 09:00+0100", "12-14 09:00+0100", "12-21 09:00+0100", "12-28 09:00+0100"]
BERLIN = "DTSTART;TZID=Europe/Berlin:20261207T090000"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([BERLIN, WEEKLY], MONDAYS, id="plain"),
        pytest.param(["DTSTART;TZID=W. Europe Standard Time:20261207T090000", WEEKLY], MONDAYS, id="outlook"),
        pytest.param(["DTSTART;TZID=europe/berlin:20261207T090000", WEEKLY], MONDAYS, id="capitals"),
        pytest.param(
            ['DTSTART;TZID="(UTC+01:00) Amsterdam, Berlin, Bern, Rome":20261207T090000', WEEKLY], MONDAYS, id="shown"
        ),
        pytest.param(
            ["DTSTART;TZID=/example.org/20260101/Europe/Berlin:20261207T090000", WEEKLY], MONDAYS, id="prefix"
        ),
        pytest.param([BERLIN, "RRULE:FREQ=WEEKLY;BYDAY=MO, FR;"], [MONDAYS[0], "12-11 09:00+0100", MONDAYS[1], "12-18 09:00+0100"], id="exchange"),
        pytest.param([BERLIN, "RRULE:FREQ=MONTHLY;BYDAY=2 MO;COUNT=1"], ["12-14 09:00+0100"], id="number and blank"),
        pytest.param([BERLIN, WEEKLY + ";UNTIL=20261214T090000"], MONDAYS[:2], id="apple"),
        pytest.param([BERLIN, WEEKLY + ";UNTIL=20261214T080000Z"], MONDAYS[:2], id="until in utc"),
        pytest.param([BERLIN, WEEKLY + ";COUNT=3", "EXDATE:20261214T080000Z"], [MONDAYS[0], MONDAYS[2]], id="utc"),
        pytest.param([BERLIN, WEEKLY + ";COUNT=3", "EXDATE;VALUE=DATE:20261214"], [MONDAYS[0], MONDAYS[2]], id="day"),
        pytest.param(
            [BERLIN, WEEKLY, "EXDATE;TZID=Europe/Berlin:20261207T090000,20261214T090000", "EXDATE;TZID=America/New_York:20261221T030000"],
            [MONDAYS[3], "01-04 09:00+0100", "01-11 09:00+0100", "01-18 09:00+0100"],
            id="many",
        ),
        pytest.param(
            [BERLIN, "RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20261208T100000/PT1H", "RDATE;VALUE=DATE:20261209"],
            ["12-07 09:00+0100", "12-08 10:00+0100", "12-09 09:00+0100"],
            id="period",
        ),
        pytest.param(["DTSTART:20261207T090000Z", WEEKLY + ";COUNT=1"], ["12-07 09:00+0000"], id="in utc"),
        pytest.param(
            ["DTSTART;VALUE=DATE:20261207", WEEKLY + ";COUNT=3", "EXDATE;VALUE=DATE:20261214"],
            ["12-07 00:00+0000", "12-21 00:00+0000"],
            id="all day",
        ),
    ],
)  # fmt: skip
def test_a_vevent_says_when(lines, expected):
    assert expected == when(text(vevent(*lines)))


def test_breaks_and_marks_of_any_kind_are_read():
    bare = "\n".join(vevent(BERLIN, "RRULE:FREQ=WEEK\n LY;BYDAY=MO"))

    assert (
        MONDAYS
        == when("\ufeff" + text(vevent(BERLIN, WEEKLY), end="\n"))
        == when(bare)
        == when(bare.replace("\n", "\r"))
    )


def test_floating_times_are_in_the_zone_of_the_calendar_or_of_the_event():
    floating = vevent("DTSTART:20261207T090000", WEEKLY)

    assert MONDAYS == when(text(["X-WR-TIMEZONE:Europe/Berlin"], floating))
    assert MONDAYS == when(text(floating), timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (["RECURRENCE-ID;TZID=Europe/Berlin:20261214T090000", "DTSTART;TZID=Europe/Berlin:20261215T100000"], "12-15 10:00+0100"),
        (["RECURRENCE-ID:20261214T080000Z", "DTSTART:20261215T090000Z"], "12-15 10:00+0100"),
        (["RECURRENCE-ID;VALUE=DATE:20261214", "DTSTART:20261215T090000Z"], "12-15 10:00+0100"),
        (["RECURRENCE-ID:20261214T080000Z", "DTSTART:20261214T080000Z"], "12-14 09:00+0100"),
        (["RECURRENCE-ID:20261214T080000Z", "DTSTART:20261214T080000Z", "STATUS:CANCELLED"], None),
        (["RECURRENCE-ID:20261214T080000Z"], None),
    ],
)  # fmt: skip
def test_a_changed_instance_is_at_its_new_time_or_not_at_all(override, expected):
    found = when(text(vevent(BERLIN, WEEKLY + ";COUNT=3"), vevent(*override)))

    assert [MONDAYS[0], *([expected] if expected else []), MONDAYS[2]] == found


def test_an_instance_may_move_to_where_another_was_taken_away():
    moved = vevent("RECURRENCE-ID:20261207T080000Z", "DTSTART:20261214T080000Z")
    on = vevent("RECURRENCE-ID:20261214T080000Z", "DTSTART:20261222T080000Z")
    series = [BERLIN, WEEKLY + ";COUNT=3"]

    assert ["12-14 09:00+0100", MONDAYS[2], "12-22 09:00+0100"] == when(text(vevent(*series), moved, on))
    later = vevent("RECURRENCE-ID:20261207T080000Z", "DTSTART:20261214T100000Z")
    day = "EXDATE;VALUE=DATE:20261214"
    assert ["12-14 11:00+0100", MONDAYS[2]] == when(text(vevent(*series, day), later))
    assert "EXDATE: 2026-12-14: takes away the whole day" in refused(
        text(vevent(*series, day, "RRULE:FREQ=HOURLY"), later)
    )


def test_an_exrule_takes_away_what_it_gives_and_survives_an_edit():
    source = text(vevent(BERLIN, "RRULE:FREQ=DAILY;COUNT=9", "EXRULE:FREQ=WEEKLY;BYDAY=TU"))
    recurrence = parse(source, now=NOW)

    assert ("FREQ=WEEKLY;BYDAY=TU",) == recurrence.exrule
    assert recurrence == parse(
        restated(recurrence), now=NOW, start_time=recurrence.dtstart, timezone=recurrence.timezone
    )
    assert when(source) == when(to_event(recurrence))
    assert ["12-07", "12-09", "12-10", "12-11"] == [shown[:5] for shown in when(source)]


def test_the_latest_edition_counts():
    old = vevent("SEQUENCE:1", "DTSTART:20261201T090000Z", "DTSTAMP:20261101T000000Z")
    new = vevent("SEQUENCE:2", "DTSTART:20261202T090000Z", "DTSTAMP:20261001T000000Z")

    assert ["12-02 09:00+0000"] == when(text(new, old))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (text(), "schedule: 0 events in the text"),
        (text(vevent(BERLIN), ["BEGIN:VEVENT", "UID:b", BERLIN, "END:VEVENT"]), "schedule: 2 events in the text"),
        (text(["BEGIN:VEVENT", BERLIN, "END:VEVENT"] * 2), "schedule: 2 events in the text"),
        (text(vevent(WEEKLY)), "DTSTART: missing"),
        (text(vevent(BERLIN, "EXRULE:FREQ=NEVER")), "RRULE: FREQ=NEVER: must be one of"),
        (text(vevent("DTSTART:soon")), "DTSTART: soon: is neither a date nor"),
        (text(vevent("DTSTART;TZID:20261207T090000")), "DTSTART: 'DTSTART;TZID:20261207T090000' is no line of iCalendar"),
        (text(vevent(BERLIN, "RRULE:FREQ=DAILY;BYMONTHDAY=40")), "RRULE: BYMONTHDAY=40: must be 1..31"),
        (text(vevent("DTSTART;TZID=Customized Time Zone:20261207T090000")), "timezone: TZID='Customized Time Zone' is no zone"),
        (text(vevent("DTSTART;TZID=(UTC+09:00) Berlin:20261207T090000")), "timezone: TZID='(UTC+09:00) Berlin' is no zone"),
        (text(vevent(BERLIN), vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:20261214T080000Z")), "RECURRENCE-ID: RANGE=THISANDFUTURE makes two"),
        ("BEGIN:VEVENT\n", "schedule: BEGIN:VEVENT has no END"),
        ("BEGIN:VEVENT\nEND:VCALENDAR", "schedule: END:VCALENDAR ends what has not begun"),
        ("BEGIN:VEVENT\nEND:VEVENT\nEND:", "schedule: END: ends what has not begun"),
        ("BEGIN:X\nEND:X\n" * (MOST_COMPONENTS // 2), "schedule: longer than 65536 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_its_name(source, why):
    assert why in refused(source)


OWN = text(vtimezone("Customized Time Zone", spring=4), vevent("DTSTART;TZID=Customized Time Zone:20260330T023000", "RRULE:FREQ=DAILY;COUNT=40"))  # fmt: skip


def test_a_vtimezone_is_mapped_to_the_zone_that_shows_the_same():
    lines = vevent("DTSTART;TZID=Customized Time Zone:20261207T090000", WEEKLY)

    assert "Europe/Berlin" == parse(text(vtimezone("Customized Time Zone"), lines), now=NOW).timezone
    hinted = vtimezone("Customized Time Zone", extra=["X-LIC-LOCATION:Europe/Rome"])
    assert "Europe/Rome" == parse(text(hinted, lines), now=NOW).timezone


def test_a_vtimezone_that_fits_no_zone_is_kept():
    recurrence = parse(OWN, now=NOW)
    face = face_of(recurrence.timezone, recurrence.vtimezone)

    assert "Customized Time Zone" == recurrence.timezone
    assert ["03-30 02:30+0100", "03-31 02:30+0100"] == when(OWN, 2)
    (spring,) = clock_changes(
        recurrence.timezone, datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC), 9, recurrence.vtimezone
    )
    assert datetime(2026, 4, 26, 1, tzinfo=UTC) == spring.at
    # 02:30 does not exist on 26 April: the offset before the gap.
    gap = datetime(2026, 4, 26, 1, 30, tzinfo=UTC)
    assert "02:30:00 does not exist on that day" in explain(recurrence, gap).reason
    assert "from 30 March 2026 at 02:30 (Customized Time Zone)" in describe(recurrence)
    assert face is face_of(recurrence.timezone, recurrence.vtimezone)
    check(recurrence, NOW)


def test_an_edit_keeps_the_zone_and_the_rules():
    recurrence = parse(OWN, now=NOW)
    again = {"now": NOW, "start_time": start(recurrence)}

    assert recurrence == parse(restated(recurrence), timezone=recurrence.timezone, **again)
    assert {"rrule": ["FREQ=DAILY"], "rdate": [], "exdate": []} == restated(parse("FREQ=DAILY", now=NOW))
    assert "Asia/Tokyo" == parse(restated(recurrence), timezone="Asia/Tokyo", **again).timezone
    (item,) = split(OWN)
    assert recurrence == parse(item.schedule, now=NOW)


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Africa/Casablanca",
        "America/Santiago",
    ],
)
def test_the_rules_of_a_zone_are_those_of_its_clock(name):
    own, real = OwnZone(name, rules_from_iana(name, 2025)), zone(name)
    hours = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=step) for step in range(0, 24 * 365 * 3, 1)]

    for at in hours:
        shown, expected = at.astimezone(own), at.astimezone(real)
        assert (expected.replace(tzinfo=None), expected.utcoffset(), expected.fold) == (
            shown.replace(tzinfo=None),
            shown.utcoffset(),
            shown.fold,
        )


def one(*parts):
    (item,) = split(text(*parts))
    return item


def test_a_file_is_taken_apart():
    series = vevent(
        BERLIN, WEEKLY, "SUMMARY:Stand-up\\, daily", "DESCRIPTION:a\\nb", "CATEGORIES:one,two\\,three", "CATEGORIES:one"
    )
    other = vevent("RECURRENCE-ID:20261214T080000Z", "DTSTART:20261214T090000Z", "SUMMARY:Guests")
    broken = ["BEGIN:VEVENT", "SUMMARY:Broken", "DTSTART:soon", "END:VEVENT"]
    gone = ["BEGIN:VEVENT", "UID:c", "STATUS:CANCELLED", "END:VEVENT"]
    todo = ["BEGIN:VTODO", "END:VTODO"]

    first, second, third, note = split(text(series, other, broken, gone, todo).encode())

    assert ("a@example.org", "Stand-up, daily", "a\nb", ("one", "two,three"), None) == (*first[:4], first.problem)
    assert ("20261214T080000Z: of this instance only the time is kept, not its SUMMARY",) == first.warnings
    assert (None, "Broken", "", "DTSTART: soon: is neither a date nor a date and time") == (
        second.uid,
        second.name,
        second.schedule,
        second.problem,
    )
    assert ("c", "Untitled", "", ("cancelled, so not taken",), None) == (third.uid, third.name, *third[4:7])
    assert ("not events, so not taken: 1 VTODO",) == note.warnings
    assert [MONDAYS[0], "12-14 10:00+0100", MONDAYS[2]] == when(first.schedule, 3)


def test_an_instance_without_its_series_stands_alone():
    item = one(vevent("RECURRENCE-ID:20261214T080000Z", "DTSTART:20261214T090000Z"))

    assert ("a@example.org#20261214T080000Z", ["12-14 09:00+0000"]) == (item.uid, when(item.schedule))


def test_what_floats_goes_on_floating():
    item = one(vevent("DTSTART:20261207T090000", WEEKLY))

    assert MONDAYS == when(item.schedule, timezone="Europe/Berlin")


def test_a_guess_is_told():
    item = one(vevent("DTSTART;TZID=/example.org/Europe/Berlin:20261207T090000"))

    assert ("TZID=/example.org/Europe/Berlin: taken for Europe/Berlin",) == item.warnings


FUTURE = "RECURRENCE-ID;RANGE=THISANDFUTURE:20261214T080000Z"


def test_this_and_future_makes_two_series():
    series = vevent(
        BERLIN, WEEKLY + ";COUNT=4", "SUMMARY:Stand-up", "EXDATE:20261221T080000Z", "RDATE:20261208T080000Z"
    )
    future = vevent(FUTURE, "DTSTART;TZID=Europe/Berlin:20261214T110000")

    first, second = split(text(series, future))

    assert [MONDAYS[0], "12-08 09:00+0100"] == when(first.schedule)
    assert ["12-14 11:00+0100", "12-28 11:00+0100"] == when(second.schedule)
    assert ("a@example.org#2", "Stand-up") == (second.uid, second.name)


def test_this_and_future_with_a_rule_of_its_own_or_of_none():
    series = vevent(BERLIN, WEEKLY)
    own = vevent(FUTURE, "DTSTART;TZID=Europe/Berlin:20261215T110000", "RRULE:FREQ=DAILY;COUNT=2")

    assert ["12-15 11:00+0100", "12-16 11:00+0100"] == when(split(text(series, own))[1].schedule)
    (first,) = split(text(series, vevent(FUTURE, "STATUS:CANCELLED")))
    assert MONDAYS[:1] == when(first.schedule)
    away = one(series, vevent(FUTURE, "DTSTART;TZID=Europe/Berlin:20261215T110000"))
    assert "moves the series to where its rule does not follow" in away.problem
    assert "DTSTART: missing" == one(series, vevent(FUTURE)).problem
    less = vevent(BERLIN, WEEKLY, "EXRULE:FREQ=MONTHLY")
    assert "EXRULE: cannot be divided" in one(less, vevent(FUTURE, BERLIN)).problem


def test_a_file_too_long_or_of_too_many_parts_is_refused():
    for source in ("x" * 1024 * 1025, "BEGIN:X\nEND:X\n" * (MOST_COMPONENTS + 1)):
        with pytest.raises(Invalid):
            split(source)


WHOLE = text(vtimezone("Own", spring=4), vevent("DTSTART;TZID=Own:20261207T090000", WEEKLY, "EXDATE;VALUE=DATE:20261214"), vevent(FUTURE, "DTSTART:20261214T100000Z"))  # fmt: skip
PIECES = ["", ";", ":", ",", "\n", "\r\n ", '"', "=", "BEGIN:VEVENT\n", "END:VEVENT\n", "99999999", "-", "+9999", "FREQ=SECONDLY", "\x00", "/", "Z", "é"]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4)
)
def test_broken_text_is_refused_or_read_and_nothing_else(changes):
    broken = WHOLE
    for at, length, piece in changes:
        broken = broken[:at] + piece + broken[at + length :]
    try:
        items = split(broken)
    except Invalid:
        return
    for item in items:
        if item.schedule:
            recurrence = parse(item.schedule, now=NOW, timezone=None)
            assert expand(recurrence, start(recurrence), None, 3)


@pytest.mark.parametrize(
    ("tzid", "expected"),
    [
        ("(UTC) Coordinated Universal Time", "UTC"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(GMT+05:30) Chennai, Kolkata, Mumbai, New Delhi", "Asia/Kolkata"),
        ("(UTC-03:30) Newfoundland", "Canada/Newfoundland"),
    ],
)
def test_what_outlook_displays_is_understood_with_and_without_quotes(tzid, expected):
    for shown in (tzid, f'"{tzid}"'):
        assert expected == parse(text(vevent(f"DTSTART;TZID={shown}:20261207T090000")), now=NOW).timezone


def test_old_files_are_read_as_latin():
    (item,) = split(text(vevent(BERLIN, "SUMMARY:Büro")).encode("latin-1"))

    assert "Büro" == item.name


def test_an_instance_that_says_the_same_or_is_cancelled_loses_nothing():
    same = vevent("RECURRENCE-ID:20261214T080000Z", "DTSTART:20261214T090000Z", "SUMMARY:A")
    gone = vevent("RECURRENCE-ID:20261221T080000Z", "STATUS:CANCELLED", "SUMMARY:B")

    assert () == one(vevent(BERLIN, WEEKLY, "SUMMARY:A"), same, gone).warnings


def test_what_the_text_names_is_known_before_it_is_read_for_good():
    assert {"start_time", "timezone"} == brings(OWN, now=NOW)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("BEGIN:STANDARD", "BEGIN:WINTER", "schedule: END:STANDARD ends"),
        ("TZOFFSETTO:+0100", "TZOFFSETTO:+1900", "VTIMEZONE: TZOFFSET '+1900': must be"),
        ("TZOFFSETTO:+0100", "TZOFFSETTO:soon", "VTIMEZONE: TZOFFSET 'soon': must be"),
        ("DTSTART:16010101T030000", "DTSTART:16011301T030000", "VTIMEZONE: '16011301T030000': month must be"),
        ("DTSTART:16010101T030000", "DTSTART:soon", "VTIMEZONE: 'soon': is no time"),
        ("FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10", "FREQ=DAILY", "FREQ=DAILY: must be yearly, once a day"),
        ("BYDAY=-1SU;BYMONTH=10", "BYHOUR=1,2", "BYHOUR=1,2: must be yearly, once a day"),
        ("BYDAY=-1SU;BYMONTH=10", "BYDAY=SU", "BYDAY=SU: more than 12 times a year"),
    ],
)
def test_a_vtimezone_that_cannot_be_is_refused(old, new, why):
    assert why in refused(OWN.replace(old, new))


def test_a_vtimezone_without_observances_is_refused():
    nothing = ["BEGIN:VTIMEZONE", "TZID:Own", "END:VTIMEZONE"]

    assert "VTIMEZONE: has neither" in refused(text(nothing, vevent("DTSTART;TZID=Own:20261207T090000")))


SINGLE = ["TZID:Own", "BEGIN:STANDARD", "DTSTART:20270101T000000", "TZOFFSETFROM:-0330", "TZOFFSETTO:-033015", "RDATE:20280101T000000", "END:STANDARD"]  # fmt: skip


def test_a_zone_of_single_observances_has_its_first_offset_before_them():
    own = vevent("DTSTART;TZID=Own:20261231T090000", "RRULE:FREQ=DAILY;COUNT=2")
    recurrence = parse(text(["BEGIN:VTIMEZONE", *SINGLE, "END:VTIMEZONE"], own), now=NOW)
    clock = local(recurrence, NOW).tzinfo

    assert ["12-31 09:00-0330", "01-01 09:00-033015"] == [
        f"{local(recurrence, found.at):%m-%d %H:%M%z}" for found in expand(recurrence, NOW, None, 9).instants
    ]
    assert ("Own", None, timedelta(0)) == (clock.tzname(None), clock.dst(None), clock.utcoffset(None))


def test_a_zone_goes_on_to_the_end_of_time_and_remembers_little():
    own = OwnZone("Own", rules_from_iana("Europe/Berlin", 2026))

    for year in range(2026, 9999, 60):
        assert timedelta(hours=2) == datetime(year, 7, 1, 12, tzinfo=own).utcoffset()
    assert len(own._spans) <= MOST_SPANS


def test_a_zone_whose_clock_alone_differs_later_is_another():
    until_2030 = OWN.replace("BYMONTH=4", "BYMONTH=3;UNTIL=20300101T000000Z")

    assert "Customized Time Zone" == parse(until_2030, now=NOW).timezone


def test_changed_instances_follow_a_series_that_is_moved():
    series, future = vevent(BERLIN, WEEKLY + ";COUNT=4"), vevent(FUTURE, "DTSTART;TZID=Europe/Berlin:20261214T110000")
    changed = vevent("RECURRENCE-ID:20261221T080000Z", "DTSTART:20261222T080000Z")

    _, second = split(text(series, future, changed))

    assert ["12-14 11:00+0100", "12-22 09:00+0100", "12-28 11:00+0100"] == when(second.schedule)


def test_this_and_future_from_the_first_on_leaves_one_series():
    first = vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:20261207T080000Z", "DTSTART:20261207T080000Z")

    assert MONDAYS == when(one(vevent(BERLIN, WEEKLY, "EXDATE;VALUE=DATE:20270104"), first).schedule)
    utc = vevent("DTSTART:20261207T080000Z", WEEKLY)
    assert ["12-07 08:00+0000", "12-14 08:00+0000"] == when(one(utc, first).schedule, 2)
