"""Circuit breakers: an endpoint that fails and fails is given a rest, by all dispatchers together.

Kept in Redis, under one hash tag, and looked at once a second at most: what is known in between is a second old. While
Redis is away every breaker counts as closed. Endpoints are named by a hash: what a URL says may be a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.core.occurrence import instant, microseconds
from qhronos.log import get_logger

FRESH = 1.0  # seconds for which what was read counts
PATIENCE = 0.25  # seconds that a delivery waits for Redis before it goes without
REST = 2.0  # seconds without asking Redis after it failed
PROBE = timedelta(seconds=65)  # after which nothing is heard of a probe any more: no request takes longer
PROBING = timedelta(seconds=5)  # for which others wait while a probe is under way
FORGOTTEN = timedelta(hours=2)  # after its rest, if nobody has tried

log = get_logger()


class Admission(NamedTuple):
    """`pause`: how long not to ask again; None: go. Whoever was admitted tells what came of it."""

    pause: timedelta | None = None
    is_probe: bool = False


GO = Admission()


class Results:
    """What came of requests to an endpoint since it was told last."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.place = ""
        self.at = 0


class Breakers:
    def __init__(self, redis: Redis, prefix: str, clock: Clock) -> None:
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._tell = _script("breaker")
        self._probe = _script("probe")
        self._open: dict[str, datetime] = {}
        self._results: defaultdict[str, Results] = defaultdict(Results)
        self._reading: asyncio.Task[None] | None = None
        self._fresh_until = float("-inf")

    async def admit(self, endpoint: str) -> Admission:
        """May a request go there? Never fails: if nothing is known, it may."""
        if self._clock.monotonic() >= self._fresh_until:
            self._reading = self._reading or asyncio.create_task(self._exchange())
            await asyncio.shield(self._reading)
        name = _name(endpoint)
        until = self._open.get(name)
        if until is None:
            return GO
        now = self._clock.now()
        return Admission(until - now) if until > now else await self._ask_to_probe(name, now)

    async def tell(self, endpoint: str, place: str, admission: Admission, *, failed: bool | None) -> None:
        """What came of a request that was admitted; `failed` None: nothing that says anything of the endpoint."""
        name = _name(endpoint)
        if admission.is_probe:
            await self._tell_probe(name, place, failed=failed)
        elif failed is not None:
            results = self._results[name]
            results.answered += not failed
            results.failed += failed
            results.place = place
            results.at = microseconds(self._clock.now())

    async def _exchange(self) -> None:
        """Tell what came of requests here, and read which breakers are open."""
        try:
            results, self._results = self._results, defaultdict(Results)
            now = self._clock.now()
            pipeline = self._redis.pipeline(transaction=False)
            for name, each in results.items():
                counts = (each.answered, each.failed, 0, each.at)
                pipeline.eval(self._tell, 2, *self._keys(name), microseconds(now), name, *counts)
            pipeline.zremrangebyscore(self._key("open"), "-inf", microseconds(now - FORGOTTEN))
            pipeline.zrange(self._key("open"), 0, -1, withscores=True)
            async with asyncio.timeout(PATIENCE):
                *ends, _, found = await pipeline.execute()
            for each, end in zip(results.values(), ends, strict=True):
                _note(end.decode(), each.place)
            self._open = {name.decode(): instant(int(score)) for name, score in found}
            self._fresh_until = self._clock.monotonic() + FRESH
        except (RedisError, OSError, TimeoutError) as error:
            self._give_up(error)
        finally:
            self._reading = None
            metrics.BREAKERS_OPEN.set(len(self._open))

    async def _ask_to_probe(self, name: str, now: datetime) -> Admission:
        args = (*self._keys(name), microseconds(now), name, microseconds(now + PROBE))
        try:
            async with asyncio.timeout(PATIENCE):
                answer = (await self._redis.eval(self._probe, 2, *args)).decode()
        except (RedisError, OSError, TimeoutError) as error:
            self._give_up(error)
            return GO
        return {"probe": Admission(is_probe=True), "open": Admission(PROBING)}.get(answer, GO)

    async def _tell_probe(self, name: str, place: str, *, failed: bool | None) -> None:
        now = microseconds(self._clock.now())
        args = (*self._keys(name), now, name, int(failed is False), int(failed is True), 1, now)
        try:
            async with asyncio.timeout(PATIENCE):
                _note((await self._redis.eval(self._tell, 2, *args)).decode(), place)
        except (RedisError, OSError, TimeoutError) as error:
            self._give_up(error)
        else:
            self._fresh_until = float("-inf")  # it has changed

    def _give_up(self, error: Exception) -> None:
        log.warning("breakers.ignored", error=str(error) or "redis took too long", seconds=REST)
        self._open = {}
        self._fresh_until = self._clock.monotonic() + REST

    def _keys(self, name: str) -> tuple[str, str]:
        return self._key(name), self._key("open")

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{{breakers}}:{name}"


def _script(name: str) -> str:
    return files("qhronos.plan").joinpath(f"{name}.lua").read_text()


@lru_cache(maxsize=4096)
def _name(endpoint: str) -> str:
    return hashlib.blake2b(endpoint.encode(), digest_size=16).hexdigest()


def _note(end: str, place: str) -> None:
    if not end:
        return
    metrics.BREAKER_CHANGES.labels(end).inc()
    if end == "closed":
        log.info("breaker.closed", place=place)
    else:
        log.warning("breaker.opened", place=place, again=end == "reopened")
