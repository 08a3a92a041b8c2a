"""APScheduler 3: scheduler and worker are one process. STORE=redis keeps the jobs in Redis."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import uvloop
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from items import REDIS_SOCKET, enqueued, items, post_async


async def job(item: int, due_ms: float) -> None:
    await post_async(item, due_ms)


async def main() -> None:
    import on_apscheduler  # noqa: PLC0415 - the store refers to the job by its module

    scheduler = AsyncIOScheduler(job_defaults={"misfire_grace_time": None}, timezone="UTC")
    if os.environ.get("STORE") == "redis":
        scheduler.add_jobstore(RedisJobStore(unix_socket_path=REDIS_SOCKET))
    scheduler.start(paused=True)
    began = time.time()
    for each in items():
        scheduler.add_job(on_apscheduler.job, DateTrigger(each.due), args=tuple(each))
    enqueued(began)
    scheduler.resume()
    await asyncio.Event().wait()


if __name__ == "__main__":
    assert sys.argv[1] == "both"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
