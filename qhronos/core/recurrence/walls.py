"""DAILY and longer: the wall times of a rule, found from any day on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from qhronos.core.recurrence.days import Periods, allowed_days, next_year
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
        # Where every period counts and none is chosen from, a year is as good a period as any.
        self._all_count = rule.interval == 1 and not rule.by_set_pos

    def between(self, since: int, until: int, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Wall times and true; or a time and false: none comes before it."""
        day = since // DAY
        while day * DAY < until:
            steps.take(7)
            day, allowed = self._days.first_from(day)
            if allowed:
                first, end = (day, next_year(day)) if self._all_count else self._periods.around(day)
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
        for time in times.since(max(0, since - midnight)):
            steps.take(5)
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
