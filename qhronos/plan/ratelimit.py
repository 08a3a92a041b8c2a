"""The rate limit of each caller: kept in Redis for all processes together, and in this process while Redis is away."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from importlib.resources import files
from typing import TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError

from qhronos.clock import Clock
from qhronos.core.ratelimit import MICROSECONDS, Judged, Limit, Verdict, judge, verdict
from qhronos.log import get_logger

PATIENCE = 0.25  # seconds that requests wait for Redis before they are judged here
REST = 2.0  # seconds without asking Redis after it failed, so that not every request waits
KEPT = 10_000  # callers remembered in this process

Waiting: TypeAlias = dict[str, list[asyncio.Future[Verdict]]]

log = get_logger()


class LocalLimiter:
    """Judges in this process alone, and remembers a bounded number of callers."""

    def __init__(self, clock: Clock, limit: Limit) -> None:
        self._clock = clock
        self._limit = limit
        self._tats: OrderedDict[str, int] = OrderedDict()

    def take(self, subject: str) -> Verdict:
        return verdict(self.judge(subject, 1), self._limit)

    def judge(self, subject: str, count: int) -> Judged:
        now = int(self._clock.monotonic() * MICROSECONDS)
        self._tats[subject], judged = judge(self._tats.pop(subject, 0), now, self._limit, count)
        if len(self._tats) > KEPT:
            self._tats.popitem(last=False)
        return judged


class Limiter:
    """Judges in Redis; softly: a Redis that is away or slow is never the caller's trouble.

    Requests that come while Redis is being asked are asked for together, so a busy process pays for few questions.
    """

    def __init__(self, redis: Redis, prefix: str, clock: Clock, limit: Limit) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._limit = limit
        self._local = LocalLimiter(clock, limit)
        self._script = files("qhronos.plan").joinpath("gcra.lua").read_text()
        self._waiting: Waiting = defaultdict(list)
        self._asking: asyncio.Task[None] | None = None
        self._asks_again_at = float("-inf")

    async def take(self, subject: str) -> Verdict:
        if self._clock.monotonic() < self._asks_again_at:
            return self._local.take(subject)
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting[subject].append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        return await answer

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, defaultdict(list)
                for answers, judged in zip(waiting.values(), await self._judge(waiting), strict=True):
                    for place, answer in enumerate(answers):
                        if not answer.done():  # its request may have been given up
                            answer.set_result(verdict(judged, self._limit, place))
        finally:
            self._asking = None

    async def _judge(self, waiting: Waiting) -> list[Judged]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(waiting)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("ratelimit.kept_locally", error=str(error) or "redis took too long", seconds=REST)
            self._asks_again_at = self._clock.monotonic() + REST
            return [self._local.judge(subject, len(answers)) for subject, answers in waiting.items()]

    async def _ask(self, waiting: Waiting) -> list[Judged]:
        pipeline = self._redis.pipeline(transaction=False)
        for subject, answers in waiting.items():
            # The whole script each time: it is short, and a restarted Redis does not know it by its hash.
            pipeline.eval(self._script, 1, self._key(subject), self._limit.interval, self._limit.burst, len(answers))
        return [Judged(*(int(number) for number in numbers)) for numbers in await pipeline.execute()]

    def _key(self, subject: str) -> str:
        return f"{self._prefix}:rate:{subject}"
