"""How many requests a second one origin gets from this process, where an operator has said."""

from __future__ import annotations

import math

from qhronos.core.ratelimit import MICROSECONDS, judge, limit_of

LONGEST = 60.0  # seconds that one is put off for


class Pace:
    """As many at once as come in a second, then evenly. Who is put off is told a time of its own, in turn."""

    def __init__(self, per_second: float) -> None:
        self._limit = limit_of(per_second, max(1, math.floor(per_second)))
        self._tat = 0
        self._promised = 0

    def take(self, now: float) -> float | None:
        """None: go. Otherwise in how many seconds to ask again."""
        at = round(now * MICROSECONDS)
        self._tat, judged = judge(self._tat, at, self._limit)
        if judged.allowed:
            return None
        self._promised = max(self._promised + self._limit.interval, at + judged.retry_after)
        return min((self._promised - at) / MICROSECONDS, LONGEST)
