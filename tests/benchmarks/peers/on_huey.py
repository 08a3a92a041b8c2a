"""huey with Redis."""

from __future__ import annotations

import time

from huey import RedisHuey
from items import REDIS_SOCKET, enqueued, items, post

huey = RedisHuey("bench", url=f"unix://{REDIS_SOCKET}", results=False, utc=True)


@huey.task()
def job(item: int, due_ms: float) -> None:
    post(item, due_ms)


def enqueue() -> None:
    began = time.time()
    for each in items():
        job.schedule(tuple(each), eta=each.due.replace(tzinfo=None))
    enqueued(began)


if __name__ == "__main__":
    import on_huey

    on_huey.enqueue()
