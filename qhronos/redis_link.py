"""The connection to Redis that plan and broadcast share, and what its faults mean here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from qhronos.errors import Unavailable


def connect(url: str) -> Redis:
    """A client that never waits long and hardly retries by itself: the loops that call it do."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=2,  # for a free connection
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),  # once, for a pooled connection that the server has closed
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """What the driver raises when Redis is away or will not do it (full, read-only, not allowed), as Unavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("redis", str(error) or type(error).__name__) from error
