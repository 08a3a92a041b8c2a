"""Cron: five fields, or six with seconds first, as rules.

    minute hour day-of-month month day-of-week      `*/5 9-17 * * MON-FRI`

Where the crons of this world differ it is decided so:
- Where every hour is named, the rule steps in real time and asks the clock for minutes and seconds: every real hour
  fires, both passes of a fold, and nothing is doubled or lost. Where hours are restricted (`*/2` does so, too) they are
  wall time, looked up in the zone as any rule's: by default 02:30 fires at 03:30 in a gap, and 01:30 once in a fold.
- Day of month and day of week: a day needs both if one of the fields begins with `*` or `?`, else either (Vixie).
- A range may wrap around: `FRI-MON`, `22-2`. `5/15` is from 5 to the end of the field. 0 and 7 are Sunday, and the week
  ends with Saturday. A step that is wider than its field would not do what it says, and is refused.
- `15W` is the working day nearest to the 15th within its month; a month without such a day has none.
- `L`, `W` and `#` in one of the fields for days go with a plain `*` or with dates in the other, not with `*/2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from qhronos.core.recurrence import intervals
from qhronos.core.recurrence.crondays import Days, nearest_working_day, restricted
from qhronos.core.recurrence.rule import Freq, Rule
from qhronos.core.recurrence.said import MOST, Said
from qhronos.core.recurrence.zones import zone
from qhronos.errors import Invalid

FIELD = "schedule"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
ZONED = re.compile(r"(?:CRON_)?TZ=(\S*)\s*(.*)", re.DOTALL)
CRONLIKE = re.compile(rf"(?:[\d*?/,#LW-]|{'|'.join(MONTHS + WEEKDAYS)})+", re.IGNORECASE)


class Kind(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of the lowest and those that follow


KINDS = (
    Kind("second", 0, 59),
    Kind("minute", 0, 59),
    Kind("hour", 0, 23),
    Kind("day of month", 1, 31),
    Kind("month", 1, 12, MONTHS),
    Kind("day of week", 0, 6, WEEKDAYS),
)


class Entry(NamedTuple):
    """One field as it stands."""

    kind: Kind
    number: int
    text: str

    @property
    def is_star(self) -> bool:
        return self.text[0] in "*?"

    def fault(self, item: str, why: str) -> Invalid:
        return Invalid(f"cron: field {self.number} ({self.kind.name}) {item[:64] or 'empty'}: {why}", field=FIELD)


def is_meant(text: str) -> bool:
    """Whether the text can only be cron, right or wrong; words and RRULE text are not."""
    text = text.strip()
    if text.startswith("@") or ZONED.match(text):
        return True
    fields = text.split()
    if len(fields) < 4 or len(text.splitlines()) > 1 or "=" in text:
        return False
    numeric = all(field[0].isdigit() or field[0] in "*?" for field in fields[:2])
    return numeric and (any(field[0] == "*" for field in fields) or all(map(CRONLIKE.fullmatch, fields)))


def read(text: str) -> Said:
    """Rules that together give what cron would; Invalid points at the field."""
    text, timezone = text.strip(), None
    if zoned := ZONED.match(text):
        timezone, text = zone(zoned[1]).key, zoned[2].strip()
    rules = _nickname(text) if text.startswith("@") else _rules(text)
    if len(rules) > MOST["rrule"]:
        raise Invalid(f"cron: takes {len(rules)} rules; at most {MOST['rrule']}, divide it", field=FIELD)
    return Said(rules, timezone=timezone)


def _nickname(text: str) -> tuple[Rule, ...]:
    name, _, rest = text.partition(" ")
    if name == "@every":
        return (intervals.read(rest, FIELD),)
    if name == "@reboot":
        raise Invalid("cron: @reboot: nothing boots here; give a time", field=FIELD)
    if name not in NICKNAMES or rest:
        raise Invalid(f"cron: {text[:64]}: not known; there are {', '.join(NICKNAMES)} and @every 5m", field=FIELD)
    return _rules(NICKNAMES[name])


def _rules(text: str) -> tuple[Rule, ...]:
    fields = text.upper().split()
    if len(fields) not in {5, 6}:
        why = "there are minute, hour, day of month, month, day of week, and seconds may come before them"
        raise Invalid(f"cron: {len(fields)} fields; {why}{'; years are not taken' * (len(fields) == 7)}", field=FIELD)
    missing = 6 - len(fields)
    entries = [
        Entry(kind, number, field)
        for number, (kind, field) in enumerate(zip(KINDS[missing:], fields, strict=True), start=1)
    ]
    seconds = [0] if missing else _values(entries[0])
    minutes, hours, months = _values(entries[-5]), _values(entries[-4]), _values(entries[-2])
    days = _days(entries[-3], entries[-1])
    if 2 in months and "29W" in entries[-3].text.split(","):
        raise entries[-3].fault("29W", "February has it in leap years only; name the other months, or write 28W or LW")
    if len(hours) == 24:
        split = [part for day in days for part in day.unnumbered()]
        return tuple(_elapsed(day, seconds, minutes) for day in restricted(split, months))
    time = {"by_hour": tuple(hours), "by_minute": tuple(minutes), "by_second": tuple(seconds)}
    return tuple(day.rule(day.freq(), **time) for day in restricted(days, months))


def _elapsed(days: Days, seconds: list[int], minutes: list[int]) -> Rule:
    if len(minutes) < 60:
        return days.rule(Freq.HOURLY, by_minute=tuple(minutes), by_second=tuple(seconds))
    if len(seconds) < 60:
        return days.rule(Freq.MINUTELY, by_second=tuple(seconds))
    return days.rule(Freq.SECONDLY)


def _days(month_day: Entry, weekday: Entry) -> list[Days]:
    """Any of which a day must fit."""
    if not month_day.is_star and not weekday.is_star:
        return [*_days_of_month(month_day), *_days_of_week(weekday)]
    if not _is_special(month_day) and not _is_special(weekday):
        days, weekdays = _values(month_day), _values(weekday)
        numbered = frozenset((0, (day - 1) % 7) for day in weekdays)
        return [
            Days(frozenset(days) if len(days) < 31 else frozenset(), numbered if len(weekdays) < 7 else frozenset())
        ]
    plain, special = (month_day, weekday) if month_day.is_star else (weekday, month_day)
    if len(_values(plain)) < plain.kind.high - plain.kind.low + 1:
        raise special.fault(special.text, f"L, W and # need * as {plain.kind.name}, not {plain.text}")
    return [*(_days_of_week if special is weekday else _days_of_month)(special)]


def _is_special(entry: Entry) -> bool:
    pattern = r"(^|,)L|W" if entry.kind.name == "day of month" else r"L(,|$)|#"
    return re.search(pattern, entry.text) is not None


def _days_of_month(entry: Entry) -> Iterator[Days]:
    for item in entry.text.split(","):
        if item == "LW":
            yield from nearest_working_day(-1)
        elif found := re.fullmatch(r"([0-9]{1,9})W", item):
            yield from nearest_working_day(_number(entry, item, found[1]))
        elif found := re.fullmatch(r"L(?:-([0-9]{1,9}))?", item):
            if not 0 <= (back := int(found[1] or 0)) <= 30:
                raise entry.fault(item, "must be L, or L-1..L-30")
            yield Days(frozenset({-1 - back}))
        else:
            yield Days(frozenset(_of_item(entry, item)))


def _days_of_week(entry: Entry) -> Iterator[Days]:
    for item in entry.text.split(","):
        if item == "L":
            raise entry.fault(item, "the last of which day? write SAT, or SATL for the last Saturday of the month")
        if found := re.fullmatch(r"(\w+)L", item):
            yield Days(by_day=frozenset({(-1, (_number(entry, item, found[1]) - 1) % 7)}))
        elif found := re.fullmatch(r"(\w+)#([0-9]{1,9})", item):
            if not 1 <= int(found[2]) <= 5:
                raise entry.fault(item, "after # must be 1..5")
            yield Days(by_day=frozenset({(int(found[2]), (_number(entry, item, found[1]) - 1) % 7)}))
        else:
            yield Days(by_day=frozenset((0, (day - 1) % 7) for day in _of_item(entry, item)))


def _values(entry: Entry) -> list[int]:
    return sorted({value for item in entry.text.split(",") for value in _of_item(entry, item)})


def _of_item(entry: Entry, item: str) -> Iterable[int]:
    """`*`, `?`, `5`, `5-9`, each of them with or without `/2`."""
    kind = entry.kind
    span, slash, step = item.partition("/")
    if not slash:
        width = 1
    elif re.fullmatch(r"[0-9]{1,9}", step) and 1 <= int(step) <= kind.high:
        width = int(step)
    else:
        longer = "; a longer interval is @every 90m" if kind.name in {"second", "minute", "hour"} else ""
        raise entry.fault(item, f"a step must be 1..{kind.high}{longer}")
    if span == "*" or (item == "?" and kind.name.startswith("day")):
        return range(kind.low, kind.high + 1, width)
    low, dash, high = span.partition("-")
    first = _number(entry, item, low)
    last = _number(entry, item, high) if dash else (kind.high if slash else first)
    around = kind.high - kind.low + 1
    reach = last if last >= first else last + around
    return [(value - kind.low) % around + kind.low for value in range(first, reach + 1, width)]


def _number(entry: Entry, item: str, text: str) -> int:
    kind = entry.kind
    if text in kind.names:
        return kind.low + kind.names.index(text)
    sunday = kind.names is WEEKDAYS
    if re.fullmatch(r"[0-9]{1,9}", text) and kind.low <= int(text) <= kind.high + sunday:
        return int(text) % 7 if sunday else int(text)
    names = f" or {kind.names[0]}..{kind.names[-1]}" if kind.names else ""
    raise entry.fault(item, f"must be {kind.low}..{kind.high + sunday}{names}")
