"""The corners of the grammar of words: what the tables of test_recurrence_phrases leave out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qhronos.core.recurrence import parse
from qhronos.errors import Invalid

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NINE = "BYHOUR=9;BYMINUTE=0;BYSECOND=0"
WORKING = "BYDAY=MO,TU,WE,TH,FR"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("every year on the last working day of june at 9", [f"FREQ=MONTHLY;BYMONTH=6;{WORKING};{NINE};BYSETPOS=-1"]),
        ("mondays every month at 9 of june", [f"FREQ=MONTHLY;BYMONTH=6;BYDAY=MO;{NINE}"]),
        ("daily on mondays at 9", [f"FREQ=WEEKLY;BYDAY=MO;{NINE}"]),
        ("every day from june to august at 9", [f"FREQ=DAILY;BYMONTH=6,7,8;{NINE}"]),
        ("on the last weekday of the month at 9", [f"FREQ=MONTHLY;{WORKING};{NINE};BYSETPOS=-1"]),
        ("on the second to last day of the month at 9", [f"FREQ=MONTHLY;BYMONTHDAY=-2;{NINE}"]),
        ("the second to last friday of every month at 9", [f"FREQ=MONTHLY;BYDAY=-2FR;{NINE}"]),
        ("on the first monday of every 2 years at 9", [f"FREQ=YEARLY;INTERVAL=2;BYDAY=1MO;{NINE}"]),
        ("every 2nd quarter", ["FREQ=MONTHLY;INTERVAL=6"]),
        ("every half hour", ["FREQ=MINUTELY;INTERVAL=30"]),
        (":15 every hour", ["FREQ=HOURLY;BYMINUTE=15;BYSECOND=0"]),
        ("every day at 9 until 29 february", [f"FREQ=DAILY;UNTIL=20280229;{NINE}"]),
        ("every 3 days at 9 in june", [f"FREQ=DAILY;INTERVAL=3;BYMONTH=6;{NINE}"]),
    ],
)
def test_words_mean_these_rules(text, rules):
    assert tuple(rules) == parse(text, now=NOW).rrule


def test_what_is_left_out_may_be_an_instant_in_utc():
    recurrence = parse("every day at 9 except 3 june 2027 at 09:00 UTC (Europe/Berlin)", now=NOW)

    assert (("2027-06-03T09:00:00Z",), "Europe/Berlin") == (recurrence.exdate, recurrence.timezone)


def test_now_is_once():
    assert ((), datetime(2026, 11, 20, 12)) == (parse("now", now=NOW).rrule, parse("now", now=NOW).dtstart)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("every day at " + ", ".join(f"{8 + n}:{n:02}" for n in range(11)), "these times take 11 rules; at most 10"),
        ("; and ".join(f"every day at {n}:{n:02}" for n in range(11)), "11 rules are too many; at most 10"),
        ("on the first day of every second quarter at 9", "days of every second quarter are no rule in words"),
        ("every week on the first monday of the month at 9", "every week and days of a month are no single rule"),
        ("every day at 9 until 29 february 2027", "there is no 29 february 2027"),
        ("in 9999 years", "years run from 1900 to 9999"),
        ("in 999999999 days", "years run from 1900 to 9999"),
        ("(Europe/Berlin)", "empty; say, for instance, every 15 minutes"),
        ("every year on the 15th at 9", "these days of every year are ambiguous; name a month, or say 'of the year'"),
        (
            "every 2 years on the last working day of june and july at 9",
            "working days of several months every few years",
        ),
        (
            "every 10 minutes between 9:00 and 18:00 on the tenth working day of the month",
            "so many times on working days",
        ),
        ("every month on monday at 9", "a weekday of a month is ambiguous"),
        ("every day at 9 for 0 times", "0 times: must be 1..100000"),
        ("mondays and december 24 at 9", "dates and other days are no single rule"),
        ("every half day", "'day' (word 3) cannot be read here; expected 'hour'"),
        ("every 300000 hours and 5 minutes", "an interval is 1 to 1000000000 seconds"),
        ("every monday and 29 february 2027 at 9", "29 february 2027"),
        ("in hours", "'hours' (word 2)"),
        ("in 2", "ends too soon; expected seconds, minutes, hours, days, weeks, months or years"),
        ("starting 1 june 2027", "nothing says how it recurs"),
        ("tomorrow at 9 starting 1 june 2027", "a start"),
        ("every day at 9 except 31 june 2027", "31 june"),
        ("on the last working friday of the month", "'friday' (word 4) cannot be read here; expected 'day'"),
        ("on 24 december 2026 and december 25 2026 at 9:00", "cannot be read here"),
        ("on the first and friday of a month", "expected 'day', 'working day' or a weekday"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(text, why):
    with pytest.raises(Invalid) as refused:
        parse(text, now=NOW)

    assert why in str(refused.value)
