"""MONTHLY and YEARLY rules that do not leave out the days that a month or year does not have (RFC 7529 SKIP).

Such a day moves to its neighbour, maybe into the period beside its own. So each period of the calendar is asked what
lands in it: from itself, from the one before and from the one after, as far as INTERVAL counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from qhronos.core.recurrence.days import LAST_DAY, Periods, facts, first_of_month, tests
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import Freq, Rule, Skip
from qhronos.core.recurrence.times import Times
from qhronos.core.recurrence.walls import at_positions, at_times
from qhronos.core.recurrence.zones import DAY

ALL_MONTHS = range(1, 13)


class SkippingWalls:
    """`rule` leaves nothing to DTSTART but the phase of its periods."""

    def __init__(self, rule: Rule, dtstart: datetime) -> None:
        self._rule = rule
        self._periods = Periods(rule, dtstart)
        self._times = Times(rule.by_hour, rule.by_minute, rule.by_second)
        # A month is chosen before its missing days move. With BYYEARDAY, all else chooses among the days that it makes.
        made = {"BYYEARDAY"} if rule.by_year_day else {"BYMONTH", "BYMONTHDAY"}
        self._tests = [test for part, test in tests(rule).items() if part not in made]

    def between(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Wall times and true; or a time and false: none comes before it."""
        index = self._periods.index(since // DAY)
        while self._periods.first(index) * DAY < until:
            index = max(index, self._periods.next_counted(index - 1) - 1)
            for wall in self._landing_in(index, since, until, steps):
                yield wall, True
            index += 1
            yield min(self._periods.first(index) * DAY, until), False

    def _landing_in(self, index: int, since: int, until: int, steps: Steps) -> Iterator[int]:
        first, end = self._periods.first(index), self._periods.first(index + 1)
        near = [self._days(source, steps) for source in range(index - 1, index + 2) if self._counts(source)]
        if self._rule.by_set_pos:
            walls = {wall for days in near for wall in at_positions(self._rule.by_set_pos, days, self._times)}
            since, until = max(since, first * DAY), min(until, end * DAY)
            return iter(sorted(wall for wall in walls if since <= wall < until))
        landed = sorted({day for days in near for day in days if first <= day < end and day >= since // DAY})
        return at_times(self._times, landed, since, until, steps)

    def _counts(self, index: int) -> bool:
        return index == self._periods.next_counted(index)

    def _days(self, index: int, steps: Steps) -> list[int]:
        """What a period makes, wherever it lands."""
        days = {day for first, end, numbers in self._spans(index) for day in self._named(numbers, first, end)}
        steps.take(5 + 2 * len(days) + 3 * len(self._rule.by_set_pos))
        return sorted(day for day in days if day <= LAST_DAY and self._allows(day))

    def _spans(self, index: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """The stretches of the period in which days are numbered, and the numbers wanted."""
        if self._rule.by_year_day:
            yield self._periods.first(index), self._periods.first(index + 1), self._rule.by_year_day
            return
        year, months = (index // 12, (index % 12 + 1,)) if self._rule.freq is Freq.MONTHLY else (index, ALL_MONTHS)
        for month in months:
            if not self._rule.by_month or month in self._rule.by_month:
                end = first_of_month(year + month // 12, month % 12 + 1)
                yield first_of_month(year, month), end, self._rule.by_month_day

    def _named(self, numbers: tuple[int, ...], first: int, end: int) -> Iterator[int]:
        """The days of [first, end) with these numbers; what lies outside moves to the nearest before or after."""
        back = self._rule.skip is Skip.BACKWARD
        for number in numbers:
            day = first + number - 1 if number > 0 else end + number
            yield day if first <= day < end else (first if number < 0 else end) - back

    def _allows(self, day: int) -> bool:
        return all(test(facts(day, self._rule.week_start)) for test in self._tests)
