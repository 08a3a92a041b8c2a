"""Days in words: `monday to friday`, `1st and 15th`, `last working day`, `24 december 2026`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import NamedTuple

from qhronos.core.recurrence.dates import is_year, read_named
from qhronos.core.recurrence.hours import read_times
from qhronos.core.recurrence.tokens import Tokens
from qhronos.core.recurrence.vocabulary import FORMS, Month, Number, Ordinal, Unit, Weekday, refusal

WORKING_DAYS = ("weekday", "weekdays")
A_DAY = "a weekday, a numbered day such as the 1st or the last friday, or a date"


class Days(NamedTuple):
    """A list of days as it is read."""

    weekdays: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    working: tuple[int, ...] = ()
    dates: tuple[tuple[int, int], ...] = ()
    once: tuple[date, ...] = ()
    recurs: bool = False


class DayList:
    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def read(self) -> Days:
        tokens = self.tokens
        days = self._day(Days())
        while True:
            ahead = 1 if tokens.peek() == "and" else 0
            ahead += 1 if tokens.peek(ahead) == "every" or (ahead and tokens.peek(ahead) == "on") else 0
            if not self.is_day(ahead):
                return days
            tokens.place += ahead
            days = self._day(days)

    def is_day(self, ahead: int) -> bool:
        value, after = self.tokens.peek(ahead), self.tokens.peek(ahead + 1)
        if isinstance(value, Number):
            return isinstance(after, Month)
        if isinstance(value, Month):
            return isinstance(after, Number | Ordinal) and not is_year(self.tokens, ahead + 1)
        return isinstance(value, Ordinal | Weekday | date) or value in {*WORKING_DAYS, "working", "weekend", "weekends"}

    def _day(self, days: Days) -> Days:
        tokens = self.tokens
        if tokens.take("every"):
            days = days._replace(recurs=True)
        if isinstance(tokens.peek(), Weekday) or tokens.peek() in {*WORKING_DAYS, "working", "weekend", "weekends"}:
            numbers, many = self._weekdays()
            return days._replace(
                weekdays=_merged(days.weekdays, [(0, number) for number in numbers]), recurs=days.recurs or many
            )
        if tokens.peek() == "end" and tokens.peek(1) == "of":
            tokens.place += 1
            return days._replace(month_days=(*days.month_days, -1))
        if when := tokens.take_a(date):
            return days._replace(once=(*days.once, self._at_utc(when)))
        begin = tokens.place
        named = read_named(tokens)
        if named and named.day and not isinstance(tokens.peek(tokens.peek() in {"and", "to"}), Month):
            if named.year:
                return days._replace(once=(*days.once, self._at_utc(_date(tokens, begin, named))))
            return days._replace(dates=(*days.dates, (named.month, named.day)))
        tokens.place = begin
        return self._numbered(days) if isinstance(tokens.peek(), Ordinal) else self._no_day()

    def _no_day(self) -> Days:
        self.tokens.refuse(A_DAY if self.tokens.place else FORMS)

    def _at_utc(self, day: date) -> date:
        tokens = self.tokens
        if not isinstance(day, datetime) and tokens.peek() == "at" and tokens.peek(2) == "utc":
            tokens.place += 1
            day = datetime.combine(day, read_times(tokens)[0], UTC)
            tokens.place += 1
        return day

    def _weekdays(self) -> tuple[list[int], bool]:
        """`monday`, `monday to friday`, `weekdays`, `weekend`; and whether the plural says that it recurs."""
        tokens = self.tokens
        if word := tokens.take("weekend", "weekends", *WORKING_DAYS, "working"):
            many = word.endswith("s")
            if word in {"working", "weekend"} and tokens.peek() == Unit("day"):
                many = many or tokens.said(tokens.place, tokens.place + 1).lower() == "days"
                tokens.place += 1
            if word.startswith("weekend"):
                return [5, 6], many
            if (
                tokens.peek() == Weekday(0, plural=False)
                and tokens.peek(1) == "to"
                and tokens.peek(2) == Weekday(4, plural=False)
            ):
                tokens.place += 3
            return [0, 1, 2, 3, 4], many
        first = tokens.take_a(Weekday) or Weekday(0, plural=False)
        last = tokens.peek(1)
        if tokens.peek() != "to" or not isinstance(last, Weekday):
            return [first.number], first.plural
        tokens.place += 2
        return [(first.number + ahead) % 7 for ahead in range((last.number - first.number) % 7 + 1)], True

    def _numbered(self, days: Days) -> Days:
        """`1st and 15th`, `first and third friday`, `last day`, `last working day`."""
        tokens, begin, ordinals = self.tokens, self.tokens.place, []
        while ordinal := tokens.take_a(Ordinal):
            ordinals.append(ordinal)
            if isinstance(tokens.peek(1), Ordinal):
                tokens.take("and")
        numbers = [ordinal.number for ordinal in ordinals]
        if weekday := tokens.take_a(Weekday):
            if (
                len({ordinal.in_words for ordinal in ordinals}) > 1
                or max(numbers) > 5
                or min(numbers) < -5
                or 0 in numbers
            ):
                tokens.place = begin
                tokens.refuse("first to fifth, or last, all in words or all in digits, before a weekday")
            return days._replace(weekdays=_merged(days.weekdays, [(number, weekday.number) for number in numbers]))
        if tokens.take("working"):
            if tokens.peek() != Unit("day"):
                tokens.refuse("'day'")
            tokens.place += 1
            return days._replace(working=(*days.working, *numbers))
        if tokens.take("weekday"):
            return days._replace(working=(*days.working, *numbers))
        if tokens.peek() == Unit("day"):
            tokens.place += 1
        elif tokens.peek() != "of" and any(ordinal.in_words for ordinal in ordinals):
            tokens.refuse("'day', 'working day' or a weekday")
        return days._replace(month_days=(*days.month_days, *numbers))


def _merged(days: tuple[tuple[int, int], ...], more: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """In the order in which rules have them."""
    return tuple(sorted({*days, *more}, key=lambda day: (day[0] < 0, day)))


def _date(tokens: Tokens, begin: int, named: tuple[int, int, int]) -> date:
    try:
        return date(named[2], named[1], named[0])
    except ValueError as error:
        raise refusal(f"{tokens.said(begin)!r} is no date") from error
