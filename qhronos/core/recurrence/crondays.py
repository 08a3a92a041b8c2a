"""The days of cron, as parts of rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from qhronos.core.recurrence.rule import Freq, Rule, from_text, to_text

T = TypeVar("T")

MONDAY, FRIDAY = frozenset({(0, 0)}), frozenset({(0, 4)})
WORKING = frozenset((0, weekday) for weekday in range(5))
ALL = frozenset(range(1, 13))
LONG = frozenset({1, 3, 5, 7, 8, 10, 12})
FEBRUARY = frozenset({2})
SHORT = ALL - LONG - FEBRUARY
NOTHING: frozenset[int] = frozenset()


class Days(NamedTuple):
    """What must all be so; an empty part allows every day."""

    month_days: frozenset[int] = NOTHING
    by_day: frozenset[tuple[int, int]] = frozenset()  # (nth, weekday) as in Rule
    months: frozenset[int] = ALL

    def freq(self) -> Freq:
        """The shortest that may have these parts."""
        if self.month_days or any(nth for nth, _ in self.by_day):
            return Freq.MONTHLY
        return Freq.WEEKLY if self.by_day else Freq.DAILY

    def rule(self, freq: Freq, **times: tuple[int, ...]) -> Rule:
        rule = Rule(
            freq=freq,
            by_month=tuple(self.months) if self.months < ALL else (),
            by_month_day=tuple(self.month_days),
            by_day=tuple(self.by_day),
        )
        # Its text is canonical only in the order in which text is read.
        return from_text(to_text(msgspec.structs.replace(rule, **times)))

    def unnumbered(self) -> Iterator[Days]:
        """The same days in parts that rules shorter than a month may have."""
        plain = frozenset((nth, weekday) for nth, weekday in self.by_day if not nth)
        if plain or not self.by_day:
            yield self._replace(by_day=plain)
        for nth, weekday in self.by_day - plain:
            span = range(nth * 7 - 6, min(nth * 7, 31) + 1) if nth > 0 else range(-7, 0)
            yield self._replace(by_day=frozenset({(0, weekday)}), month_days=frozenset(span))


def nearest_working_day(day: int) -> Iterator[Days]:
    """Monday to Friday; -1 is the last of the month. Saturday goes back a day and Sunday on, but not into another month.

    No part is rarer than a weekday on one of two dates, or it might be taken for one that never happens. The 29th is not
    asked for in February.
    """
    match day:
        case -1:
            yield from _working(day, saturday_and_sunday={-2, -3})
        case 1:
            yield Days(frozenset({1}), WORKING - MONDAY)
            yield Days(frozenset({1, 2, 3}), MONDAY)
        case 31:
            yield from _working(day, saturday_and_sunday={29, 30}, months=LONG)
        case _:
            yield Days(frozenset({day}), WORKING - MONDAY - FRIDAY)
            yield Days(frozenset({day - 1, day}), FRIDAY, ALL - FEBRUARY if day > 28 else ALL)
            yield Days(frozenset({day, day + 1}), MONDAY)
            if day == 28:
                # The 26th; in a leap year the 27th, which counts anyway.
                yield Days(frozenset({28, -3}), FRIDAY, FEBRUARY)
            if day == 30:
                yield Days(frozenset({28, 30}), FRIDAY, SHORT)


def _working(last: int, saturday_and_sunday: set[int], months: frozenset[int] = ALL) -> Iterator[Days]:
    """The last day of the month, before which both go back."""
    yield Days(frozenset({last}), WORKING - FRIDAY)
    yield Days(frozenset({last, *saturday_and_sunday}), FRIDAY, months)


def restricted(days: Iterable[Days], months: Iterable[int]) -> list[Days]:
    """To the months, and in as few as they can be said."""
    kept = [day._replace(months=shared) for day in days if (shared := day.months & frozenset(months))]
    by_date: defaultdict[tuple[object, ...], list[Days]] = defaultdict(list)
    for day in kept:
        by_date[day.by_day, day.months].append(day)
    # Dates may be put together where the rest is the same, and weekdays likewise; no dates or no weekdays is all of them.
    dated = [alike[0]._replace(month_days=_union([day.month_days for day in alike])) for alike in by_date.values()]
    by_weekday: defaultdict[tuple[object, ...], list[Days]] = defaultdict(list)
    for day in dated:
        by_weekday[day.month_days, day.months].append(day)
    return [alike[0]._replace(by_day=_union([day.by_day for day in alike])) for alike in by_weekday.values()]


def _union(parts: list[frozenset[T]]) -> frozenset[T]:
    return frozenset().union(*parts) if all(parts) else frozenset()
