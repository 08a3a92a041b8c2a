"""Occurrences that take turns. Statements and their whys in lanes.sql."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg.rows import class_row

from qhronos.store import Connection, load_sql
from qhronos.store.pending import Claimed, Entry

SQL = load_sql("lanes")


async def claim(
    conn: Connection, lanes: Iterable[str], *, now: datetime, lease_until: datetime, worker: int
) -> list[Claimed]:
    """Take hold of what has its turn, and of what is to be skipped because it has none; inside a transaction."""
    names = await _hold(conn, lanes)
    params = {"lanes": names, "now": now, "lease_until": lease_until, "worker": worker}
    async with conn.cursor(row_factory=class_row(Claimed)) as cursor:
        await cursor.execute(SQL["claim_in_lanes"], params)
        return await cursor.fetchall()


async def free(conn: Connection, lanes: Iterable[str]) -> list[Entry]:
    """Let in whoever has a turn by now; inside a transaction."""
    cursor = await conn.execute(SQL["free_lanes"], {"lanes": await _hold(conn, lanes)})
    return [Entry(*row) for row in await cursor.fetchall()]


async def free_stray(conn: Connection) -> list[Entry]:
    """What waits for a turn that it need not wait for any more."""
    return [Entry(*row) for row in await (await conn.execute(SQL["free_stray"])).fetchall()]


async def waited_in(conn: Connection, limit: int) -> list[str | None]:
    """The lanes in which something waits; None: something waits though its event is in none."""
    return [lane for (lane,) in await (await conn.execute(SQL["list_waited_in"], {"limit": limit})).fetchall()]


async def _hold(conn: Connection, lanes: Iterable[str]) -> list[str]:
    names = sorted(set(lanes))  # in one order, so that nobody waits in a circle
    await conn.execute(SQL["lock_lanes"], {"lanes": names})
    return names
