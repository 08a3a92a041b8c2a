"""How often a caller may ask: the generic cell rate algorithm, in whole microseconds.

All that is kept of a caller is one instant, the *theoretical arrival time* (TAT): when its allowance would be whole
again. `plan/gcra.lua` is the same arithmetic inside Redis; a test holds the two together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MICROSECONDS = 1_000_000


class Limit(NamedTuple):
    interval: int  # microseconds that one request uses up
    burst: int  # requests that may come at once


class Verdict(NamedTuple):
    allowed: bool
    limit: int
    remaining: int
    retry_after: int  # microseconds until the next request is allowed; 0 when this one was
    reset: int  # microseconds until the allowance is whole


def limit_of(per_second: float, burst: int) -> Limit:
    return Limit(max(1, round(MICROSECONDS / per_second)), burst)


def judge(tat: int, now: int, limit: Limit) -> tuple[int, Verdict]:
    """Whether one more request is allowed at `now`, and the TAT to keep. An unknown caller's TAT is 0."""
    window = limit.interval * limit.burst
    before = max(tat, now)
    after = before + limit.interval
    if after - now > window:
        return tat, Verdict(False, limit.burst, 0, after - now - window, before - now)
    return after, Verdict(True, limit.burst, (window - (after - now)) // limit.interval, 0, after - now)


def whole_seconds(microseconds: int) -> int:
    """For `Retry-After`, which knows no fractions: never too early."""
    return max(1, math.ceil(microseconds / MICROSECONDS))
