"""The limit in Redis: the same arithmetic as the core's, atomic, and gone when it is whole again."""

from __future__ import annotations

import asyncio

import pytest

from qhronos.core.ratelimit import limit_of
from qhronos.plan.ratelimit import Limiter, LocalLimiter
from qhronos.redis_link import connect

SLOW = limit_of(0.01, burst=5)  # nothing comes back while a test runs


@pytest.fixture
async def redis(redis_url):
    client = connect(redis_url)
    yield client
    await client.aclose()
    await client.connection_pool.disconnect()


async def test_redis_judges_as_the_core_does(redis, redis_prefix, clock):
    there, here = Limiter(redis, redis_prefix, clock, SLOW), LocalLimiter(clock, SLOW)
    for _ in range(8):
        judged, expected = await there.take("ada"), here.take("ada")

        assert (expected.allowed, expected.limit, expected.remaining) == (
            judged.allowed,
            judged.limit,
            judged.remaining,
        )
        # Its clock runs while ours stands.
        assert abs(expected.reset - judged.reset) < 60_000_000
        assert abs(expected.retry_after - judged.retry_after) < 60_000_000


async def test_requests_at_once_do_not_get_more_than_the_burst(redis, redis_prefix, clock):
    limiters = [Limiter(redis, redis_prefix, clock, SLOW) for _ in range(3)]
    verdicts = await asyncio.gather(*(limiter.take("ada") for limiter in limiters for _ in range(20)))

    assert 5 == sum(verdict.allowed for verdict in verdicts)
    assert [0, 1, 2, 3, 4] == sorted(verdict.remaining for verdict in verdicts if verdict.allowed)


async def test_callers_that_wait_together_are_judged_each_by_their_own(redis, redis_prefix, clock):
    limiter = Limiter(redis, redis_prefix, clock, SLOW)
    verdicts = await asyncio.gather(*(limiter.take(subject) for subject in ("ada", "bob") for _ in range(6)))

    assert [True] * 5 + [False] + [True] * 5 + [False] == [verdict.allowed for verdict in verdicts]


async def test_one_who_gives_up_waiting_leaves_the_others_their_answers(redis, redis_prefix, clock):
    limiter = Limiter(redis, redis_prefix, clock, SLOW)
    waiting = [asyncio.create_task(limiter.take("ada")) for _ in range(3)]
    await asyncio.sleep(0)  # noqa: TID251 - they are waiting now
    waiting[1].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [True, True] == [answer.allowed for answer in (answers[0], answers[2])]


async def test_an_allowance_is_forgotten_when_it_is_whole(redis, redis_prefix, clock):
    await Limiter(redis, redis_prefix, clock, SLOW).take("ada")

    assert 0 < await redis.pttl(f"{redis_prefix}:rate:ada") <= 100_000


async def test_a_redis_that_answers_nonsense_is_treated_as_away(redis, redis_prefix, clock):
    await redis.lpush(f"{redis_prefix}:rate:ada", "not a number")
    limiter = Limiter(redis, redis_prefix, clock, SLOW)

    assert [True] * 5 + [False] == [(await limiter.take("ada")).allowed for _ in range(6)]


async def test_redis_is_asked_again_after_a_rest(redis, redis_prefix, clock):
    limiter = Limiter(redis, redis_prefix, clock, SLOW)
    await redis.lpush(f"{redis_prefix}:rate:ada", "not a number")
    await limiter.take("ada")
    await redis.delete(f"{redis_prefix}:rate:ada")
    await limiter.take("ada")

    assert not await redis.exists(f"{redis_prefix}:rate:ada")

    clock.advance(2.1)
    await limiter.take("ada")

    assert await redis.exists(f"{redis_prefix}:rate:ada")
