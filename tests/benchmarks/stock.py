"""Many stored events, each with an open occurrence that is planned for next month: put straight into the stores."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
from redis.asyncio import Redis

from qhronos.core.occurrence import Identity
from qhronos.plan import Plan
from tests.benchmarks import ours
from tests.benchmarks.work import Work

DAYS = 30 * 86_400.0
CHUNK = 50_000
PLANNED = 10_000  # at once
# All that one event of the API's has, again under another id and for another instant.
COPIED = {
    "events": {"id": "made.id", "name": "name || ' ' || made.number", "start_time": "made.due_at"},
    "event_versions": {"event_id": "made.id"},
    "pending": {"event_id": "made.id", "due_at": "made.due_at", "fire_at": "made.due_at"},
}


class Stock:
    def __init__(self, fleet: ours.Fleet) -> None:
        self.count = 1
        self._fleet = fleet
        work = Work(1, first=math.ceil(time.time() + DAYS))
        fleet.create([fleet.event(work, 0)])
        ((self._model, self._first),) = fleet.query("SELECT event_id, due_at FROM pending")
        ((self._shards,),) = fleet.query("SELECT plan_shards FROM installation")

    def grow(self, count: int) -> None:
        """To so many. What the stores would do about it later, they do at once."""
        with psycopg.connect(self._fleet.database_url, autocommit=True) as connection:
            while self.count < count:
                some = min(CHUNK, count - self.count)
                entries = self._copy(connection, some)
                asyncio.run(self._plan(entries))
                self.count += some
            for table in COPIED:
                connection.execute(f"VACUUM (ANALYZE) {table}".encode())
            connection.execute("CHECKPOINT")

    def _copy(self, connection: psycopg.Connection, count: int) -> list[tuple[Identity, object]]:
        first = self._first + timedelta(milliseconds=100 * self.count)
        with connection.transaction():
            connection.execute(
                "CREATE TEMP TABLE made ON COMMIT DROP AS SELECT uuidv7() AS id, %b::int + n AS number,"
                " %b::timestamptz + n * interval '100 milliseconds' AS due_at FROM generate_series(0, %b::int - 1) AS n",
                [self.count, first, count],
            )
            for table, changed in COPIED.items():
                connection.execute(self._insertion(connection, table, changed), [self._model])
            rows = connection.execute("SELECT id, due_at FROM made").fetchall()
        return [(Identity(event_id, due_at), due_at) for event_id, due_at in rows]

    def _insertion(self, connection: psycopg.Connection, table: str, changed: dict[str, str]) -> bytes:
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = %s AND table_schema = 'public' AND is_generated = 'NEVER'",
            [table],
        )
        columns = [name for (name,) in found]
        values = [changed.get(name, f"model.{name}") for name in columns]
        key = "id" if table == "events" else "event_id"
        text = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM made, {table} AS model"  # noqa: S608 - names of the schema
        return f"{text} WHERE model.{key} = %s".encode()

    async def _plan(self, entries: list[tuple[Identity, object]]) -> None:
        async with Redis.from_url(self._fleet.bed.redis_url) as client:
            plan = Plan(client, "qhronos", self._shards)
            for some in parts(entries):
                await plan.add(some)


def parts(entries: list[tuple[Identity, object]]) -> Iterator[list[tuple[Identity, object]]]:
    for begin in range(0, len(entries), PLANNED):
        yield entries[begin : begin + PLANNED]
