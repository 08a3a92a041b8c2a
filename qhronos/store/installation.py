"""What all processes of an installation must agree on."""

from __future__ import annotations

from qhronos.store import Connection, load_sql

SQL = load_sql("installation")


async def plan_shards(conn: Connection) -> int:
    """Into how many shards the plan is divided."""
    row = await (await conn.execute(SQL["read_plan_shards"])).fetchone()
    assert row is not None  # noqa: S101 - the first migration writes the one row
    return int(row[0])
