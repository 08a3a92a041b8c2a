from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qhronos.core.recurrence import Dst, Explanation, Fold, Gap, Recurrence, check, explain, parse
from qhronos.errors import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW_YORK = "America/New_York"


def recurrence(schedule: object, begins: str = "2026-01-05T09:00", zone: str = "UTC", dst: Dst = Dst()) -> Recurrence:  # noqa: B008 - frozen
    return parse(schedule, now=NOW, start_time=datetime.fromisoformat(begins), timezone=zone, dst=dst)


def why(schedule: object, instant: str, zone: str = "UTC", begins: str = "2026-01-05T09:00", dst: Dst = Dst()) -> str:  # noqa: B008 - frozen
    return explain(recurrence(schedule, begins, zone, dst), datetime.fromisoformat(instant)).reason


@pytest.mark.parametrize(
    ("schedule", "begins", "message"),
    [
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "2026-01-05T09:00",
            (
                "RRULE: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30: never happens within ten years; "
                "no instant fits BYMONTH=2 and BYMONTHDAY=30"
            ),
        ),
        (
            "FREQ=DAILY;UNTIL=20251231",
            "2026-01-05T09:00",
            "RRULE: FREQ=DAILY;UNTIL=20251231: never happens within ten years; no instant fits UNTIL=20251231",
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3",
            "2026-01-05T09:00",
            "RRULE: FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3: never happens within ten years; no instant fits BYSETPOS=3",
        ),
        (
            "FREQ=DAILY;INTERVAL=7;BYDAY=TU;BYSETPOS=1",
            "2026-01-05T09:00",
            (
                "RRULE: FREQ=DAILY;INTERVAL=7;BYDAY=TU;BYSETPOS=1: never happens within ten years; "
                "no instant fits INTERVAL=7"
            ),
        ),
        (
            "FREQ=SECONDLY;INTERVAL=60;BYSECOND=30",
            "2026-01-05T09:00",
            (
                "RRULE: FREQ=SECONDLY;INTERVAL=60;BYSECOND=30: happens too seldom to be found; "
                "no instant fits INTERVAL=60 and BYSECOND=30"
            ),
        ),
        (
            "FREQ=DAILY;BYMONTH=2,4;BYMONTHDAY=31",
            "2026-01-05T09:00",
            (
                "RRULE: FREQ=DAILY;BYMONTH=2,4;BYMONTHDAY=31: never happens within ten years; "
                "no instant fits BYMONTH=2,4 and BYMONTHDAY=31"
            ),
        ),
        (
            {"rrule": ["FREQ=DAILY", "FREQ=MONTHLY;BYDAY=6MO"], "rdate": ["2026-02-01T09:00"]},
            "2026-01-05T09:00",
            "RRULE: FREQ=MONTHLY;BYDAY=6MO: never happens within ten years; no instant fits BYDAY=6MO",
        ),
        (
            {"frequency": "daily", "count": 2, "exdate": ["2026-01-05", "2026-01-06"]},
            "2026-01-05T09:00",
            "schedule: never happens within ten years; EXDATE, EXRULE or a skipped clock change leaves nothing",
        ),
    ],
)
def test_what_never_happens_is_refused_with_the_reason(schedule, begins, message):
    with pytest.raises(Invalid) as caught:
        check(recurrence(schedule, begins), NOW)

    assert (message, "schedule") == (str(caught.value), caught.value.field)


def test_a_single_instant_that_the_clock_leaves_out_is_refused_if_gaps_are_skipped():
    begins = "2026-03-08T02:30"
    check(recurrence(None, begins, NEW_YORK), NOW)

    with pytest.raises(Invalid, match="skipped clock change"):
        check(recurrence(None, begins, NEW_YORK, Dst(gap=Gap.SKIP)), NOW)


@pytest.mark.parametrize(
    ("schedule", "begins"),
    [
        (None, "2020-01-01T09:00"),
        ("FREQ=DAILY;COUNT=1", "2000-01-01T09:00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2020-06-01T09:00"),
        ("FREQ=YEARLY;BYDAY=MO;INTERVAL=20", "2016-12-01T09:00"),
        ("FREQ=SECONDLY", "2050-01-01T00:00"),
    ],
)
def test_an_instant_within_ten_years_of_the_start_or_of_now_is_enough(schedule, begins):
    check(recurrence(schedule, begins), NOW)


@pytest.mark.parametrize(
    ("schedule", "instant", "zone", "reason"),
    [
        ("FREQ=DAILY", "2026-01-05T09:00Z", "UTC", "given by RRULE: FREQ=DAILY"),
        ({"rdate": ["2026-01-07T09:00"]}, "2026-01-05T09:00Z", "UTC", "given by DTSTART, where it begins"),
        ({"rdate": ["2026-01-07T09:00"]}, "2026-01-07T09:00Z", "UTC", "given by RDATE"),
        ("FREQ=DAILY", "2026-01-04T09:00Z", "UTC", "DTSTART: it begins at 2026-01-05T09:00:00Z"),
        (None, "2026-01-06T09:00Z", "UTC", "there is no rule: DTSTART and RDATE are all there is"),
        (
            "FREQ=DAILY",
            "2026-01-06T10:00Z",
            "UTC",
            "RRULE: DTSTART, hence BYHOUR=9: on the clock there it is Tuesday, 2026-01-06T10:00:00",
        ),
        (
            "FREQ=DAILY;BYHOUR=9;BYSECOND=0",
            "2026-01-06T14:00:07Z",
            NEW_YORK,
            "RRULE: BYSECOND=0: on the clock there it is Tuesday, 2026-01-06T09:00:07",
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,WE",
            "2026-01-06T09:00Z",
            "UTC",
            "RRULE: BYDAY=MO,WE: on the clock there it is Tuesday, 2026-01-06T09:00:00",
        ),
        (
            "FREQ=YEARLY",
            "2027-02-05T09:00Z",
            "UTC",
            "RRULE: DTSTART, hence BYMONTH=1: on the clock there it is Friday, 2027-02-05T09:00:00",
        ),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-01-12T09:00Z", "UTC", "RRULE: INTERVAL=2 passes it over"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "2026-01-06T09:00Z", "UTC", "RRULE: BYSETPOS=1 passes it over"),
        ("FREQ=DAILY;UNTIL=20260110", "2026-01-11T09:00Z", "UTC", "RRULE: UNTIL=20260110 has ended it by then"),
        ("FREQ=DAILY;COUNT=3", "2026-01-08T09:00Z", "UTC", "RRULE: COUNT=3 has ended it by then"),
        (
            "FREQ=HOURLY",
            "2026-01-06T09:30Z",
            "UTC",
            "RRULE: FREQ=HOURLY: counted from DTSTART, it does not come to this instant",
        ),
        (
            "FREQ=HOURLY;BYMINUTE=0",
            "2026-01-06T09:30Z",
            "UTC",
            "RRULE: BYMINUTE=0: on the clock there it is Tuesday, 2026-01-06T09:30:00",
        ),
        (
            "FREQ=DAILY;UNTIL=20260110\nFREQ=DAILY;COUNT=2",
            "2026-01-11T09:00Z",
            "UTC",
            (
                "RRULE: FREQ=DAILY;UNTIL=20260110: UNTIL=20260110 has ended it by then; "
                "RRULE: FREQ=DAILY;COUNT=2: COUNT=2 has ended it by then"
            ),
        ),
        (
            {"frequency": "daily", "exdate": ["2026-01-06"]},
            "2026-01-06T14:00Z",
            NEW_YORK,
            "EXDATE=2026-01-06 takes it away",
        ),
        (
            {"frequency": "daily", "exdate": ["2026-01-06T09:00"]},
            "2026-01-06T14:00Z",
            NEW_YORK,
            "EXDATE=2026-01-06T09:00:00 takes it away",
        ),
        (
            {"frequency": "daily", "exdate": ["2026-01-06T14:00Z"]},
            "2026-01-06T14:00Z",
            NEW_YORK,
            "EXDATE=2026-01-06T14:00:00Z takes it away",
        ),
    ],
)
def test_the_deciding_part_is_named(schedule, instant, zone, reason):
    assert reason == why(schedule, instant, zone)


@pytest.mark.parametrize(
    ("instant", "begins", "dst", "reason"),
    [
        (
            "2026-03-08T07:30Z",
            "2026-03-01T02:30",
            Dst(),
            "given by RRULE: FREQ=DAILY; 02:30:00 does not exist on that day and is read with the offset before the gap",
        ),
        (
            "2026-03-08T07:30Z",
            "2026-03-01T02:30",
            Dst(gap=Gap.SKIP),
            "dst.gap=skip; 02:30:00 does not exist on that day and is read with the offset before the gap",
        ),
        (
            "2026-11-01T05:30Z",
            "2026-10-01T01:30",
            Dst(),
            "given by RRULE: FREQ=DAILY; 01:30:00 comes twice on that day, this is the first",
        ),
        (
            "2026-11-01T06:30Z",
            "2026-10-01T01:30",
            Dst(fold=Fold.FIRST),
            "dst.fold=first; 01:30:00 comes twice on that day, this is the second",
        ),
    ],
)
def test_a_clock_change_may_be_what_decides(instant, begins, dst, reason):
    assert reason == why("FREQ=DAILY", instant, NEW_YORK, begins, dst)


@pytest.mark.parametrize(
    ("schedule", "instant", "before", "after"),
    [
        ("FREQ=DAILY", "2026-01-06T09:00Z", "2026-01-05T09:00Z", "2026-01-07T09:00Z"),
        ("FREQ=DAILY", "2026-01-06T09:00:00.000001Z", "2026-01-06T09:00Z", "2026-01-07T09:00Z"),
        ("FREQ=SECONDLY;COUNT=3000", "2027-01-06T09:00Z", "2026-01-05T09:49:59Z", None),
        ("FREQ=DAILY;COUNT=1", "2026-01-05T09:00Z", None, None),
        ("FREQ=YEARLY", "2020-01-05T09:00Z", None, "2026-01-05T09:00Z"),
        ("FREQ=DAILY;COUNT=1", "2037-01-05T09:00Z", None, None),
        ("FREQ=DAILY;COUNT=1", "0001-01-01T00:00Z", None, "2026-01-05T09:00Z"),
        ("FREQ=DAILY;COUNT=1", "9999-12-31T23:59Z", None, None),
    ],
)
def test_the_neighbours_of_an_instant_are_those_in_the_set(schedule, instant, before, after):
    explanation = explain(recurrence(schedule), datetime.fromisoformat(instant))

    expected = [text and datetime.fromisoformat(text) for text in (before, after)]
    assert expected == [explanation.before, explanation.after]


def test_what_one_pass_cannot_tell_is_said_to_be_unknown():
    rule = recurrence("FREQ=MINUTELY;INTERVAL=7;BYMINUTE=0;COUNT=100000")
    explanation = explain(rule, NOW + timedelta(days=36_500))

    assert Explanation(included=False, reason=explanation.reason, before=None, after=None) == explanation
    assert explanation.reason == "not known: the search for it takes more than one pass"


def test_a_neighbour_that_one_pass_cannot_reach_is_not_guessed():
    explanation = explain(recurrence("FREQ=SECONDLY;COUNT=50000"), datetime(2027, 1, 6, 9, tzinfo=UTC))

    assert (False, None, None) == (explanation.included, explanation.before, explanation.after)
