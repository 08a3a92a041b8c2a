"""What the janitor does to the tables. Statements and their whys in upkeep.sql."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import sql

from qhronos.store import Connection, load_sql, pending
from qhronos.store.events import Brief

SQL = load_sql("upkeep")
IDEMPOTENCY = timedelta(hours=24)
TALLIES = timedelta(days=2)
PURGE = 10_000  # rows at once: a statement that took too long would never get anywhere
DEAD_WORKERS = timedelta(days=1)


async def lead(conn: Connection) -> bool:
    """Whether this transaction is the one that cleans up."""
    row = await (await conn.execute(SQL["try_lead"])).fetchone()
    return bool(row and row[0])


async def make_days_ahead(conn: Connection, now: datetime) -> None:
    await conn.execute(SQL["make_days_ahead"], {"today": now.date()})


async def complete_ended(conn: Connection, now: datetime, limit: int) -> list[Brief]:
    """Of events that have nothing left, whoever was to complete them. In a transaction of the caller's."""
    ended = await (await conn.execute(SQL["hold_ended_events"], {"limit": limit})).fetchall()
    return (await pending.complete_events(conn, [event_id for (event_id,) in ended], now)).completed


async def tidy(conn: Connection, now: datetime) -> None:
    """The small things of every pass."""
    await conn.execute(SQL["fold_tallies"], {"now": now})
    await conn.execute(SQL["purge_tallies"], {"before": now - TALLIES})
    await conn.execute(SQL["purge_idempotency_keys"], {"before": now - IDEMPOTENCY})
    await pending.forget_workers(conn, now - DEAD_WORKERS)


async def purge(conn: Connection, *, events: datetime, occurrences: datetime, audit: datetime) -> bool:
    """Remove a batch each of what ended before the given instants; whether that was all."""
    await conn.execute(SQL["purge_tokens"], {"before": audit})
    batches = {
        "purge_events": events,
        "purge_clients": events,
        "purge_past": occurrences,
        "purge_audit": audit,
        "purge_tzdata_changes": audit,
    }
    counts = [await _purge(conn, statement, before) for statement, before in batches.items()]
    return max(counts) < PURGE


async def _purge(conn: Connection, statement: str, before: datetime) -> int:
    row = await (await conn.execute(SQL[statement], {"before": before, "limit": PURGE})).fetchone()
    return int(row[0]) if row else 0


class OldDay(NamedTuple):
    partition: str
    parent: str | None  # None, or half detached: an earlier try was cut short
    half_detached: bool | None


async def old_days(conn: Connection, before: datetime) -> list[OldDay]:
    """Partitions that lie wholly before a day."""
    cursor = await conn.execute(SQL["list_old_days"], {"before": before.date()})
    return [OldDay(*row) for row in await cursor.fetchall()]


async def drop_day(conn: Connection, day: OldDay) -> None:
    """Detach without locking readers out, then drop. Outside a transaction."""
    partition = sql.Identifier(day.partition)
    if day.parent is not None:
        how = sql.SQL("FINALIZE" if day.half_detached else "CONCURRENTLY")
        detach = sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}")
        await conn.execute(detach.format(sql.Identifier(day.parent), partition, how))
    await conn.execute(sql.SQL("DROP TABLE {}").format(partition))


async def oldest_overdue(conn: Connection, now: datetime) -> datetime | None:
    row = await (await conn.execute(SQL["find_oldest_overdue"], {"now": now})).fetchone()
    return row[0] if row else None
