"""Plain words: what they mean, what is refused, and that what is told in words is read back as the same set."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import expand, parse, start
from qhronos.core.recurrence.words import readable
from qhronos.errors import Invalid
from tests.unit.test_recurrence_properties import CALENDAR, examples, recurrences, rules

NOW = datetime(2026, 11, 27, 10, 0, 30, tzinfo=UTC)  # a Friday
PAGE = Path(__file__).parents[2] / "docs/reference/words.md"
EXAMPLES = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), flags=re.MULTILINE)


def meaning(text: str) -> tuple[object, ...]:
    read = parse(text, now=NOW)
    return (*read.rrule, *(f"RDATE {date}" for date in read.rdate), *(f"EXDATE {date}" for date in read.exdate))


EVERY_DAY_AT_9 = "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every minute", ("FREQ=MINUTELY",)),
        ("every 5 minutes", ("FREQ=MINUTELY;INTERVAL=5",)),
        ("every hour", ("FREQ=HOURLY",)),
        ("every day at 9am", (EVERY_DAY_AT_9,)),
        ("every day at 2am", ("FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0",)),
        ("every monday at 2pm", ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=14;BYMINUTE=0;BYSECOND=0",)),
        ("every first friday of month", ("FREQ=MONTHLY;BYDAY=1FR",)),
        ("every weekday at 2:30pm", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=14;BYMINUTE=30;BYSECOND=0",)),
        ("weekdays at 9", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every other tuesday at noon", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;BYHOUR=12;BYMINUTE=0;BYSECOND=0",)),
        ("every second tuesday except august until june 2027", ("FREQ=MONTHLY;UNTIL=20270630;BYMONTH=1,2,3,4,5,6,7,9,10,11,12;BYDAY=2TU",)),
        ("every third friday in march and june", ("FREQ=YEARLY;BYMONTH=3,6;BYDAY=3FR",)),
        ("every second tuesday of the month except august until june 2027", ("FREQ=MONTHLY;UNTIL=20270630;BYMONTH=1,2,3,4,5,6,7,9,10,11,12;BYDAY=2TU",)),
        ("at 5pm on the second tuesday of each month starting december 2026", ("FREQ=MONTHLY;BYDAY=2TU;BYHOUR=17;BYMINUTE=0;BYSECOND=0",)),
        ("every day except sunday", ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR,SA",)),
        ("last working day of the month at 17:00", ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0;BYSETPOS=-1",)),
        ("first working day of every quarter", ("FREQ=MONTHLY;BYMONTH=1,4,7,10;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1",)),
        ("last working day of every quarter at 9 and 17:30", ("FREQ=MONTHLY;BYMONTH=3,6,9,12;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0;BYSETPOS=-1", "FREQ=MONTHLY;BYMONTH=3,6,9,12;BYDAY=MO,TU,WE,TH,FR;BYHOUR=17;BYMINUTE=30;BYSECOND=0;BYSETPOS=-1")),
        ("december 24 at 6pm every year", ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;BYHOUR=18;BYMINUTE=0;BYSECOND=0",)),
        ("every 2 weeks on mon, wed and fri at 9:00 and 17:00", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;BYHOUR=9,17;BYMINUTE=0;BYSECOND=0",)),
        ("on the 1st and 15th of every month at midnight", ("FREQ=MONTHLY;BYMONTHDAY=1,15;BYHOUR=0;BYMINUTE=0;BYSECOND=0",)),
        ("twice a day at 8am and 8pm", ("FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0;BYSECOND=0",)),
        ("3 times a week on mon, wed and fri at 9", ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every hour from 9am to 5pm on weekdays", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9,10,11,12,13,14,15,16,17;BYMINUTE=0;BYSECOND=0",)),
        ("every 15 minutes between 09:00 and 17:00 on weekdays", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,15,30,45;BYSECOND=0", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0")),
        ("every quarter on the first day at 9", ("FREQ=MONTHLY;BYMONTH=1,4,7,10;BYMONTHDAY=1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("monthly on the last friday", ("FREQ=MONTHLY;BYDAY=-1FR",)),
        ("yearly on 29 february", ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",)),
        ("biweekly on monday", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO",)),
        ("hourly", ("FREQ=HOURLY",)),
        ("daily at 9", (EVERY_DAY_AT_9,)),
        ("weekly on monday", ("FREQ=WEEKLY;BYDAY=MO",)),
        ("every 90 seconds", ("FREQ=SECONDLY;INTERVAL=90",)),
        ("every 36 hours", ("FREQ=HOURLY;INTERVAL=36",)),
        ("every day at 9 for 10 times", ("FREQ=DAILY;COUNT=10;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every hour, 10 times", ("FREQ=HOURLY;COUNT=10",)),
        ("every day at 9 starting 1 june 2027", (EVERY_DAY_AT_9,)),
        ("every day at 9 until 24 december 2027", ("FREQ=DAILY;UNTIL=20271224;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every hour except on weekends", ("FREQ=HOURLY;BYDAY=MO,TU,WE,TH,FR",)),
        ("every day at 9 except 25 december 2026", (EVERY_DAY_AT_9, "EXDATE 2026-12-25")),
        ("every monday at 9 in june and july", ("FREQ=WEEKLY;BYMONTH=6,7;BYDAY=MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every day at 9 in Europe/Berlin", (EVERY_DAY_AT_9,)),
        ("every day at 9 (Europe/Berlin)", (EVERY_DAY_AT_9,)),
        ("every day at 9 UTC", (EVERY_DAY_AT_9,)),
        ("every 5m", ("FREQ=MINUTELY;INTERVAL=5",)),
        ("every 1h30m", ("FREQ=MINUTELY;INTERVAL=90",)),
        ("every second", ("FREQ=SECONDLY",)),
        ("every 1 hour and 30 minutes", ("FREQ=MINUTELY;INTERVAL=90",)),
        ("every second day at 9", ("FREQ=DAILY;INTERVAL=2;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every monday and thursday at 9", ("FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every monday and every thursday at 9", ("FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every day at 9; and every friday at 17", (EVERY_DAY_AT_9, "FREQ=WEEKLY;BYDAY=FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0")),
        ("monday to friday at 8", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=8;BYMINUTE=0;BYSECOND=0",)),
        ("from monday to friday at 8", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=8;BYMINUTE=0;BYSECOND=0",)),
        ("every hour from 22:00 to 6:00", ("FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,22,23;BYMINUTE=0;BYSECOND=0",)),
        ("every hour at :30", ("FREQ=HOURLY;BYMINUTE=30;BYSECOND=0",)),
        ("on the first friday and the last monday of the month at 9", ("FREQ=MONTHLY;BYDAY=1FR,-1MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every 3 months on the 31st (if there is one) of the month at 9", ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=31;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("Every 2 weeks on Saturday and Sunday at 09:00, from 5 January 2026 at 09:00 (Europe/Berlin)", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("On 5 January 2026 at 09:00; also on 2026-01-06T09:00:00 (Europe/Berlin)", ("RDATE 2026-01-06T09:00:00",)),
        ("Every day at 09:00; and every hour, from 5 January 2026 at 09:00; but not on 2026-01-06 and 2026-01-07 (Europe/Berlin)", (EVERY_DAY_AT_9, "FREQ=HOURLY", "EXDATE 2026-01-06", "EXDATE 2026-01-07")),
        ("Every day at 09:00, until 24 December 2026 at 18:00:01 UTC, from 5 January 2026 at 09:00 (Europe/Berlin)", ("FREQ=DAILY;UNTIL=20261224T180001Z;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("On every Tuesday of March and September at 09:00", ("FREQ=WEEKLY;BYMONTH=3,9;BYDAY=TU;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("Every year on the 5th of January at 09:00", ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=5;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("Every weekday, Monday to Friday, at 09:00", ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("Every hour, once, from 5 January 2026 at 09:00 (UTC)", ("FREQ=HOURLY;COUNT=1",)),
        ("every day at 9 from 1 june 2027 to 31 august 2027", ("FREQ=DAILY;UNTIL=20270831;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every 15th at 9", ("FREQ=MONTHLY;BYMONTHDAY=15;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every last friday at 9", ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every january 1st at 9", ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every half hour", ("FREQ=MINUTELY;INTERVAL=30",)),
        ("every fortnight on monday", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO",)),
        ("fortnightly on friday at 9", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("once a day at 9", (EVERY_DAY_AT_9,)),
        ("twice daily at 8 and 20", ("FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0;BYSECOND=0",)),
        ("last monday of every 3 months at 9", ("FREQ=MONTHLY;INTERVAL=3;BYDAY=-1MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("first friday of january every year at 9", ("FREQ=YEARLY;BYMONTH=1;BYDAY=1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("last day of the year at 9", ("FREQ=YEARLY;BYYEARDAY=-1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("100th day of the year at 9", ("FREQ=YEARLY;BYYEARDAY=100;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every friday in march to may", ("FREQ=WEEKLY;BYMONTH=3,4,5;BYDAY=FR",)),
        ("every day at 9 but not on 2026-12-25", (EVERY_DAY_AT_9, "EXDATE 2026-12-25")),
        ("every day at 9 but not for weekends", ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every weekend at 10", ("FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=10;BYMINUTE=0;BYSECOND=0",)),
        ("weekend days at 10", ("FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=10;BYMINUTE=0;BYSECOND=0",)),
        ("every 25 minutes from 8:00 to 20:00", ("FREQ=DAILY;BYHOUR=8,13,18;BYMINUTE=0,25,50;BYSECOND=0", "FREQ=DAILY;BYHOUR=9,14,19;BYMINUTE=15,40;BYSECOND=0", "FREQ=DAILY;BYHOUR=10,15;BYMINUTE=5,30,55;BYSECOND=0", "FREQ=DAILY;BYHOUR=11,16;BYMINUTE=20,45;BYSECOND=0", "FREQ=DAILY;BYHOUR=12,17;BYMINUTE=10,35;BYSECOND=0")),
        ("every 90 seconds for 9 times", ("FREQ=SECONDLY;INTERVAL=90;COUNT=9",)),
        ("24 december and 1 january every year at 9", ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;BYHOUR=9;BYMINUTE=0;BYSECOND=0")),
        ("every friday at 9 starting monday", ("FREQ=WEEKLY;BYDAY=FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every 24 december at 9", ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("5th of january and july every year at 9", ("FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=5;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("fri-sun at 8", ("FREQ=WEEKLY;BYDAY=FR,SA,SU;BYHOUR=8;BYMINUTE=0;BYSECOND=0",)),
        ("first of the month at 9", ("FREQ=MONTHLY;BYMONTHDAY=1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("on the first and second of every month", ("FREQ=MONTHLY;BYMONTHDAY=1,2",)),
        ("second of every month at 9", ("FREQ=MONTHLY;BYMONTHDAY=2;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("the end of every month at 9", ("FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("end of the year at 9", ("FREQ=YEARLY;BYYEARDAY=-1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("once every 2 weeks on monday at 9", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("once every other friday at 9", ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every year on the 30th of february and march at 9", ("FREQ=YEARLY;BYMONTH=2,3;BYMONTHDAY=30;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
        ("every day at 9 until end of june 2027", ("FREQ=DAILY;UNTIL=20270630;BYHOUR=9;BYMINUTE=0;BYSECOND=0",)),
    ],
)  # fmt: skip
def test_words_are_read_as_rules(text, expected):
    assert expected == meaning(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 5pm on the second tuesday of each month starting december 2026", "2026-12-01T00:00:00 UTC"),
        ("tomorrow at 9", "2026-11-28T09:00:00 UTC"),
        ("every day at 9 starting next month", "2026-12-01T00:00:00 UTC"),
        ("every day at 9 starting next week", "2026-11-30T00:00:00 UTC"),
        ("every day at 9 starting next year", "2027-01-01T00:00:00 UTC"),
        ("every day at 9 starting in 3 days", "2026-11-30T00:00:00 UTC"),
        ("every hour starting in 2 hours", "2026-11-27T12:00:30 UTC"),
        ("every hour starting in 2 hours (Europe/Berlin)", "2026-11-27T13:00:30 Europe/Berlin"),
        ("in 2 months", "2027-01-27T10:00:30 UTC"),
        ("in a year at 9", "2027-11-27T09:00:00 UTC"),
        ("in a quarter", "2027-02-27T10:00:30 UTC"),
        ("in an hour", "2026-11-27T11:00:30 UTC"),
        ("in half an hour", "2026-11-27T10:30:30 UTC"),
        ("in a week at noon", "2026-12-04T12:00:00 UTC"),
        ("today at 17:00", "2026-11-27T17:00:00 UTC"),
        ("next friday at noon", "2026-12-04T12:00:00 UTC"),
        ("next monday at noon", "2026-11-30T12:00:00 UTC"),
        ("this sunday at 9", "2026-11-29T09:00:00 UTC"),
        ("in 90 minutes", "2026-11-27T11:30:30 UTC"),
        ("in 3 days at 9am", "2026-11-30T09:00:00 UTC"),
        ("in 3 days", "2026-11-30T10:00:30 UTC"),
        ("in 1h30m", "2026-11-27T11:30:30 UTC"),
        ("on 24 december 2026 at 18:00", "2026-12-24T18:00:00 UTC"),
        ("every day at 9 starting 1 june 2027", "2027-06-01T00:00:00 UTC"),
        ("every day at 9 in Europe/Berlin", "2026-11-27T11:00:30 Europe/Berlin"),
        ("every day at 9 (Europe/Berlin)", "2026-11-27T11:00:30 Europe/Berlin"),
        ("2027-06-01 09:00", "2027-06-01T09:00:00 UTC"),
        ("2027-06-01 at 9", "2027-06-01T09:00:00 UTC"),
        ("on 24.12.2026 at 18:00", "2026-12-24T18:00:00 UTC"),
        ("Every 2 weeks on Saturday and Sunday at 09:00, from 5 January 2026 at 09:00 (Europe/Berlin)", "2026-01-05T09:00:00 Europe/Berlin"),
        ("Once, on 1 January 2026 at 00:00:00.000250 (UTC)", "2026-01-01T00:00:00.000250 UTC"),
        ("On 5 January 2026 at 09:00; also on 2026-01-06T09:00:00 (Europe/Berlin)", "2026-01-05T09:00:00 Europe/Berlin"),
        ("Every day at 09:00; and every hour, from 5 January 2026 at 09:00; but not on 2026-01-06 and 2026-01-07 (Europe/Berlin)", "2026-01-05T09:00:00 Europe/Berlin"),
        ("Every day at 09:00, until 24 December 2026 at 18:00:01 UTC, from 5 January 2026 at 09:00 (Europe/Berlin)", "2026-01-05T09:00:00 Europe/Berlin"),
        ("Every hour, once, from 5 January 2026 at 09:00 (UTC)", "2026-01-05T09:00:00 UTC"),
        ("day after tomorrow at 9", "2026-11-29T09:00:00 UTC"),
        ("every day at 9 from 1 june 2027 to 31 august 2027", "2027-06-01T00:00:00 UTC"),
        ("24th of june 2027 at 9", "2027-06-24T09:00:00 UTC"),
        ("june 24 2027 at 9", "2027-06-24T09:00:00 UTC"),
        ("in 2 hours and 30 minutes", "2026-11-27T12:30:30 UTC"),
        ("in 99999 weeks", "3943-06-04T10:00:30 UTC"),
        ("every friday at 9 starting monday", "2026-11-30T00:00:00 UTC"),
    ],
)  # fmt: skip
def test_words_name_the_start(text, expected):
    read = parse(text, now=NOW)

    assert expected == f"{read.dtstart.isoformat()} {read.timezone}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every second tuesday until june 2027", "'every second tuesday' is ambiguous; say 'every other tuesday until june 2027' or 'second tuesday of every month until june 2027'"),
        ("every second tuesday except mondays", "'every second tuesday' is ambiguous; say 'every other tuesday except mondays' or 'second tuesday of every month except mondays'"),
        ("on 24 december at 18:00", "'on 24 december at 18:00' is ambiguous: once, or again and again; add 'every year' or 'of every month', or name the year"),
        ("on the 15th at 9", "'on the 15th at 9' is ambiguous: once, or again and again; add 'every year' or 'of every month', or name the year"),
        ("twice a day at 8am", "2 times a day needs as many days and times; name them all, as in twice a day at 8:00 and 20:00"),
        ("biweekly", "'biweekly' is ambiguous; say 'every 2 weeks' or 'twice a week'"),
        ("every day at 9 except 25 december", "'25' (word 6) cannot be read here; expected months, weekdays, or dates with their year"),
        ("every third friday", "'every third friday' is ambiguous; say 'every 3 weeks on friday' or 'third friday of every month'"),
        ("every day at 3/4/2027", "'3/4/2027' is ambiguous; say 2027-03-04 or 2027-04-03"),
        ("every day at 9 and every friday at 17", "'17' (word 9): said twice what is one; part rules by ;"),
        ("on monday at 9", "'on monday at 9' is ambiguous: every week, or once; say 'every monday at 9', or name the date"),
        ("every hour from 9 to 5", "'9 to 5' is ambiguous; say 'every hour from 09:00 to 17:00' or 'every hour from 09:00 to 05:00'"),
        ("every foo", "'foo' (word 2) cannot be read here; expected a weekday, a numbered day such as the 1st or the last friday, or a date"),
        ("every", "ends too soon; expected a weekday, a numbered day such as the 1st or the last friday, or a date"),
        ("banana", "'banana' (word 1) cannot be read here; expected every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"),
        ("every day at 25", "'25' (word 4) cannot be read here; expected a time of day such as 9:00, 5pm or noon"),
        ("every month on monday", "a weekday of a month is ambiguous; say every monday, or the first monday of every month"),
        ("every day until 24 december 2026 at 9", "the time after until is ambiguous; say every day at 9:00 until 24 december 2027, for instance"),
        ("every 0 days", "ends too soon; expected a unit such as minutes, days or months, or a weekday"),
        ("every day at 9:75", "'9:75' is no time of day; minutes and seconds run from 0 to 59"),
        ("every day at 13pm", "'13pm' is no time of day; hours run from 1 to 12 with am or pm"),
        ("every day at 9 EST", "'est' is ambiguous; name the zone by its place, such as America/New_York"),
        ("every day (Mars/Olympus)", "timezone: 'Mars/Olympus' is no IANA zone"),
        ("every day in Europe/Berlin (UTC)", "the zones Europe/Berlin and UTC exclude each other"),
        ("every 3 working days", "'working' (word 3) cannot be read here; expected a unit such as minutes, days or months, or a weekday"),
        ("every day from 9:00 to 17:00", "hours from one to another need a step, such as every hour or every 15 minutes, and no other times"),
        ("every hour at 9:00", "every hour and days or times; name its hours too, such as from 9:00 to 17:00"),
        ("every minute at :30", "a minute such as :30 belongs to hours, not to a minute"),
        ("every hour at :00 and :15:30", "these minutes and seconds are no single rule; name them in several, with ; between"),
        ("biannually", "'biannually' is ambiguous; say 'every 2 years' or 'twice a year'"),
        ("bimonthly", "'bimonthly' is ambiguous; say 'every 2 months' or 'twice a month'"),
        ("until", "ends too soon; expected a date such as 24 december 2026, 2026-12-24 or tomorrow"),
        ("every day until 31 june", "'31' (word 4) cannot be read here; expected a date such as 24 december 2026, 2026-12-24 or tomorrow; there is no 31 june"),
        ("this monday at 9", "'this' (word 1) cannot be read here; expected a day to come; monday of this week is past, the next is 2026-11-30"),
        ("next week", "'week' (word 2) cannot be read here; expected a weekday, or 'after tomorrow'"),
        ("on 30 february 2027 at 9", "'30' (word 2) cannot be read here; expected a date such as 24 december 2026, 2026-12-24 or tomorrow; there is no 30 february"),
        ("30 february", "'30' (word 1) cannot be read here; expected a date such as 24 december 2026, 2026-12-24 or tomorrow; there is no 30 february"),
        ("every day at 9 except banana", "'banana' (word 6) cannot be read here; expected months, weekdays, or dates with their year"),
        ("every day also on monday", "'monday' (word 5) cannot be read here; expected dates with their year"),
        ("every week on the 1st", "numbered days are those of a month or a year, not of a week"),
        ("every monday except mondays", "no weekday is left"),
        ("every day in june except june", "no month is left"),
        ("2026-02-30 at 9", "'2026-02-30' day is out of range for month"),
        ("every 9.5 hours", "'9.5' is ambiguous; write a date as 2027-04-03, a time as 9:30, 1.5 hours as 90 minutes"),
        ("45/45/2027", "'45/45/2027' is no date"),
        ("every day starting now starting now", "the start is named twice"),
        ("starting 1 june 2027", "nothing says how it recurs; say, for instance, every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"),
        ("tomorrow", "a day and its time belong together; say, for instance, tomorrow at 9:00"),
        ("at 9", "'at 9' names no day; say 'every day' or 'today' with it"),
        ("every day for days", "'days' (word 4) cannot be read here; expected a number of times, such as 10 times; a last day stands after until"),
        ("0 times every day", "0 times a day needs as many days and times; name them all, as in twice a day at 8:00 and 20:00"),
        ("every day at 8 twice a banana", "'banana' (word 7) cannot be read here; expected day, week, month or year"),
        ("every january", "'january' (word 2) cannot be read here; expected a weekday, a numbered day such as the 1st or the last friday, or a date"),
        ("in june", "nothing says how it recurs; say, for instance, every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"),
        ("in berlin", "'berlin' (word 2) cannot be read here; expected the zone in full: Europe/Berlin"),
        ("every night at 10", "'night' names no hour; say 'every day at 22:00', for instance"),
        ("every day at 9 starting in june", "'june' (word 7) cannot be read here; expected how long, such as 3 days"),
        ("in half a day", "'day' (word 4) cannot be read here; expected 'hour'"),
        ("in a while", "'while' (word 3) cannot be read here; expected seconds, minutes, hours, days, weeks, months or years"),
        ("in 9000 years", "years run from 1900 to 9999"),
        ("in banana", "'banana' (word 2) cannot be read here; expected a month, a zone such as Europe/Berlin, or how long from now, such as 90 minutes"),
        ("of banana", "'banana' (word 2) cannot be read here; expected month, quarter, year, or the name of a month"),
        ("in may 2027", "'2027' (word 3) cannot be read here; expected no year: months in a rule are those of every year; say from 1 june 2027 to 30 june 2027"),
        ("6th friday of the month", "'6th' (word 1) cannot be read here; expected first to fifth, or last, all in words or all in digits, before a weekday"),
        ("the 1st and last friday of month", "'1st' (word 1) cannot be read here; expected first to fifth, or last, all in words or all in digits, before a weekday"),
        ("last working banana", "'banana' (word 3) cannot be read here; expected 'day'"),
        ("every 2 quarters on the last day", "days of every second quarter are no rule in words; say every 6 months"),
        ("the 45th day of every quarter", "of a quarter only the first 28 and the last 28 such days can be named"),
        ("the first and last day of every quarter", "days at both ends of a quarter are no single rule; name them in several, with ; between"),
        ("first friday of the month except fridays", "numbered weekdays and excepted ones are no single rule; name the dates that are left out"),
        ("every hour from 22:00 to 6:00 on monday", "these hours end on another day; name the hours of each day"),
        ("every day at 9 and 9:30 and 10:17 for 10 times", "10 times cannot be counted over several rules; name times that share their minutes"),
        ("every 10 seconds from 9:00 to 10:00", "hours from one to another take steps from a minute to less than a day"),
        ("24 december every year on monday", "dates and other days are no single rule; name them in several, with ; between"),
        ("1st and 2nd and monday of every month", "days of the month and weekdays are no single rule; name them in several, with ; between"),
        ("x" * 1001, "longer than 1000 characters"),
        ("   ;", "nothing says how it recurs; say, for instance, every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"),
        ("every day; ", "nothing says how it recurs; say, for instance, every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"),
        ("every hour between 9", "ends too soon; expected 'to' and the end of the hours"),
        ("in 99999999999 hours", "'99999999999' (word 2) cannot be read here; expected a month, a zone such as Europe/Berlin, or how long from now, such as 90 minutes"),
        ("every friday at 9 starting friday", "'friday' is ambiguous; say 'every friday at 9 starting 27 november 2026' or 'every friday at 9 starting 4 december 2026'"),
    ],
)  # fmt: skip
def test_what_is_not_understood_or_can_be_read_in_two_ways_is_refused(text, expected):
    with pytest.raises(Invalid) as caught:
        parse(text, now=NOW)

    assert f"schedule: {expected}" == str(caught.value)
    assert "schedule" == caught.value.field


@pytest.mark.parametrize("text", ["every second tuesday until june 2027", "every third friday at 9", "next tuesday at noon", "biweekly at 9", "every hour from 9 to 5"])  # fmt: skip
def test_the_candidates_of_an_ambiguity_can_be_read(text):
    ambiguous = datetime(2026, 11, 23, tzinfo=UTC)
    with pytest.raises(Invalid) as caught:
        parse(text, now=ambiguous)
    one, other = re.findall(r"'([^']*)'", str(caught.value).split("; say ")[1])

    assert one != other
    if "twice" not in other:
        assert parse(one, now=ambiguous) != parse(other, now=ambiguous)


def test_relative_words_go_by_the_zone_they_are_said_in():
    late = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)

    assert datetime(2026, 11, 28, 9) == parse("tomorrow at 9", now=late).dtstart  # noqa: DTZ001 - wall time
    assert datetime(2026, 11, 29, 9) == parse("tomorrow at 9", now=late, timezone="Europe/Berlin").dtstart  # noqa: DTZ001 - wall time
    assert datetime(2026, 11, 29, 9) == parse("tomorrow at 9 in Europe/Berlin", now=late).dtstart  # noqa: DTZ001 - wall time


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_of_the_page_is_understood(text):
    parse(text, now=NOW)


WORDS = "every other second two 3 15 last 1st minute hours day week month quarter year mon friday weekdays weekend working june 24 2026 at on in of from to between until except but not also starting and ; for times once twice a noon 9am 17:00 :30 5m 2026-12-24 2026-12-24T09:00 tomorrow next this after daily biweekly utc (UTC) Europe/Berlin the , - half 0 99".split()  # noqa: SIM905 - a soup
SOUP = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


@settings(CALENDAR, max_examples=examples(200))
@given(text=SOUP | st.text(max_size=60))
@example(text="30 february 2027 at 9")
@example(text="every day at 9 until 29 february 2027")
@example(text="in 9999999999 weeks")
@example(text="in 9999999999 hours")
@example(text="2026-02-30 at 9")
@example(text="((((")
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(Invalid):
        assert parse(text, now=NOW).timezone


@settings(CALENDAR, max_examples=examples(60))
@given(
    recurrence=recurrences(rules(("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"))),
    days=st.integers(0, 700),
)
def test_what_is_told_in_words_is_read_back_as_the_same_set(recurrence, days):
    said = readable(recurrence)
    assume(said)
    again = parse(said, now=NOW, dst=recurrence.dst, subdaily=recurrence.subdaily)

    assert recurrence.timezone == again.timezone
    assert start(recurrence) == start(again)
    for since in (start(recurrence), start(recurrence) + timedelta(days=days)):
        one, other = (expand(each, since, since + timedelta(days=40), 200) for each in (recurrence, again))
        assert [instant.at for instant in one.instants] == [instant.at for instant in other.instants], said


@pytest.mark.parametrize(
    ("text", "now", "refused"),
    [
        ("in a month at 9", datetime(2027, 1, 31, tzinfo=UTC), "'on 28 february 2027 at 9' or 'on 1 march 2027 at 9'"),
        ("in 1 year", datetime(2028, 2, 29, tzinfo=UTC), "'on 28 february 2029' or 'on 1 march 2029'"),
    ],
)
def test_so_many_months_later_is_refused_where_that_month_lacks_the_day(text, now, refused):
    with pytest.raises(Invalid, match=refused):
        parse(text, now=now)
