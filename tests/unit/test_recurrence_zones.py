from __future__ import annotations

import importlib.resources
import itertools
import struct
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
import tzdata

from qhronos.core.recurrence import ClockChange, clock_changes, timezones, tzdata_version, zone
from qhronos.core.recurrence.days import EXAMPLES, day_of, facts, kind_of
from qhronos.core.recurrence.zones import MOST_REMEMBERED, STRETCH, STRIDE, Face, face_of, seconds
from qhronos.errors import Invalid

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)


def test_every_zone_of_the_database_can_be_named():
    names = timezones()

    assert len(names) > 500
    assert list(names) == sorted(names)
    assert {"UTC", "Europe/Berlin", "US/Eastern"} <= set(names)
    assert all(zone(name).key == name for name in names)


def test_the_version_is_that_of_the_package():
    assert tzdata.IANA_VERSION == tzdata_version()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berln", "'Europe/Berln' is no IANA zone; did you mean Europe/Berlin or "),
        ("new_york", "'new_york' is no IANA zone; did you mean America/New_York"),
        ("utc", "'utc' is no IANA zone; did you mean "),
        ("../../etc/passwd", "'../../etc/passwd' is no IANA zone"),
        ("x" * 1000, f"'{'x' * 64}' is no IANA zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(name, hint):
    with pytest.raises(Invalid) as caught:
        zone(name)

    assert str(caught.value).startswith(f"timezone: {hint}")
    assert caught.value.field == "timezone"


@pytest.mark.parametrize(
    ("name", "year", "expected"),
    [
        ("America/New_York", 2026, [(utc(2026, 3, 8, 7), -5, -4), (utc(2026, 11, 1, 6), -4, -5)]),
        ("Europe/Berlin", 2026, [(utc(2026, 3, 29, 1), 1, 2), (utc(2026, 10, 25, 1), 2, 1)]),
        ("Australia/Lord_Howe", 2026, [(utc(2026, 4, 4, 15), 11, 10.5), (utc(2026, 10, 3, 15, 30), 10.5, 11)]),
        ("Pacific/Apia", 2011, [(utc(2011, 4, 2, 14), -10, -11), (utc(2011, 9, 24, 14), -11, -10), (utc(2011, 12, 30, 10), -10, 14)]),
        ("UTC", 2026, []),
    ],
)  # fmt: skip
def test_clock_changes_of_a_year(name, year, expected):
    changes = [ClockChange(at, before * HOUR, after * HOUR) for at, before, after in expected]

    assert changes == list(clock_changes(name, utc(year, 1, 1), utc(year + 1, 1, 1)))


def test_clock_changes_are_those_of_a_half_open_window():
    change = utc(2026, 3, 8, 7)
    second, name = timedelta(seconds=1), "America/New_York"

    assert 1 == len(clock_changes(name, change, change + second))
    assert () == clock_changes(name, change - DAY, change)
    assert () == clock_changes(name, change + second, change + DAY)
    assert () == clock_changes(name, change, change)


def test_clock_changes_end_with_the_limit_and_after_fifty_years():
    century = utc(2000, 1, 1), utc(2100, 1, 1)

    assert 3 == len(clock_changes("Europe/Berlin", *century, limit=3))
    assert 108 < len(clock_changes("Europe/Berlin", *century, limit=1000)) < 111


@pytest.mark.parametrize("year", [1900, 1999, 2000, 2026, 2100, 2399])
@pytest.mark.parametrize("weekday", range(7))
def test_what_is_said_of_a_day_is_true(year, weekday):
    """Against the calendar of the standard library, whose weeks begin on Monday."""
    first = date(year, 1, 1)
    for day in (first + n * DAY for n in range(365 + kind_of(year).leap)):
        said = facts(day_of(day), weekday)

        assert (said.month, said.month_day, said.weekday) == (day.month, day.day, day.weekday())
        assert (said.year_day, said.month_day_back) == (day.timetuple().tm_yday, -days_to_the_next_month(day))
        assert said.year_day_back == -(date(year + 1, 1, 1) - day).days
        assert (said.week, said.week_back) == weeks(day, weekday)


def days_to_the_next_month(day: date) -> int:
    return next(n for n in itertools.count(1) if (day + n * DAY).month != day.month)


def weeks(day: date, weekday: int) -> tuple[int, int]:
    """From the start and from the end of the week-year, whose first week has four days in the new year."""
    begins = day - ((day.weekday() - weekday) % 7) * DAY
    in_year = (begins + 3 * DAY).year
    first = next(start for n in range(7) if (start := date(in_year, 1, 1) + (n - 3) * DAY).weekday() == weekday)
    after = next(start for n in range(7) if (start := date(in_year + 1, 1, 1) + (n - 3) * DAY).weekday() == weekday)
    return (begins - first).days // 7 + 1, -((after - begins).days // 7)


def test_there_are_as_many_kinds_of_years_as_the_calendar_has():
    assert 28 == len(EXAMPLES)
    assert all(kind_of(year) in EXAMPLES for year in range(1900, 10_000))


def test_a_face_forgets_before_it_grows_too_great():
    face = Face(zone("Europe/Berlin"))
    for day in range(0, 2 * STRIDE * MOST_REMEMBERED, STRIDE):
        face.steady(day)

    assert len(face._steady) <= MOST_REMEMBERED
    assert 3600 == face.offset(seconds(utc(2026, 1, 1)))
    assert face_of("Europe/Berlin") is face_of("Europe/Berlin")


def changes_of(name):
    """The clock changes that a zone's file lists: when, and the offset after; the first offset before them all."""
    data = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    at = 44 + sum(
        count * size for count, size in zip(struct.unpack(">6l", data[20:44]), (1, 1, 8, 5, 6, 1), strict=True)
    )
    changes, types = struct.unpack(">2l", data[at + 32 : at + 40])
    times = struct.unpack_from(f">{changes}q", data, at + 44)
    kinds = data[at + 44 + 8 * changes : at + 44 + 9 * changes]
    offsets = [struct.unpack_from(">l", data, at + 44 + 9 * changes + 6 * kind)[0] for kind in range(types)]
    return [(-(1 << 60), offsets[0]), *zip(times, (offsets[kind] for kind in kinds), strict=True)]


def test_no_zone_changes_its_clock_and_comes_back_between_two_looks_at_it():
    """What `Face.steady` stands on."""
    quickest = 400 * 86_400
    for name in timezones():
        changes = changes_of(name)
        for index in range(1, len(changes)):
            away, before = changes[index][0], changes[index - 1][1]
            later = (at for at, offset in changes[index + 1 : index + 6] if offset == before != changes[index][1])
            quickest = min(quickest, next(later, away + quickest) - away)

    assert STRETCH * 86_400 < quickest < 8 * 86_400


@pytest.mark.parametrize("group", range(8))
def test_what_is_remembered_of_a_like_year_is_what_the_zone_says(group):
    """After the changes that its file lists, a zone is looked up in a year of each kind only."""
    random = Random(group)  # noqa: S311 - the same days every time
    for name in timezones()[group::8]:
        face = face_of(name)
        for first, last in [(-25_000, 25_000), (20_000, 80_000), (80_000, 2_900_000)]:
            for day in [random.randrange(first, last) for _ in range(10)]:
                begins = utc(1970, 1, 1) + day * DAY
                shown = {(begins + hours * HOUR).astimezone(face.zone).utcoffset() for hours in (-23, 0, 12, 24, 47)}
                assert face.steady(day) is None or shown == {timedelta(seconds=face.steady(day))}, (name, day)
