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


class Judged(NamedTuple):
    """What becomes of some requests that one caller sends at once: the first `allowed` of them are."""

    allowed: int
    remaining: int  # that would be allowed after them
    retry_after: int  # microseconds until one more is allowed; 0 when all were
    reset: int  # microseconds until the allowance is whole


class Verdict(NamedTuple):
    """What one request is told."""

    allowed: bool
    limit: int
    remaining: int
    retry_after: int
    reset: int


def limit_of(per_second: float, burst: int) -> Limit:
    return Limit(max(1, round(MICROSECONDS / per_second)), burst)


def judge(tat: int, now: int, limit: Limit, count: int = 1) -> tuple[int, Judged]:
    """How many of `count` requests are allowed at `now`, and the TAT to keep. An unknown caller's TAT is 0."""
    before = max(tat, now)
    room = (now + limit.interval * limit.burst - before) // limit.interval
    allowed = min(count, max(room, 0))
    after = before + allowed * limit.interval
    retry_after = 0 if allowed == count else after + limit.interval - now - limit.interval * limit.burst
    return after, Judged(allowed, max(room, 0) - allowed, retry_after, after - now)


def verdict(judged: Judged, limit: Limit, place: int = 0) -> Verdict:
    """Of the request that came at `place`, counted from 0, among those judged together."""
    if place >= judged.allowed:
        return Verdict(False, limit.burst, 0, judged.retry_after, judged.reset)
    return Verdict(True, limit.burst, judged.remaining + judged.allowed - 1 - place, 0, judged.reset)


def whole_seconds(microseconds: int) -> int:
    """For `Retry-After`, which knows no fractions: never too early."""
    return max(1, math.ceil(microseconds / MICROSECONDS))
