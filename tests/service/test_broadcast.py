from __future__ import annotations

import asyncio

import pytest

from qhronos.broadcast import Broadcast
from qhronos.clock import SystemClock
from qhronos.redis_link import connect


@pytest.mark.parametrize("turns", range(60))
async def test_following_ends_when_it_is_told_to_whatever_it_is_at(redis_url, redis_prefix, turns):
    redis = connect(redis_url)
    following = asyncio.create_task(
        Broadcast(redis, redis_prefix).follow(SystemClock(), asyncio.Event(), lambda _: None)
    )
    for _ in range(turns):
        await asyncio.sleep(0)  # noqa: TID251 - lets it get a little further

    following.cancel()

    done, _ = await asyncio.wait([following], timeout=5)
    assert {following} == done
    await redis.aclose()
