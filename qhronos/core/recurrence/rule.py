"""One RRULE: its parts, the strict grammar of its text, and the text printed back in canonical form."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct

from qhronos.core.recurrence import stamps

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MOST_COUNT = 100_000
MOST_INTERVAL = 1_000_000_000


class Freq(enum.IntEnum):
    """From the longest period to the shortest."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class Skip(enum.StrEnum):
    """What becomes of days that a month or year does not have, such as 31 June (RFC 7529)."""

    OMIT = "OMIT"
    BACKWARD = "BACKWARD"  # the last day before
    FORWARD = "FORWARD"  # the first day after


class Rule(Struct, frozen=True, kw_only=True):
    """Lists are sorted, negative values last, without duplicates; an empty one is a part that is not there."""

    freq: Freq
    interval: int = 1
    count: int | None = None
    until: date | None = None  # of any of the three kinds in `stamps`; inclusive
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()  # (nth, weekday): nth 0 is every one, weekday 0 is Monday
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0
    skip: Skip = Skip.OMIT


class Numbers(NamedTuple):
    """A part that is a list of numbers; the same name in JSON is the field of Rule."""

    field: str
    low: int
    high: int
    signed: bool  # may also count from the end


NUMBERS = {
    "BYMONTH": Numbers("by_month", 1, 12, signed=False),
    "BYWEEKNO": Numbers("by_week_no", 1, 53, signed=True),
    "BYYEARDAY": Numbers("by_year_day", 1, 366, signed=True),
    "BYMONTHDAY": Numbers("by_month_day", 1, 31, signed=True),
    "BYHOUR": Numbers("by_hour", 0, 23, signed=False),
    "BYMINUTE": Numbers("by_minute", 0, 59, signed=False),
    "BYSECOND": Numbers("by_second", 0, 60, signed=False),  # 60 is read as 59, as the RFC has it
    "BYSETPOS": Numbers("by_set_pos", 1, 366, signed=True),
}

# Part → field, in the order in which a rule is printed.
FIELDS = {
    "FREQ": "freq",
    "INTERVAL": "interval",
    "COUNT": "count",
    "UNTIL": "until",
    "BYMONTH": "by_month",
    "BYWEEKNO": "by_week_no",
    "BYYEARDAY": "by_year_day",
    "BYMONTHDAY": "by_month_day",
    "BYDAY": "by_day",
    "BYHOUR": "by_hour",
    "BYMINUTE": "by_minute",
    "BYSECOND": "by_second",
    "BYSETPOS": "by_set_pos",
    "WKST": "week_start",
    "SKIP": "skip",
}
RSCALE = "RSCALE"  # says which calendar SKIP is of; there is one
BY_PARTS = tuple(part for part in FIELDS if part.startswith("BY"))


class Fault(Exception):
    """A part that cannot be. Whoever knows where the rule came from turns it into Invalid."""

    def __init__(self, part: str, value: str, why: str) -> None:
        super().__init__(f"{part}={value}: {why}")
        self.part = part
        self.value = value
        self.why = why


@lru_cache(maxsize=1024)
def from_text(text: str) -> Rule:
    """`FREQ=DAILY;INTERVAL=2`, in any case, blanks around separators and one `;` at the end allowed."""
    parts: dict[str, list[str]] = {}
    for piece in text.strip().removesuffix(";").split(";"):
        name, equals, value = (word.strip().upper() for word in piece.partition("="))
        if not equals or not value:
            raise Fault(name, value, "a part is NAME=value")
        if name not in FIELDS and name != RSCALE:
            raise Fault(name, value, f"no such part; there are {', '.join(FIELDS)}")
        if name in parts:
            raise Fault(name, value, "given twice")
        parts[name] = [word.strip() for word in value.split(",")]
    scale = _single(RSCALE, parts)
    if scale is None and "SKIP" in parts:
        raise Fault("SKIP", ",".join(parts["SKIP"]), f"needs {RSCALE}=GREGORIAN beside it (RFC 7529 §4.1)")
    if scale not in (None, "GREGORIAN"):
        raise Fault(RSCALE, scale, "only GREGORIAN is known")
    return from_parts(parts)


def from_parts(parts: Mapping[str, Sequence[str]]) -> Rule:
    """From the values of each part, as texts."""
    numbers = {kind.field: _numbers(part, kind, parts[part]) for part, kind in NUMBERS.items() if part in parts}
    until = _single("UNTIL", parts)
    rule = Rule(
        freq=_freq(_single("FREQ", parts)),
        interval=_whole("INTERVAL", _single("INTERVAL", parts) or "1", 1, MOST_INTERVAL),
        count=None if (count := _single("COUNT", parts)) is None else _whole("COUNT", count, 1, MOST_COUNT),
        until=None if until is None else _until(until),
        by_day=_by_day(parts.get("BYDAY", ())),
        week_start=_weekday("WKST", _single("WKST", parts) or "MO"),
        skip=_skip(_single("SKIP", parts) or Skip.OMIT),
        **numbers,
    )
    _refuse_what_the_rfc_forbids(rule)
    return rule if makes_days(rule) else msgspec.structs.replace(rule, skip=Skip.OMIT)


def makes_days(rule: Rule) -> bool:
    """Whether the rule could name a day that a month or year does not have: elsewhere parts only choose among days."""
    by_name = rule.by_month_day or rule.by_year_day or not rule.by_day
    return rule.freq in {Freq.YEARLY, Freq.MONTHLY} and not rule.by_week_no and bool(by_name)


def _single(part: str, parts: Mapping[str, Sequence[str]]) -> str | None:
    values = parts.get(part)
    if values is None:
        return None
    if len(values) != 1:
        raise Fault(part, ",".join(values), "takes one value")
    return values[0]


def _freq(text: str | None) -> Freq:
    if text is None:
        raise Fault("FREQ", "", f"is missing; it is one of {', '.join(Freq.__members__)}")
    if text not in Freq.__members__:
        raise Fault("FREQ", text, f"must be one of {', '.join(Freq.__members__)}")
    return Freq[text]


def _whole(part: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,9}|1000000000", text) or not low <= int(text) <= high:
        raise Fault(part, text, f"must be {low}..{high}")
    return int(text)


def _numbers(part: str, kind: Numbers, texts: Sequence[str]) -> tuple[int, ...]:
    return _in_order(_number(part, kind, text) for text in texts)


def _number(part: str, kind: Numbers, text: str) -> int:
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None
    if value is not None and kind.low <= (abs(value) if kind.signed else value) <= kind.high:
        return value
    back = f" or -{kind.high}..-{kind.low}" if kind.signed else ""
    raise Fault(part, text, f"must be {kind.low}..{kind.high}{back}")


def _by_day(texts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    days = set()
    for text in texts:
        found = re.fullmatch(r"([+-]?[0-9]{1,2})?([A-Z]{2})", text)
        if not found or found[2] not in WEEKDAYS or not (found[1] is None or 1 <= abs(int(found[1])) <= 53):
            raise Fault("BYDAY", text, "must be one of MO..SU, alone or after 1..53 or -53..-1")
        days.add((int(found[1] or 0), WEEKDAYS.index(found[2])))
    return tuple(sorted(days, key=lambda day: (day[0] < 0, day)))


def _weekday(part: str, text: str) -> int:
    if text not in WEEKDAYS:
        raise Fault(part, text, f"must be one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _skip(text: str) -> Skip:
    if text not in Skip.__members__:
        raise Fault("SKIP", text, f"must be one of {', '.join(Skip)}")
    return Skip(text)


def _until(text: str) -> date:
    try:
        # Calendars are about that write two of them; no other reading is possible.
        until = stamps.read(text.replace("ZZ", "Z"))
    except ValueError as error:
        raise Fault("UNTIL", text, str(error)) from error
    return until.replace(microsecond=0) if isinstance(until, datetime) else until


def _in_order(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(values), key=lambda value: (value < 0, value)))


def _refuse_what_the_rfc_forbids(rule: Rule) -> None:
    """RFC 5545 §3.3.10. What it allows is honoured in every frequency."""
    if rule.count is not None and rule.until is not None:
        raise _forbidden(rule, "UNTIL", "COUNT and UNTIL exclude each other")
    if rule.by_week_no and rule.freq is not Freq.YEARLY:
        raise _forbidden(rule, "BYWEEKNO", "only FREQ=YEARLY may have it")
    if rule.by_year_day and rule.freq in {Freq.MONTHLY, Freq.WEEKLY, Freq.DAILY}:
        raise _forbidden(rule, "BYYEARDAY", f"FREQ={rule.freq.name} may not have it")
    if rule.by_month_day and rule.freq is Freq.WEEKLY:
        raise _forbidden(rule, "BYMONTHDAY", "FREQ=WEEKLY may not have it")
    if any(nth for nth, _ in rule.by_day) and (rule.freq > Freq.MONTHLY or rule.by_week_no):
        raise _forbidden(rule, "BYDAY", "only FREQ=MONTHLY and FREQ=YEARLY (without BYWEEKNO) may number weekdays")
    if rule.by_set_pos and not any(getattr(rule, FIELDS[part]) for part in BY_PARTS if part != "BYSETPOS"):
        raise _forbidden(rule, "BYSETPOS", "needs another BY part to choose from")


def _forbidden(rule: Rule, part: str, why: str) -> Fault:
    return Fault(part, shown(rule, part), f"{why} (RFC 5545 §3.3.10)")


SAYS_NOTHING = {("INTERVAL", 1), ("WKST", 0), ("SKIP", Skip.OMIT)}


def shown(rule: Rule, part: str) -> str:
    """The value of a part as text; empty if it is not there or says nothing."""
    value = getattr(rule, FIELDS[part])
    if part == "FREQ":
        return rule.freq.name
    if value is None or (part, value) in SAYS_NOTHING:
        return ""
    if part == "WKST":
        return WEEKDAYS[value]
    if part == "BYDAY":
        return ",".join(f"{nth or ''}{WEEKDAYS[weekday]}" for nth, weekday in value)
    if isinstance(value, date):
        return stamps.basic(value)
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@lru_cache(maxsize=512)
def to_text(rule: Rule) -> str:
    """The canonical text: `from_text(to_text(rule)) == rule`, and equal rules have equal texts."""
    scale = () if rule.skip is Skip.OMIT else (f"{RSCALE}=GREGORIAN",)
    return ";".join((*scale, *(f"{part}={text}" for part in FIELDS if (text := shown(rule, part)))))
