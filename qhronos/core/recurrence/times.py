"""The times of day that a rule allows: every combination of its hours, minutes and seconds. Many are never written out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

ALL_HOURS = tuple(range(24))
SIXTY = tuple(range(60))
MOST_LISTED = 96


class Times:
    """In seconds since midnight, in order, numbered from 0. An empty list allows all; a second 60 is the 59th."""

    def __init__(self, hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self._hours = hours or ALL_HOURS
        self._minutes = minutes or SIXTY
        self._seconds = tuple(sorted({min(second, 59) for second in seconds})) or SIXTY
        self._per_hour = len(self._minutes) * len(self._seconds)
        self.count = len(self._hours) * self._per_hour
        self._listed = tuple(self[index] for index in range(self.count)) if self.count <= MOST_LISTED else None

    def since(self, time: int) -> Iterable[int]:
        """Those that are not before `time`."""
        if self._listed is None:
            return (self[index] for index in range(self.index(time), self.count))
        return self._listed[bisect_left(self._listed, time) :] if time > 0 else self._listed

    def __getitem__(self, index: int) -> int:
        hour, rest = divmod(index, self._per_hour)
        minute, second = divmod(rest, len(self._seconds))
        return self._hours[hour] * 3600 + self._minutes[minute] * 60 + self._seconds[second]

    def __contains__(self, time: int) -> bool:
        index = self.index(time)
        return index < self.count and self[index] == time

    def index(self, time: int) -> int:
        """Of the first that is not before `time`; `count` if there is none."""
        hour = bisect_left(self._hours, time // 3600)
        if hour == len(self._hours) or self._hours[hour] != time // 3600:
            return hour * self._per_hour
        minute = bisect_left(self._minutes, time // 60 % 60)
        if minute == len(self._minutes) or self._minutes[minute] != time // 60 % 60:
            return hour * self._per_hour + minute * len(self._seconds)
        return hour * self._per_hour + minute * len(self._seconds) + bisect_left(self._seconds, time % 60)
