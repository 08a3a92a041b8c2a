"""Plain words, cut into tokens; and the place where reading them stands."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn, TypeVar

from qhronos.core.recurrence import numerals
from qhronos.core.recurrence.vocabulary import (
    AMBIGUOUS_ZONES,
    FORMS,
    MEANT,
    VAGUE,
    Number,
    Ordinal,
    Unit,
    Value,
    Weekday,
    refusal,
    vocabulary,
)
from qhronos.core.recurrence.zones import timezones, zone
from qhronos.errors import Invalid

MOST_CHARACTERS = 1000
LAST = Ordinal(-1, in_words=True)
T = TypeVar("T")


class Token(NamedTuple):
    value: Value
    begin: int  # in the text
    end: int


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
        return numerals.read(kind, word)
    match kind:
        case "length":
            return numerals.length_of(text)
        case "ordinal":
            return Ordinal(int(text[:-2]), in_words=False)
        case "number":
            return Number(int(text))
        case _:
            return _word(text)


def _word(text: str) -> Value:
    if text in AMBIGUOUS_ZONES:
        raise refusal(f"{text!r} is ambiguous; name the zone by its place, such as America/New_York")
    if text in VAGUE:
        raise refusal(f"{text!r} names no hour; say {VAGUE[text]!r}, for instance")
    meant = MEANT.get(text, text)
    return vocabulary().get(meant, meant)
