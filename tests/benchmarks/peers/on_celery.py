"""Celery with Redis, tasks with an ETA, acknowledged when they are done."""

from __future__ import annotations

import time

from celery import Celery
from items import REDIS_SOCKET, enqueued, items, post

app = Celery("on_celery", broker=f"redis+socket://{REDIS_SOCKET}")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=8,
    broker_transport_options={"visibility_timeout": 3600},
)


@app.task
def job(item: int, due_ms: float) -> None:
    post(item, due_ms)


def enqueue() -> None:
    began = time.time()
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for each in items():
            job.apply_async(tuple(each), eta=each.due, producer=producer)
    enqueued(began)


if __name__ == "__main__":
    import on_celery

    on_celery.enqueue()
