"""Agreement with python-dateutil, on random rules in zones of all characters: `make agreement` compares 20,000 in 40 zones.
Only what is looked at counts: a rule of which both gave something, in a zone in which something of it could be compared.

dateutil makes the wall times, and zoneinfo what each means; what the two say together is compared with what the engine
gives. A rule that differs fails: nothing is excused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import chain, islice
from random import Random
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from qhronos.core.recurrence import Dst, Fold, Gap, Subdaily, expand, parse, zone
from qhronos.core.recurrence.rule import WEEKDAYS
from qhronos.errors import Invalid

RULES = int(os.environ.get("QHRONOS_TEST_RULES", "100"))
SEED = int(os.environ.get("QHRONOS_TEST_SEED", "0"))
MOST = 40  # wall times of a rule
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Pyongyang",
    "Antarctica/Troll",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Kiritimati",
    "Pacific/Norfolk",
    "Pacific/Pago_Pago",
    "America/Asuncion",
    "America/Caracas",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
]
# How far dateutil is let run: it looks at every single step of what it searches.
SPANS = {"SECONDLY": 1, "MINUTELY": 8, "HOURLY": 200, "DAILY": 2000, "WEEKLY": 4000, "MONTHLY": 8000, "YEARLY": 14_000}
PARTS = {
    "BYMONTH": (1, 12, False),
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
}
FORBIDDEN = {
    "BYWEEKNO": {"MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"},
    "BYYEARDAY": {"MONTHLY", "WEEKLY", "DAILY"},
    "BYMONTHDAY": {"WEEKLY"},
}

Parts = dict[str, str]


def a_rule(random: Random) -> Parts:
    freq = random.choice(list(SPANS))
    parts = {"FREQ": freq}
    if random.random() < 0.5:
        parts["INTERVAL"] = str(random.choice([2, 3, 4, 5, 7, 11, 13, 26, 90]))
    allowed = [part for part in PARTS if freq not in FORBIDDEN.get(part, ())]
    for part in random.sample(allowed, random.choice([0, 0, 1, 1, 2, 3])):
        low, high, signed = PARTS[part]
        sign = -1 if signed and random.random() < 0.3 else 1
        parts[part] = ",".join(
            str(sign * random.randint(max(low, 1 if sign < 0 else low), high)) for _ in range(random.randint(1, 4))
        )
    if random.random() < 0.5:
        numbered = freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in parts
        nth = ["", "", "1", "2", "3", "-1", "-2", "5"] if numbered else [""]
        parts["BYDAY"] = ",".join(random.choice(nth) + random.choice(WEEKDAYS) for _ in range(random.randint(1, 4)))
    if any(part.startswith("BY") for part in parts) and random.random() < 0.2:
        parts["BYSETPOS"] = random.choice(["1", "-1", "1,-1", "2", "-3,4"])
    parts["WKST"] = random.choice(WEEKDAYS)
    return parts


def text_of(parts: Parts) -> str:
    return ";".join(f"{part}={value}" for part, value in parts.items())


def walls_of(parts: Parts, begins: datetime) -> list[datetime] | None:
    """What dateutil gives; None, if it is not asked: it would search until the year 9999, or far too long for the next."""
    if parts["FREQ"] == "SECONDLY" and {"BYHOUR", "BYMINUTE"} & set(parts):
        return None
    recurrence = parse({"rrule": [text_of(parts)]}, now=NOW, start_time=begins, subdaily=Subdaily.WALL)
    since = begins.replace(tzinfo=UTC)
    there = len(expand(recurrence, since, since + SPANS[parts["FREQ"]] * DAY, MOST + 1).instants)
    # Of a rule that gives nothing dateutil asks every day until the year 9999, whatever its UNTIL; of weeks, again and again.
    if not there and (parts["FREQ"] not in ("YEARLY", "MONTHLY") or "BYWEEKNO" in parts):
        return None
    return list(islice(by_dateutil(parts, begins), there or 1))


def by_dateutil(parts: Parts, begins: datetime) -> Iterator[datetime]:
    """Where dateutil is known to be wrong, or RFC 5545 open and decided otherwise, it is asked in words that it gets right."""
    told = dict(parts)
    own_month = {"BYMONTHDAY", "BYMONTH", "BYDAY", "BYYEARDAY", "BYWEEKNO"} & set(parts) == {"BYMONTHDAY"}
    if parts["FREQ"] == "YEARLY" and own_month:
        told["BYMONTH"] = str(begins.month)  # BYMONTHDAY alone is of the month of DTSTART; dateutil takes every month
    if len({len(day) > 2 for day in parts.get("BYDAY", "").split(",")}) > 1:
        last = 52 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 4  # and past the end it breaks
        every = [*range(1, last + 1), -1]
        days = [[day] if len(day) > 2 else [f"{n}{day}" for n in every] for day in parts["BYDAY"].split(",")]
        told["BYDAY"] = ",".join(chain.from_iterable(days))  # it overlooks `MO` beside `1TU`
    if "BYWEEKNO" in parts:
        return of_week_years(told, begins)
    if parts["FREQ"] == "WEEKLY" and "BYSETPOS" in parts:
        return of_whole_weeks(told, begins)
    return iter(rrulestr(text_of(told), dtstart=begins))


def of_whole_weeks(told: Parts, begins: datetime) -> Iterator[datetime]:
    """BYSETPOS chooses from the whole first week; dateutil from what DTSTART leaves of it."""
    monday = (begins - WEEKDAYS.index(told["WKST"]) * DAY).weekday()
    told = {"BYDAY": WEEKDAYS[begins.weekday()]} | times_of(begins) | told
    walls = rrulestr(text_of(told), dtstart=datetime.combine(begins - monday * DAY, time.min))
    return (wall for wall in walls if wall >= begins)


def of_week_years(told: Parts, begins: datetime) -> Iterator[datetime]:
    """BYWEEKNO alone means the weekday of DTSTART, and INTERVAL and BYSETPOS count and choose from the years of its weeks;
    dateutil takes all seven days, and calendar years, and miscounts from their end. So it is asked for every day, a year of
    weeks at a time, and the weeks are counted here."""
    days = {} if {"BYDAY", "BYMONTHDAY", "BYYEARDAY"} & set(told) else {"BYDAY": WEEKDAYS[begins.weekday()]}
    daily = days | times_of(begins) | told | {"FREQ": "DAILY", "INTERVAL": "1"}
    weeks, positions = (
        [int(number) for number in daily.pop(part, "").split(",") if number] for part in ("BYWEEKNO", "BYSETPOS")
    )
    week_start = WEEKDAYS.index(told["WKST"])
    for year in range(begins.year, min(begins.year + 400, 9998), int(told.get("INTERVAL", "1"))):
        first, end = (first_week(near, week_start) for near in (year, year + 1))
        wanted = {week if week > 0 else (end - first).days // 7 + week + 1 for week in weeks}
        every = rrulestr(f"{text_of(daily)};UNTIL={end - timedelta(seconds=1):%Y%m%dT%H%M%S}", dtstart=first)
        there = [wall for wall in every if (wall - first).days // 7 + 1 in wanted]
        chosen = {n - 1 if n > 0 else len(there) + n for n in positions} if positions else range(len(there))
        yield from (there[n] for n in sorted(chosen) if 0 <= n < len(there) and there[n] >= begins)


def first_week(year: int, week_start: int) -> datetime:
    """The first week has four days in its year."""
    fourth = datetime(year, 1, 4)  # noqa: DTZ001 - wall time
    return fourth - (fourth.weekday() - week_start) % 7 * DAY


def times_of(begins: datetime) -> Parts:
    return {"BYHOUR": str(begins.hour), "BYMINUTE": str(begins.minute), "BYSECOND": str(begins.second)}


def meant(walls: Iterable[datetime], zone: ZoneInfo, dst: Dst) -> Iterator[datetime]:
    """The instants of wall times, as docs/reference/recurrence.md has it, and zoneinfo."""
    for wall in walls:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first > second:  # the clock jumps over it
            yield from [first] if dst.gap is Gap.SHIFT else []
        else:
            yield from {Fold.FIRST: {first}, Fold.SECOND: {second}, Fold.BOTH: {first, second}}[dst.fold]


def is_plain(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).utcoffset() == wall.replace(tzinfo=zone, fold=1).utcoffset()


def differs(random: Random, parts: Parts, begins: datetime, walls: list[datetime], name: str) -> tuple[int, str | None]:
    """How many instants were compared in a zone, and what the engine gives otherwise, if anything."""
    there = zone(name)
    if not is_plain(begins, there):
        return 0, None  # DTSTART is an instant then, and no matter of wall time
    dst = Dst(gap=random.choice(list(Gap)), fold=random.choice(list(Fold)))
    text = text_of(parts)
    expected = sorted(set(meant(walls[:MOST], there, dst)))
    count = random.choice([None, None, random.randint(1, MOST)]) if len(walls) > MOST else None
    last = walls[-1]
    if count is not None and count < len(expected) - 3:  # the last ones may be reordered by a clock change
        text, expected = f"{text};COUNT={count}", expected[:count]
    until = min(meant([last], there, Dst())) - timedelta(hours=3)
    expected = [at for at in expected if at < until]
    try:
        recurrence = parse(
            {"rrule": [text]}, now=NOW, start_time=begins, timezone=name, dst=dst, subdaily=Subdaily.WALL
        )
    except Invalid as refusal:
        return len(expected), f"refused: {refusal}"
    since = begins.replace(tzinfo=there).astimezone(UTC)
    found: list[datetime] = []
    while since < until:
        part = expand(recurrence, since, until, 1000)
        found += [one.at for one in part.instants]
        since = until if part.complete else part.covered
    told = f"{text} from {begins} in {name}, {dst}: {sorted({*found} ^ {*expected})[:4]}"
    return len(expected), None if found == expected else told


def test_random_rules_are_what_dateutil_and_zoneinfo_make_of_them():
    random = Random(SEED)  # noqa: S311 - the same rules for the same seed
    rules = drawn = compared = instants = 0
    wrong: list[str] = []
    while rules < RULES:
        drawn += 1
        parts = a_rule(random)
        begins = datetime(1975, 1, 1) + timedelta(seconds=random.randrange(55 * 365 * 86_400))  # noqa: DTZ001 - wall time
        try:
            walls = walls_of(parts, begins)
        except (ValueError, Invalid):
            continue  # either may take exception to what gives nothing
        told = [differs(random, parts, begins, walls, name) for name in ZONES] if walls else []
        looked = sum(count > 0 for count, _ in told)
        rules, compared = rules + bool(looked), compared + looked
        instants += sum(count for count, _ in told)
        wrong += [fault for _, fault in told if fault][:1]
    sys.stderr.write(f"\nseed {SEED}: {rules} rules of {drawn} drawn, {compared} comparisons of {instants} instants\n")
    assert not wrong, "\n".join(wrong[:20])
    assert compared > RULES * len(ZONES) * 0.9
