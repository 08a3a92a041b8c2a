"""RQ."""

from __future__ import annotations

import time

from items import REDIS_SOCKET, enqueued, items, post
from redis import Redis
from rq import Queue


def job(item: int, due_ms: float) -> None:
    post(item, due_ms)


def enqueue() -> None:
    queue = Queue("default", connection=Redis(unix_socket_path=REDIS_SOCKET))
    began = time.time()
    for each in items():
        queue.enqueue_at(each.due, job, *each, result_ttl=0)
    enqueued(began)


if __name__ == "__main__":
    import on_rq

    on_rq.enqueue()
