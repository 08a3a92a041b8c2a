"""The words that mean something by themselves, and what they mean."""

from __future__ import annotations

from datetime import date, time
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from qhronos.errors import Invalid

FIELD = "schedule"
FORMS = (
    "every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"
)
AMBIGUOUS_ZONES = frozenset("est edt cst cdt mst mdt pst pdt hst bst cet cest eet eest ist jst".split())  # noqa: SIM905 - a list of words

UnitName: TypeAlias = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]


class Number(NamedTuple):
    number: int


class Ordinal(NamedTuple):
    """1 is the first, -1 the last. In words or in digits: `1st` may be a day of the month, `first` alone is not."""

    number: int
    in_words: bool


class Weekday(NamedTuple):
    number: int
    plural: bool


class Month(NamedTuple):
    number: int


class Unit(NamedTuple):
    name: UnitName


class Length(NamedTuple):
    """`1h30m`"""

    seconds: int


class Minute(NamedTuple):
    """`:30`, of any hour"""

    minute: int
    second: int


Value: TypeAlias = str | Number | Ordinal | Weekday | Month | Unit | Length | Minute | time | date


WEEKDAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTH_NAMES = "january february march april may june july august september october november december".split()  # noqa: SIM905 - a list of words
UNIT_NAMES: tuple[UnitName, ...] = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
NUMBER_NAMES = "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - a list of words
ORDINAL_NAMES = "first second third fourth fifth sixth seventh eighth ninth tenth".split()  # noqa: SIM905 - a list of words
SHORT_UNITS: dict[str, UnitName] = {
    "s": "second",
    "sec": "second",
    "secs": "second",
    "m": "minute",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "d": "day",
    "w": "week",
}
SECONDS: dict[UnitName, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
MEANT = {
    "each": "every",
    "till": "until",
    "through": "to",
    "thru": "to",
    "excluding": "except",
    "beginning": "starting",
    "start": "starting",
    "workday": "weekday",
    "workdays": "weekdays",
    "business": "working",
    "annually": "yearly",
    "occurrence": "time",
    "occurrences": "times",
    "z": "utc",
    "gmt": "utc",
    "-": "to",
    "–": "to",
    "—": "to",
    "&": "and",
}
# They name no hour; and what would be clear instead.
VAGUE = {
    "morning": "every day at 8:00",
    "mornings": "every day at 8:00",
    "afternoon": "every day at 15:00",
    "evening": "every day at 20:00",
    "evenings": "every day at 20:00",
    "night": "every day at 22:00",
    "nights": "every day at 22:00",
    "nightly": "every day at 22:00",
    "tonight": "today at 20:00",
}


@cache
def vocabulary() -> dict[str, Value]:
    words: dict[str, Value] = {"noon": time(12), "midday": time(12), "midnight": time(0)}
    words |= {"last": Ordinal(-1, in_words=True), "penultimate": Ordinal(-2, in_words=True)}
    for number, name in enumerate(WEEKDAY_NAMES):
        spellings = (name, name[:3], name[:4] if number in {1, 3} else name, "thur" if number == 3 else name)
        for spelling in spellings:
            words |= {spelling: Weekday(number, plural=False), f"{spelling}s": Weekday(number, plural=True)}
    for number, name in enumerate(MONTH_NAMES, 1):
        words |= dict.fromkeys((name, name[:3], "sept" if number == 9 else name), Month(number))
    for unit in UNIT_NAMES:
        words |= {unit: Unit(unit), f"{unit}s": Unit(unit)}
    words |= {name: Unit(unit) for name, unit in SHORT_UNITS.items()}
    words |= {name: Number(number) for number, name in enumerate(NUMBER_NAMES, 1)}
    words |= {name: Ordinal(number, in_words=True) for number, name in enumerate(ORDINAL_NAMES, 1) if number != 2}
    return words


def refusal(message: str) -> Invalid:
    return Invalid(f"schedule: {message}", field=FIELD)
