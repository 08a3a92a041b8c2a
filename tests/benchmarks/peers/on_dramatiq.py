"""dramatiq with Redis, messages with a delay."""

from __future__ import annotations

import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from items import REDIS_SOCKET, enqueued, items, post

dramatiq.set_broker(RedisBroker(client=redis.Redis(unix_socket_path=REDIS_SOCKET)))


@dramatiq.actor(max_retries=3)
def job(item: int, due_ms: float) -> None:
    post(item, due_ms)


def enqueue() -> None:
    began = time.time()
    for each in items():
        delay = max(0, int(each.due_ms - time.time() * 1e3) + 1)
        job.send_with_options(args=tuple(each), delay=delay)
    enqueued(began)


if __name__ == "__main__":
    import on_dramatiq

    on_dramatiq.enqueue()
