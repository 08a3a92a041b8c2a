"""Clock changes. Instants are in UTC; `*` marks a time shifted out of a gap, `a` and `b` the passes of a fold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qhronos.core.recurrence import Dst, Expansion, Fold, Gap, Mark, Subdaily, expand, parse, settle, start

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW_YORK, BERLIN, LORD_HOWE, APIA = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"
SIGNS = {Mark.NORMAL: "", Mark.GAP_SHIFTED: "*", Mark.FOLD_FIRST: "a", Mark.FOLD_SECOND: "b"}
USUAL = Dst()
SKIP = Dst(gap=Gap.SKIP)
SECOND = Dst(fold=Fold.SECOND)
BOTH = Dst(fold=Fold.BOTH)


def in_utc(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


def expanded(rule: object, begins: str, zone: str, until: str, dst: Dst, subdaily: Subdaily) -> Expansion:
    recurrence = parse(
        rule, now=NOW, start_time=datetime.fromisoformat(begins), timezone=zone, dst=dst, subdaily=subdaily
    )
    return expand(recurrence, start(recurrence), in_utc(until), 1000)


def shown(
    rule: object,
    begins: str,
    zone: str,
    until: str,
    dst: Dst = USUAL,
    subdaily: Subdaily = Subdaily.ELAPSED,
) -> str:
    """Instants as day, hour and minute."""
    found = expanded(rule, begins, zone, until, dst, subdaily)
    return " ".join(f"{instant.at:%d-%H:%M}{SIGNS[instant.mark]}" for instant in found.instants)


@pytest.mark.parametrize(
    ("rule", "begins", "zone", "until", "dst", "expected"),
    [
        # Spring in New York, 8 March: 02:00 becomes 03:00 at 07:00 UTC.
        ("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK, "2026-03-10Z", USUAL, "07-07:30 08-07:30* 09-06:30"),
        ("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK, "2026-03-10Z", SKIP, "07-07:30 09-06:30"),
        ("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30", "2026-03-08T00:00", NEW_YORK, "2026-03-09Z", USUAL, "08-07:00* 08-07:30*"),
        ("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30", "2026-03-08T00:00", NEW_YORK, "2026-03-09Z", SKIP, "08-07:00 08-07:30"),
        ("FREQ=DAILY;BYHOUR=1,2,3,4", "2026-03-08T00:30", NEW_YORK, "2026-03-09Z", USUAL, "08-06:30 08-07:30* 08-08:30"),
        # A shifted time passes one that is later on the wall: 02:45 happens at 03:45, after 03:15.
        ("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=15,45", "2026-03-08T00:00", NEW_YORK, "2026-03-09Z", USUAL, "08-07:15* 08-07:45*"),
        ("RDATE;TZID=America/New_York:20260308T024500,20260308T031500", "2026-03-08T01:00", NEW_YORK, "2026-03-09Z", USUAL, "08-06:00 08-07:15 08-07:45*"),
        # Autumn in New York, 1 November: 02:00 becomes 01:00 at 06:00 UTC.
        ("FREQ=DAILY", "2026-10-31T01:30", NEW_YORK, "2026-11-03Z", USUAL, "31-05:30 01-05:30a 02-06:30"),
        ("FREQ=DAILY", "2026-10-31T01:30", NEW_YORK, "2026-11-03Z", SECOND, "31-05:30 01-06:30b 02-06:30"),
        ("FREQ=DAILY", "2026-10-31T01:30", NEW_YORK, "2026-11-03Z", BOTH, "31-05:30 01-05:30a 01-06:30b 02-06:30"),
        ("FREQ=DAILY;BYHOUR=0,1,2", "2026-11-01T00:30", NEW_YORK, "2026-11-02Z", USUAL, "01-04:30 01-05:30a 01-07:30"),
        ("FREQ=DAILY;BYHOUR=1;BYMINUTE=0,30", "2026-11-01T00:00", NEW_YORK, "2026-11-02Z", BOTH, "01-05:00a 01-05:30a 01-06:00b 01-06:30b"),
        # What DTSTART means as an instant it means whatever the policy.
        ("FREQ=DAILY", "2026-11-01T06:30Z", NEW_YORK, "2026-11-03Z", USUAL, "01-06:30b 02-06:30"),
        ("FREQ=DAILY", "2026-11-01T05:30Z", NEW_YORK, "2026-11-03Z", SECOND, "01-05:30a 02-06:30"),
        ("FREQ=DAILY", "2026-11-01T06:30Z", NEW_YORK, "2026-11-03Z", BOTH, "01-06:30b 02-06:30"),
        ("FREQ=HOURLY", "2026-11-01T06:30Z", NEW_YORK, "2026-11-01T08:00Z", USUAL, "01-06:30b 01-07:30"),
        (None, "2026-11-01T06:30Z", NEW_YORK, "2026-11-03Z", BOTH, "01-06:30b"),
        (None, "2026-11-01T01:30", NEW_YORK, "2026-11-03Z", SECOND, "01-06:30b"),
        (None, "2026-03-08T02:30", NEW_YORK, "2026-11-03Z", USUAL, "08-07:30*"),
        (None, "2026-03-08T02:30", NEW_YORK, "2026-11-03Z", SKIP, ""),
        # Berlin goes at 01:00 UTC, on 29 March and 25 October.
        ("FREQ=WEEKLY;BYDAY=SU", "2026-03-22T02:30", BERLIN, "2026-04-06Z", USUAL, "22-01:30 29-01:30* 05-00:30"),
        ("FREQ=MONTHLY;BYDAY=-1SU", "2026-09-27T02:00", BERLIN, "2026-11-30Z", USUAL, "27-00:00 25-00:00a 29-01:00"),
        # Lord Howe moves by half an hour: 5 April at 15:00 UTC the day before, 4 October at 15:30.
        ("FREQ=DAILY", "2026-10-03T02:10", LORD_HOWE, "2026-10-05Z", USUAL, "02-15:40 03-15:40* 04-15:10"),
        ("FREQ=DAILY", "2026-04-04T01:45", LORD_HOWE, "2026-04-06Z", BOTH, "03-14:45 04-14:45a 04-15:15b 05-15:15"),
        # Apia left out 30 December 2011: what was due then happens a day later, and what is equal happens once.
        ("FREQ=DAILY;COUNT=4", "2011-12-28T10:00", APIA, "2012-01-05Z", USUAL, "28-20:00 29-20:00 30-20:00* 31-20:00"),
        ("FREQ=DAILY", "2011-12-28T10:00", APIA, "2012-01-01Z", SKIP, "28-20:00 29-20:00 30-20:00 31-20:00"),
    ],
)  # fmt: skip
def test_wall_time_through_a_clock_change(rule, begins, zone, until, dst, expected):
    assert expected == shown(rule, begins, zone, until, dst)


@pytest.mark.parametrize(
    ("rule", "begins", "zone", "until", "subdaily", "expected"),
    [
        ("FREQ=HOURLY", "2026-03-08T01:00", NEW_YORK, "2026-03-08T09:00Z", Subdaily.ELAPSED, "08-06:00 08-07:00 08-08:00"),
        ("FREQ=HOURLY", "2026-03-08T01:00", NEW_YORK, "2026-03-08T09:00Z", Subdaily.WALL, "08-06:00 08-07:00* 08-08:00"),
        ("FREQ=HOURLY", "2026-11-01T00:00", NEW_YORK, "2026-11-01T09:00Z", Subdaily.ELAPSED, "01-04:00 01-05:00a 01-06:00b 01-07:00 01-08:00"),
        ("FREQ=HOURLY", "2026-11-01T00:00", NEW_YORK, "2026-11-01T09:00Z", Subdaily.WALL, "01-04:00 01-05:00a 01-07:00 01-08:00"),
        # Every six hours of real time are not every six on the wall; every twelve that must be at 9 drop out.
        ("FREQ=HOURLY;INTERVAL=6", "2026-03-07T21:00", NEW_YORK, "2026-03-08T21:00Z", Subdaily.ELAPSED, "08-02:00 08-08:00 08-14:00 08-20:00"),
        ("FREQ=HOURLY;INTERVAL=6", "2026-03-07T21:00", NEW_YORK, "2026-03-08T21:00Z", Subdaily.WALL, "08-02:00 08-07:00 08-13:00 08-19:00"),
        ("FREQ=HOURLY;INTERVAL=12;BYHOUR=9", "2026-03-06T09:00", NEW_YORK, "2026-03-11Z", Subdaily.ELAPSED, "06-14:00 07-14:00"),
        # BY parts ask the local clock, in both passes.
        ("FREQ=MINUTELY;INTERVAL=30;BYHOUR=1", "2026-11-01T00:00", NEW_YORK, "2026-11-01T12:00Z", Subdaily.ELAPSED, "01-05:00a 01-05:30a 01-06:00b 01-06:30b"),
        ("FREQ=MINUTELY;BYHOUR=1;BYMINUTE=10", "2026-11-01T00:00", NEW_YORK, "2026-11-02T12:00Z", Subdaily.ELAPSED, "01-05:10a 01-06:10b 02-06:10"),
        ("FREQ=SECONDLY;INTERVAL=20;BYHOUR=1;BYMINUTE=59;BYSECOND=0", "2026-11-01T00:00", NEW_YORK, "2026-11-02Z", Subdaily.ELAPSED, "01-05:59a 01-06:59b"),
        ("FREQ=HOURLY;BYHOUR=2", "2026-03-07T00:15", NEW_YORK, "2026-03-10Z", Subdaily.ELAPSED, "07-07:15 09-06:15"),
        ("FREQ=SECONDLY;INTERVAL=1800;BYHOUR=1,3", "2026-03-08T00:00", NEW_YORK, "2026-03-08T12:00Z", Subdaily.ELAPSED, "08-06:00 08-06:30 08-07:00 08-07:30"),
        ("FREQ=HOURLY;BYDAY=SU;BYHOUR=0,23", "2026-10-31T00:00", NEW_YORK, "2026-11-03Z", Subdaily.ELAPSED, "01-04:00 02-04:00"),
        # A half-hour change moves the hours; BYMINUTE stays on the local clock, the place of DTSTART in real time.
        ("FREQ=HOURLY", "2026-04-05T00:10", LORD_HOWE, "2026-04-04T18:00Z", Subdaily.ELAPSED, "04-13:10 04-14:10 04-15:10b 04-16:10 04-17:10"),
        ("FREQ=HOURLY;BYMINUTE=10", "2026-04-05T00:00", LORD_HOWE, "2026-04-04T18:00Z", Subdaily.ELAPSED, "04-13:10 04-14:10 04-15:40 04-16:40 04-17:40"),
        ("FREQ=HOURLY;BYMINUTE=0,45;BYHOUR=1,3", "2026-04-05T00:00", LORD_HOWE, "2026-04-04T18:00Z", Subdaily.ELAPSED, "04-14:00 04-14:45a 04-15:15b 04-16:30 04-17:15"),
        ("FREQ=HOURLY;BYMINUTE=0,45", "2026-04-05T01:00", LORD_HOWE, "2026-04-04T17:00Z", Subdaily.WALL, "04-14:00 04-14:45a 04-15:30 04-16:15 04-16:30"),
    ],
)  # fmt: skip
def test_real_time_and_the_clock_face_through_a_clock_change(rule, begins, zone, until, subdaily, expected):
    assert expected == shown(rule, begins, zone, until, subdaily=subdaily)


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        # Between the passes, in UTC: only the first is in time. As wall time and as a date: both are.
        ("20261101T054500Z", "01-05:30a"),
        ("20261101T013000", "01-05:30a 01-06:30b"),
        ("20261101T012959", "01-05:30a"),
        ("20261101", "01-05:30a 01-06:30b"),
        ("20261031", ""),
    ],
)
def test_until_is_an_instant(until, expected):
    rule = f"FREQ=DAILY;BYHOUR=1;BYMINUTE=30;UNTIL={until}"

    assert expected == shown(rule, "2026-11-01T00:00", NEW_YORK, "2026-12-01Z", BOTH)


def test_until_in_a_gap_takes_what_is_shifted_out_of_it():
    assert "07-07:30 08-07:30*" == shown(
        "FREQ=DAILY;UNTIL=20260308T023000", "2026-03-07T02:30", NEW_YORK, "2026-04-01Z"
    )


@pytest.mark.parametrize(
    ("exdate", "dst", "expected"),
    [
        ("2026-11-01T01:30:00", USUAL, "31-05:30 02-06:30"),
        ("2026-11-01T01:30:00", BOTH, "31-05:30 02-06:30"),
        ("2026-11-01T01:30:00", SECOND, "31-05:30 02-06:30"),
        ("2026-11-01T06:30:00Z", BOTH, "31-05:30 01-05:30a 02-06:30"),
        ("2026-11-01", BOTH, "31-05:30 02-06:30"),
        ("2026-11-01T06:30:00Z", USUAL, "31-05:30 01-05:30a 02-06:30"),
    ],
)
def test_exdate_takes_away_what_its_time_means(exdate, dst, expected):
    schedule = {"rrule": ["FREQ=DAILY"], "exdate": [exdate]}

    assert expected == shown(schedule, "2026-10-31T01:30", NEW_YORK, "2026-11-03Z", dst)


def test_exdate_in_a_gap_takes_away_what_is_shifted():
    for exdate in ("2026-03-08T02:30:00", "2026-03-08T03:30:00", "2026-03-08T07:30:00Z", "2026-03-08"):
        schedule = {"rrule": ["FREQ=DAILY"], "exdate": [exdate]}

        assert "07-07:30 09-06:30" == shown(schedule, "2026-03-07T02:30", NEW_YORK, "2026-03-10Z")


@pytest.mark.parametrize(("dst", "days"), [(USUAL, 4), (SKIP, 5), (BOTH, 4)])
def test_count_counts_what_happens(dst, days):
    """Not the night that is skipped, and twice the one that comes twice."""
    begins = "2026-03-06T02:30" if dst is not BOTH else "2026-10-30T01:30"
    recurrence = parse(
        "FREQ=DAILY;COUNT=4" if dst is not BOTH else "FREQ=DAILY;COUNT=5",
        now=NOW,
        start_time=datetime.fromisoformat(begins),
        timezone=NEW_YORK,
        dst=dst,
    )
    last = settle(recurrence).counted[0]

    assert last is not None
    assert last.until.date() - start(recurrence).date() == timedelta(days=days - 1)


def test_wall_times_are_kept_as_the_rule_has_them():
    found = expanded("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK, "2026-03-10Z", USUAL, Subdaily.ELAPSED)

    assert [f"{instant.wall:%m-%d %H:%M}" for instant in found.instants] == [
        "03-07 02:30",
        "03-08 02:30",
        "03-09 02:30",
    ]


def test_what_is_held_back_at_a_clock_change_is_not_overtaken_by_another_rule():
    schedule = {"rrule": ["FREQ=MONTHLY;BYSECOND=0,30", "FREQ=MONTHLY;BYMONTHDAY=3"]}

    expected = "01-04:00 01-04:00 03-04:00 01-04:00 01-04:00 03-05:00 01-05:00 01-05:00"
    assert expected == shown(schedule, "2026-10-01T00:00", NEW_YORK, "2026-12-02Z")
