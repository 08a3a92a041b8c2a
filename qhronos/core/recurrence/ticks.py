"""HOURLY, MINUTELY and SECONDLY: positions on a line of seconds, whose clock face the BY parts ask.

The line is real time and the face that of the zone; or the line is itself a clock face. A period is one hour, minute or
second; INTERVAL takes every so manieth from the one in which DTSTART lies. Within an hour BYMINUTE and BYSECOND, within
a minute BYSECOND, name the positions; where they are silent it is the place that DTSTART has within its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from qhronos.core.recurrence.days import allowed_days
from qhronos.core.recurrence.model import Mark
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import BY_PARTS, FIELDS, Freq, Rule
from qhronos.core.recurrence.times import Times
from qhronos.core.recurrence.zones import DAY, LAST, Face

UNITS = {Freq.HOURLY: 3600, Freq.MINUTELY: 60, Freq.SECONDLY: 1}
START = (0,)


class Ticks:
    def __init__(self, rule: Rule, start: int, wall: int) -> None:
        """`start` is DTSTART on the line, `wall` what the clock shows there."""
        self._rule = rule
        self._unit = UNITS[rule.freq]
        self._step = self._unit * rule.interval
        self._place = wall % self._unit
        self._origin = start - self._place
        self._is_plain = not any(getattr(rule, FIELDS[part]) for part in BY_PARTS)
        self._days = allowed_days(rule)
        self._times = Times(rule.by_hour, rule.by_minute, rule.by_second)
        # The periods that may hold a position, by the time of day at which they begin.
        self._slots = Times(
            rule.by_hour,
            START if self._unit > 60 else rule.by_minute,
            START if self._unit > 1 else rule.by_second,
        )
        self._insides: dict[int, tuple[int, ...]] = {}

    def between(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[tuple[int, bool]]:
        """Positions and true; or a position and false: none comes before it."""
        period = self._period_from(since - self._unit + 1)
        if self._is_plain:
            for position in range(period + self._place, until, self._step):
                steps.take(3)
                yield position, True
            return
        while period < until:
            steps.take(9)
            wall = period + face.offset(period)
            wanted = self._next_slot(wall)
            if wanted < wall + self._unit:
                for position in self._positions(period, wall, face, steps):
                    yield position, True
            # In the first pass of a fold what is wanted next may be behind on the clock and yet to come.
            if wanted < wall + self._unit or face.mark(period) is Mark.FOLD_FIRST:
                period += self._step
            else:
                ahead = face.earliest_from(min(wanted, LAST)) - self._unit + 1
                period = max(period + self._step, self._period_from(ahead))
            yield min(period, until), False

    def _period_from(self, position: int) -> int:
        """The first that does not begin before the position."""
        periods = max(0, -((self._origin - position) // self._step))
        return self._origin + periods * self._step

    def _next_slot(self, wall: int) -> int:
        """The first slot that ends after `wall`, or a time before it that is after `wall`."""
        day, time = divmod(wall - wall % self._unit, DAY)
        found, allowed = self._days.first_from(day)
        if not allowed:
            return found * DAY
        index = self._slots.index(time) if found == day else 0
        return (day + 1) * DAY if index == self._slots.count else found * DAY + self._slots[index]

    def _positions(self, period: int, wall: int, face: Face, steps: Steps) -> list[int]:
        inside = self._inside(wall % self._unit)
        steps.take(3 * len(inside))
        positions = [period + place for place in inside]
        if wall % self._unit or face.steady(period // DAY) is None:
            # The clock has been, or is being, moved by part of a unit: the period may reach into the next slot, and show
            # a minute in other places after the change than before it, in both or in neither.
            after = self._inside((period + face.offset(period + self._unit - 1)) % self._unit)
            positions = sorted({*positions, *(period + place for place in after)})
            positions = [position for position in positions if self._allows(position + face.offset(position))]
        if self._rule.by_set_pos:
            count = len(positions)
            named = {index - 1 if index > 0 else count + index for index in self._rule.by_set_pos}
            return [positions[index] for index in sorted(named) if 0 <= index < count]
        return positions

    def _inside(self, shown: int) -> tuple[int, ...]:
        """The places within a period, at the beginning of which the clock shows `shown` seconds of its unit."""
        if shown not in self._insides:
            self._insides[shown] = tuple(sorted(self._places(shown)))
        return self._insides[shown]

    def _places(self, shown: int) -> set[int]:
        minutes, seconds = self._rule.by_minute, {min(second, 59) for second in self._rule.by_second}
        if minutes and self._unit > 60:
            seconds = seconds or {self._place % 60}
            return {(minute * 60 + second - shown) % self._unit for minute in minutes for second in seconds}
        if seconds and self._unit > 1:
            return {self._place - self._place % 60 + (second - shown) % 60 for second in seconds}
        return {self._place}

    def _allows(self, wall: int) -> bool:
        return self._days.first_from(wall // DAY) == (wall // DAY, True) and wall % DAY in self._times
