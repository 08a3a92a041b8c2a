"""How many there are of what, at a bounded price."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.rows import class_row

from qhronos.store import Connection, load_sql

SQL = load_sql("tallies")

MOST = 10_000  # no count goes further


class Open(NamedTuple):
    scheduled: int
    dispatched: int
    overdue: int


class Closed(NamedTuple):
    last_hour: Mapping[str, int]
    last_day: Mapping[str, int]


async def count_events(conn: Connection, scope: list[str] | None) -> dict[str, int]:
    """By status. More than MOST in all: at least so many."""
    params = {"scope": scope, "limit": MOST + 1}
    return dict(await (await conn.execute(SQL["count_events"], params, prepare=False)).fetchall())


async def count_open(conn: Connection, scope: list[str] | None, overdue: datetime) -> Open:
    """Overdue is what should have been claimed before that instant. A count of more than MOST is at least so many."""
    statement = SQL["count_open"] if scope is None else SQL["count_open_in_scope"]
    async with conn.cursor(row_factory=class_row(Open)) as cursor:
        await cursor.execute(statement, {"scope": scope, "overdue": overdue, "limit": MOST + 1}, prepare=False)
        found = await cursor.fetchone()
    return found or Open(0, 0, 0)


async def sum_closed(conn: Connection, now: datetime) -> Closed:
    """Closed occurrences by how they ended."""
    spans = {"hour": now - timedelta(hours=1), "day": now - timedelta(days=1)}
    rows = await (await conn.execute(SQL["sum_closed"], spans)).fetchall()
    return Closed(
        last_hour={status: hour for status, hour, _ in rows if hour}, last_day={status: day for status, _, day in rows}
    )
