"""procrastinate on Postgres."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from items import DATABASE_URL, enqueued, items, post_async
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=DATABASE_URL, max_size=20))
BATCH = 500
CALLERS = 16


@app.task(name="job")
async def job(item: int, due_ms: float) -> None:
    await post_async(item, due_ms)


async def enqueue() -> None:
    """What is due at the same instant in batches; what is not one by one, as it has to be."""
    began = time.time()
    groups = groupby(items(), key=lambda each: each.due)
    batches = iter([(due, [each._asdict() for each in same]) for due, same in groups])
    await asyncio.gather(*(some(batches) for _ in range(CALLERS)))
    enqueued(began)


async def some(batches: Iterator[tuple[datetime, list[dict[str, float]]]]) -> None:
    for due, waiting in batches:
        for begin in range(0, len(waiting), BATCH):
            await job.configure(schedule_at=due).batch_defer_async(*waiting[begin : begin + BATCH])


async def main(what: str) -> None:
    async with app.open_async():
        if what == "schema":
            await app.schema_manager.apply_schema_async()
        elif what == "enqueue":
            await enqueue()
        else:
            await app.run_worker_async(
                concurrency=100, fetch_job_polling_interval=0.1, delete_jobs="always", install_signal_handlers=False
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
