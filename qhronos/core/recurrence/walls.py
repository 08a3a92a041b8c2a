"""DAILY and longer: the wall times of a rule, found from any day on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from qhronos.core.recurrence.days import Periods, allowed_days, date_of, first_of
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import Rule
from qhronos.core.recurrence.times import Times
from qhronos.core.recurrence.zones import DAY


class Walls:
    """`rule` leaves nothing to DTSTART but the phase of its periods."""

    def __init__(self, rule: Rule, dtstart: datetime) -> None:
        self._days = allowed_days(rule)
        self._periods = Periods(rule, dtstart)
        self._times = Times(rule.by_hour, rule.by_minute, rule.by_second)
        self._positions = rule.by_set_pos
        self._all_count = rule.interval == 1 and not rule.by_set_pos

    def between(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Wall times and true; or a time and false: none comes before it."""
        return self._on_all_days(since, until, steps) if self._all_count else self._in_periods(since, until, steps)

    def _on_all_days(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Where every period counts and none is chosen from: day by allowed day, a year at a time."""
        day, end = since // DAY, -(-until // DAY)
        while day < end:
            steps.take(7)
            year = date_of(day).year
            base, allowed = first_of(year), self._days.of_year(year)
            for index in range(bisect_left(allowed, day - base), bisect_left(allowed, end - base)):
                midnight = (base + allowed[index]) * DAY
                for time in self._times.since(since - midnight):
                    steps.left -= 8
                    if midnight + time >= until:
                        return
                    yield midnight + time, True
            day = first_of(year + 1)
            if day < end:
                yield day * DAY, False

    def _in_periods(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        day = since // DAY
        while day * DAY < until:
            steps.take(7)
            day, allowed = self._days.first_from(day)
            if allowed:
                first, end = self._periods.around(day)
                if first <= day:
                    for wall in self._of_period(first, end, max(since, day * DAY), until, steps):
                        yield wall, True
                    first = end
                day = first
            yield min(day * DAY, until), False

    def _of_period(self, first: int, end: int, since: int, until: int, steps: Steps) -> Iterator[int]:
        if self._positions:
            days = list(self._days.within(first, end))
            steps.take(len(days) + 3 * len(self._positions))
            return (wall for wall in at_positions(self._positions, days, self._times) if since <= wall < until)
        near = self._days.within(max(first, since // DAY), min(end, -(-until // DAY)))
        return at_times(self._times, near, since, until, steps)


def at_times(times: Times, days: Iterable[int], since: int, until: int, steps: Steps) -> Iterator[int]:
    """The wall times of these days, as far as they lie in the window."""
    for day in days:
        midnight = day * DAY
        for time in times.since(since - midnight):
            steps.left -= 8
            wall = midnight + time
            if wall >= until:
                return
            yield wall


def at_positions(positions: Sequence[int], days: Sequence[int], times: Times) -> list[int]:
    """Those of a period's wall times that BYSETPOS names; -1 is the last."""
    count = len(days) * times.count
    indices = {position - 1 if position > 0 else count + position for position in positions}
    return [
        days[index // times.count] * DAY + times[index % times.count] for index in sorted(indices) if 0 <= index < count
    ]
