"""Times of day in words: `at 9:00 and 17:30`, `from 9am to 5pm`; and as the BYHOUR, BYMINUTE and BYSECOND of rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import time
from typing import NamedTuple

from qhronos.core.recurrence.tokens import Tokens
from qhronos.core.recurrence.vocabulary import Month, Number, Unit

A_TIME = "a time of day such as 9:00, 5pm or noon"
DAY = 86_400


class Product(NamedTuple):
    """Every combination of its hours, minutes and seconds."""

    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds) or 1


def is_time(tokens: Tokens, ahead: int = 0) -> bool:
    """A bare number is an hour, unless it counts something."""
    value, after = tokens.peek(ahead), tokens.peek(ahead + 1)
    if isinstance(value, Number):
        return value.number < 24 and not isinstance(after, Month | Unit) and after not in {"times", "time"}
    return isinstance(value, time)


def read_time(tokens: Tokens) -> time:
    if not is_time(tokens):
        tokens.refuse(A_TIME)
    value = tokens.peek()
    tokens.place += 1
    return time(value.number) if isinstance(value, Number) else value if isinstance(value, time) else time.min


def read_times(tokens: Tokens) -> tuple[time, ...]:
    times = [read_time(tokens)]
    while is_time(tokens) or (tokens.peek() == "and" and is_time(tokens, 2 if tokens.peek(1) == "at" else 1)):
        tokens.take("and")
        tokens.take("at")
        times.append(read_time(tokens))
    return tuple(sorted(set(times)))


def read_window(tokens: Tokens) -> tuple[time, time]:
    """`9am to 5pm`, both ends included."""
    begin, bare = tokens.place, isinstance(tokens.peek(), Number)
    first = read_time(tokens)
    if not tokens.take("to", "and", "until"):
        tokens.refuse("'to' and the end of the hours")
    bare = bare and isinstance(tokens.peek(), Number)
    last = read_time(tokens)
    if last <= first and bare and last.hour < 12 and first.hour < last.hour + 12:
        tokens.ambiguous(begin, f"{first:%H:%M} to {last.hour + 12}:00", f"{first:%H:%M} to {last:%H:%M}")
    return first, last


def stepped(window: tuple[time, time], step: int) -> tuple[time, ...]:
    """From the beginning of the window in steps of so many seconds, over midnight where it ends before it begins."""
    first, last = map(_seconds, window)
    last += DAY if last < first else 0
    return tuple(_time(at % DAY) for at in range(first, last + 1, step))


def products(times: Iterable[time]) -> tuple[Product, ...]:
    """As few rules as say exactly these times; hours of the same minutes go together."""
    minutes: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for at in times:
        minutes[at.hour].add((at.minute, at.second))
    hours: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = defaultdict(list)
    for hour, places in sorted(minutes.items()):
        for part in _parts(places):
            hours[part].append(hour)
    return tuple(Product(tuple(of), *part) for part, of in hours.items())


def _parts(places: set[tuple[int, int]]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    seconds: dict[int, set[int]] = defaultdict(set)
    for minute, second in places:
        seconds[minute].add(second)
    minutes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for minute, of in sorted(seconds.items()):
        minutes[tuple(sorted(of))].append(minute)
    return [(tuple(of), part) for part, of in minutes.items()]


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def _time(at: int) -> time:
    return time(at // 3600, at // 60 % 60, at % 60)
