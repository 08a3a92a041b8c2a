"""Postgres' clock, the one that decides."""

from __future__ import annotations

from datetime import datetime

from qhronos.store import Connection, load_sql

SQL = load_sql("clock")


async def read(conn: Connection) -> datetime:
    row = await (await conn.execute(SQL["read_clock"])).fetchone()
    assert row is not None  # noqa: S101 - a select without FROM has one row
    instant: datetime = row[0]
    return instant
