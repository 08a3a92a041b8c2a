"""Recurrences that look for much and find little, or find too much at once: what must keep nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec

from qhronos.core.recurrence import Business, Dst, Fold, Recurrence, Roll, Subdaily, closed_days, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGINS = datetime(2016, 2, 29)  # noqa: DTZ001 - wall time


def listed(*span: int) -> str:
    return ",".join(map(str, range(*span)))


EVERY_SECOND = f"BYHOUR={listed(24)};BYMINUTE={listed(60)};BYSECOND={listed(60)}"
RULES = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
    "FREQ=DAILY;INTERVAL=1000000000",
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
    "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3",
    "FREQ=DAILY;BYHOUR=9;BYSETPOS=2",
    "FREQ=MINUTELY",
    "FREQ=SECONDLY",
    "FREQ=MINUTELY;INTERVAL=12;BYMINUTE=10,11,13",
    "FREQ=SECONDLY;INTERVAL=60;BYSECOND=30",
    "FREQ=SECONDLY;INTERVAL=7;BYMINUTE=59;BYSECOND=59",
    "FREQ=SECONDLY;BYSECOND=0;BYSETPOS=2",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=100000",
    "FREQ=SECONDLY;INTERVAL=7;BYSECOND=3;COUNT=100000",
    f"FREQ=DAILY;{EVERY_SECOND}",
    f"FREQ=YEARLY;BYMONTH={listed(1, 13)};BYMONTHDAY={listed(1, 32)};{EVERY_SECOND}",
    f"FREQ=YEARLY;{EVERY_SECOND};BYSETPOS={listed(1, 367)}",
    f"FREQ=YEARLY;BYYEARDAY={listed(1, 367)};BYSETPOS={listed(-366, 0)}",
    f"FREQ=HOURLY;BYMINUTE={listed(60)};BYSECOND={listed(60)};BYSETPOS=366",
    f"FREQ=MINUTELY;BYSECOND={listed(60)}",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=MINUTELY;BYDAY=FR;BYMONTHDAY=13;BYHOUR=13;BYMINUTE=13",
    "RSCALE=GREGORIAN;SKIP=FORWARD;FREQ=MONTHLY;BYMONTHDAY=31;BYDAY=MO;BYMONTH=2",
]
TEN = [f"FREQ=HOURLY;BYMINUTE={listed(60)};BYSECOND={listed(60)};INTERVAL={n}" for n in range(1, 11)]


def recurrences() -> Iterator[tuple[str, Recurrence]]:
    """Each with what it is."""
    for rule in RULES:
        for zone in ("UTC", "Australia/Lord_Howe", "Africa/Casablanca"):
            yield f"{rule[:60]} in {zone}", _parsed([rule], zone)
        wall = _parsed([rule], "America/New_York", dst=Dst(fold=Fold.BOTH), subdaily=Subdaily.WALL)
        yield f"{rule[:60]} on the clock face", wall
        plain = _parsed([rule], "Europe/Berlin")
        yield f"{rule[:60]} against itself", msgspec.structs.replace(plain, exrule=plain.rrule)
        yield f"{rule[:60]} on business days", msgspec.structs.replace(plain, business=_closed(Roll.SKIP))
    yield "ten rules of many seconds", _parsed(TEN, "Europe/Berlin")
    begins = [BEGINS + timedelta(hours=hours) for hours in range(1000)]
    dates = {"rdate": [one.isoformat() for one in begins], "exdate": [one.isoformat() for one in begins]}
    yield "a thousand dates taken away", _parsed(["FREQ=SECONDLY"], "Europe/Berlin", **dates)
    for roll in (Roll.NEAREST, Roll.MODIFIED_FOLLOWING):
        daily = _parsed(["FREQ=DAILY"], "Europe/Berlin")
        yield f"everything closed, {roll}", msgspec.structs.replace(daily, business=_closed(roll))


def _parsed(rules: list[str], zone: str, *, rdate: object = (), exdate: object = (), **said: object) -> Recurrence:
    schedule = {"rrule": rules, "rdate": list(rdate), "exdate": list(exdate)}
    return parse(schedule, now=NOW, start_time=BEGINS, timezone=zone, **said)


def _closed(roll: Roll) -> Business:
    days = closed_days(date(2016, 1, 1) + timedelta(days=n) for n in range(3653))
    return Business(calendars=("closed",), known_until=date(2026, 12, 31), roll=roll, closed=days)
