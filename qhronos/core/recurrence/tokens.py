"""Plain words, cut into tokens that mean something by themselves; and the place where reading them stands."""

from __future__ import annotations

import re
from datetime import date, time
from functools import cache
from typing import Literal, NamedTuple, NoReturn, TypeAlias, TypeVar

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.zones import timezones, zone
from qhronos.errors import Invalid

FIELD = "schedule"
MOST_CHARACTERS = 1000
FORMS = (
    "every 15 minutes, every weekday at 9:00, the last friday of every month at 17:00, tomorrow at 9:00 or in 2 hours"
)
AMBIGUOUS_ZONES = frozenset("est edt cst cdt mst mdt pst pdt hst bst cet cest eet eest ist jst".split())  # noqa: SIM905 - a list of words

UnitName: TypeAlias = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
T = TypeVar("T")


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


class Token(NamedTuple):
    value: Value
    begin: int  # in the text
    end: int


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
LAST = Ordinal(-1, in_words=True)
LENGTHS = re.compile(r"(\d+)([smhdw])")


@cache
def _vocabulary() -> dict[str, Value]:
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


TOKEN = re.compile(
    r"""
      (?P<skip>\s+|,|\(if\ there\ is\ one\)|o'clock\b)
    | \((?P<aside>[^()]*)\)
    | (?P<iso>\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z\b|[+-]\d\d:\d\d)?)?)(?![\d:])
    | (?P<numeric>\d+[./]\d+(?:[./]\d+)?|\d{1,2}-\d{1,2}-\d{2,4})(?!\w)
    | (?P<time>\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:\s*[ap]\.?m\b\.?)?|\d{1,2}\s*[ap]\.?m\b\.?)(?!\w)
    | (?P<minute>:\d\d(?::\d\d)?)(?![\w:])
    | (?P<length>(?:\d{1,9}[smhdw])+)(?!\w)
    | (?P<ordinal>\d{1,3}(?:st|nd|rd|th))(?!\w)
    | (?P<number>\d{1,10})(?!\w)
    | (?P<zone>[a-z_]+(?:/[a-z0-9_+-]+)+)
    | (?P<word>[a-z]+|[-–—&;])
    | (?P<unknown>\S+)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def refusal(message: str) -> Invalid:
    return Invalid(f"schedule: {message}", field=FIELD)


class Tokens:
    """What is yet to be read. The zone stands apart: wherever it is named, it is that of all."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise refusal(f"longer than {MOST_CHARACTERS} characters")
        self.text = text
        self.timezone, self._tokens = _cut(text)
        self.place = 0

    def is_done(self) -> bool:
        return self.place == len(self._tokens)

    def peek(self, ahead: int = 0) -> Value:
        """An empty word behind the end."""
        index = self.place + ahead
        return self._tokens[index].value if index < len(self._tokens) else ""

    def take(self, *words: str) -> str:
        """The next token if it is one of the words, else nothing."""
        value = self.peek()
        if isinstance(value, str) and value in words:
            self.place += 1
            return value
        return ""

    def take_all(self, *words: str) -> bool:
        """All the words, one after the other, or none."""
        if any(self.peek(ahead) != word for ahead, word in enumerate(words)):
            return False
        self.place += len(words)
        return True

    def take_a(self, kind: type[T]) -> T | None:
        value = self.peek()
        if isinstance(value, kind):
            self.place += 1
            return value
        return None

    def said(self, begin: int, end: int | None = None) -> str:
        """The tokens from one place to another, as written."""
        end = self.place if end is None else end
        return self.text[self._tokens[begin].begin : self._tokens[end - 1].end]

    def instead(self, begin: int, words: str) -> str:
        """The whole text with other words from that place to here."""
        first, last = self._tokens[begin].begin, self._tokens[self.place - 1].end
        return f"{self.text[:first]}{words}{self.text[last:]}".strip()

    def refuse(self, expected: str) -> NoReturn:
        """The next token cannot stand where it stands."""
        if not self.is_done():
            word = self.said(self.place, self.place + 1)
            raise refusal(f"{word!r} (word {self.place + 1}) cannot be read here; expected {expected}")
        raise refusal(f"ends too soon; expected {expected}" if self._tokens else f"empty; say, for instance, {FORMS}")

    def ambiguous(self, begin: int, *readings: str) -> NoReturn:
        """From that place to here there is more than one meaning."""
        whole = " or ".join(repr(self.instead(begin, reading)) for reading in readings)
        raise refusal(f"{self.said(begin)!r} is ambiguous; say {whole}")


def _cut(text: str) -> tuple[str | None, list[Token]]:
    """The zone, if one is named, and all other tokens."""
    tokens: list[Token] = []
    zones: list[str] = []
    for found in TOKEN.finditer(text):
        kind = found.lastgroup or ""
        word = found[kind]
        if kind in {"aside", "zone"}:
            zones.append(word.strip())
            _without_in(tokens)
        elif kind != "skip":
            tokens.append(Token(_value(kind, word), found.start(), found.end()))
    tokens = _with_ordinals(tokens)
    utc = [index for index, token in enumerate(tokens) if token.value == "utc"]
    if utc and not zones:
        zones.append("UTC")
        tokens = [token for token in tokens if token.value != "utc"]
        _without_in(tokens)
    return _timezone(zones), tokens


def _without_in(tokens: list[Token]) -> None:
    if tokens and tokens[-1].value == "in":
        tokens.pop()


def _timezone(names: list[str]) -> str | None:
    known = {name.lower(): name for name in timezones()}
    found = {known.get(name.lower(), name) for name in names}
    if len(found) > 1:
        raise refusal(f"the zones {' and '.join(sorted(found))} exclude each other")
    try:
        return zone(found.pop()).key if found else None
    except Invalid as error:
        raise refusal(str(error)) from error


def _with_ordinals(tokens: list[Token]) -> list[Token]:
    """`second` as the ordinal that it is before what can be numbered, `second to last` as one, and no `the`."""
    made: list[Token] = []
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        if token.value == Unit("second") and _is_ordinal(tokens, index, made):
            token = token._replace(value=Ordinal(2, in_words=True))
        if isinstance(token.value, Ordinal) and [near.value for near in made[-2:]] == [LAST, "to"]:
            last = made.pop(-2)
            made.pop()
            token = Token(Ordinal(-token.value.number, in_words=True), token.begin, last.end)
        if token.value != "the":
            made.append(token)
    return made[::-1]


def _is_ordinal(tokens: list[Token], index: int, made: list[Token]) -> bool:
    if tokens[index].end - tokens[index].begin != len("second"):
        return False
    if index and tokens[index - 1].value == "the":
        return True
    after = next((near.value for near in reversed(made) if near.value != "and"), "")
    return isinstance(after, Ordinal | Unit | Weekday) or after in {"of", "to", "weekday", "working", "weekend"}


def _value(kind: str, word: str) -> Value:
    text = word.lower()
    if kind in {"iso", "numeric", "time", "minute"}:
        return _clock(kind, word)
    match kind:
        case "length":
            return Length(sum(int(count) * SECONDS[SHORT_UNITS[unit]] for count, unit in LENGTHS.findall(text)))
        case "ordinal":
            return Ordinal(int(text[:-2]), in_words=False)
        case "number":
            return Number(int(text))
        case _:
            return _word(text)


def _clock(kind: str, word: str) -> date | time | Minute:
    if kind == "iso":
        return _iso(word)
    if kind == "numeric":
        return _numeric(word)
    if kind == "time":
        return _time(word.lower())
    return Minute(*_sixtieths(word, [*map(int, word[1:].split(":")), 0][:2]))


def _word(text: str) -> Value:
    if text in AMBIGUOUS_ZONES:
        raise refusal(f"{text!r} is ambiguous; name the zone by its place, such as America/New_York")
    meant = MEANT.get(text, text)
    return _vocabulary().get(meant, meant)


def _iso(word: str) -> date:
    try:
        return stamps.read(word)
    except ValueError as error:
        raise refusal(f"{word!r} {error}") from error


def _numeric(word: str) -> date:
    """Taken only if day and month cannot be mistaken for each other."""
    numbers = re.split(r"[./-]", word)
    if len(numbers) == 3 and len(numbers[2]) == 4:
        one, other, year = map(int, numbers)
        readings = {_date(year, month, day) for day, month in ((one, other), (other, one))} - {None}
        if len(readings) == 1:
            return readings.pop() or date.min
        shown = " or ".join(str(reading) for reading in sorted(filter(None, readings)))
        raise refusal(f"{word!r} is ambiguous; say {shown}" if shown else f"{word!r} is no date")
    raise refusal(f"{word!r} is ambiguous; write a date as 2027-04-03, a time as 9:30, half an hour as 30 minutes")


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(text: str) -> time:
    half = re.sub(r"[^apm]", "", text)
    hour, minute, second = [*re.sub(r"[^\d:.]|\.$", "", text).rstrip(".").split(":"), "0", "0"][:3]
    whole, _, fraction = second.partition(".")
    number = int(hour)
    if number > (12 if half else 23) or (half and not number):
        raise refusal(f"{text!r} is no time of day; hours run from {'1 to 12 with am or pm' if half else '0 to 23'}")
    minutes, seconds = _sixtieths(text, [int(minute), int(whole)])
    number = number % 12 + 12 * (half == "pm") if half else number
    return time(number, minutes, seconds, int(fraction.ljust(6, "0")))


def _sixtieths(word: str, numbers: list[int]) -> list[int]:
    if max(numbers) > 59:
        raise refusal(f"{word!r} is no time of day; minutes and seconds run from 0 to 59")
    return numbers
