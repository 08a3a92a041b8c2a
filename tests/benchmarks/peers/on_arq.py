"""arq."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import run_worker
from items import REDIS_SOCKET, enqueued, items, post_async

SETTINGS = RedisSettings(unix_socket_path=REDIS_SOCKET, max_connections=200)
CALLERS = 50


async def job(_context: dict[str, Any], item: int, due_ms: float) -> None:
    await post_async(item, due_ms)


class Worker:
    functions: ClassVar = [job]
    redis_settings = SETTINGS
    max_jobs = 200
    queue_read_limit = 1000
    poll_delay = 0.05
    keep_result = 0
    job_timeout = 120
    log_results = False


async def enqueue() -> None:
    pool = await create_pool(SETTINGS)
    began = time.time()
    await asyncio.gather(*(some(pool, number) for number in range(CALLERS)))
    enqueued(began)


async def some(pool: ArqRedis, number: int) -> None:
    for each in items(number, CALLERS):
        await pool.enqueue_job("job", *each, _defer_until=each.due, _expires=3600)


if __name__ == "__main__":
    import sys

    uvloop.install()
    if sys.argv[1] == "enqueue":
        asyncio.run(enqueue())
    else:
        asyncio.set_event_loop(uvloop.new_event_loop())
        run_worker(Worker)
