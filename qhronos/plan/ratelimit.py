"""The rate limit of each caller: kept in Redis for all processes together, and in this process while Redis is away."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from importlib.resources import files

from redis.asyncio import Redis

from qhronos.clock import Clock
from qhronos.core.ratelimit import MICROSECONDS, Limit, Verdict, judge
from qhronos.errors import Unavailable
from qhronos.redis_link import translated

PATIENCE = 0.25  # seconds that a request waits for Redis before it is judged here
REST = 2.0  # seconds without asking Redis after it failed, so that not every request waits
KEPT = 10_000  # callers remembered in this process


class LocalLimiter:
    """Judges in this process alone, and remembers a bounded number of callers."""

    def __init__(self, clock: Clock, limit: Limit) -> None:
        self._clock = clock
        self._limit = limit
        self._tats: OrderedDict[str, int] = OrderedDict()

    def take(self, subject: str) -> Verdict:
        now = int(self._clock.monotonic() * MICROSECONDS)
        tat, verdict = judge(self._tats.pop(subject, 0), now, self._limit)
        self._tats[subject] = tat
        if len(self._tats) > KEPT:
            self._tats.popitem(last=False)
        return verdict


class Limiter:
    """Judges in Redis; softly: a Redis that is away or slow is never the caller's trouble."""

    def __init__(self, redis: Redis, prefix: str, clock: Clock, limit: Limit) -> None:
        self._prefix = prefix
        self._clock = clock
        self._limit = limit
        self._local = LocalLimiter(clock, limit)
        self._script = redis.register_script(files("qhronos.plan").joinpath("gcra.lua").read_text())
        self._asks_again_at = float("-inf")

    async def take(self, subject: str) -> Verdict:
        if self._clock.monotonic() < self._asks_again_at:
            return self._local.take(subject)
        try:
            return await self._ask(subject)
        except (Unavailable, TimeoutError):
            self._asks_again_at = self._clock.monotonic() + REST
            return self._local.take(subject)

    async def _ask(self, subject: str) -> Verdict:
        key = f"{self._prefix}:rate:{subject}"
        async with asyncio.timeout(PATIENCE), translated():
            allowed, *rest = await self._script(keys=[key], args=[self._limit.interval, self._limit.burst])
        remaining, retry_after, reset = (int(number) for number in rest)
        return Verdict(bool(allowed), self._limit.burst, remaining, retry_after, reset)
