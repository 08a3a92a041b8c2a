"""What the expander reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.window import Advance
from qhronos.store import Connection, load_sql
from qhronos.store.events import Brief

SQL = load_sql("expansion")


class Expandable(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    recurrence: msgspec.Raw
    policies: msgspec.Raw
    expanded_until: datetime


class NewGap(NamedTuple):
    event_id: UUID
    since: datetime
    until: datetime
    instants: int
    reason: str


async def take(conn: Connection, now: datetime, limit: int, tzdata: str) -> list[Expandable]:
    """Events with these zone rules whose time to expand has come, locked until the transaction ends."""
    async with conn.cursor(row_factory=class_row(Expandable)) as cursor:
        await cursor.execute(SQL["take_expandable"], {"now": now, "limit": limit, "tzdata": tzdata})
        return await cursor.fetchall()


async def next_at(conn: Connection, tzdata: str) -> datetime | None:
    """When the time to expand comes of the next event with these zone rules."""
    row = await (await conn.execute(SQL["next_expansion"], {"tzdata": tzdata})).fetchone()
    return row[0] if row else None


async def record(conn: Connection, advances: Sequence[tuple[UUID, Advance]]) -> None:
    """Move the cursors."""
    params = {
        "event_ids": [event_id for event_id, _ in advances],
        "expanded_untils": [advance.expanded_until for _, advance in advances],
        "next_due_ats": [advance.next_due_at for _, advance in advances],
        "next_expand_ats": [advance.next_expand_at for _, advance in advances],
    }
    await conn.execute(SQL["record_expansion"], params)


async def record_gaps(conn: Connection, gaps: Sequence[NewGap]) -> None:
    if gaps:
        event_ids, sinces, untils, counts, reasons = map(list, zip(*gaps, strict=True))
        params = {"event_ids": event_ids, "sinces": sinces, "untils": untils, "counts": counts, "reasons": reasons}
        await conn.execute(SQL["insert_gaps"], params)


async def quarantine(conn: Connection, event_id: UUID, reason: str, now: datetime) -> list[Brief]:
    """None, if it is not there any more."""
    params = {"event_id": event_id, "reason": reason, "now": now}
    return [Brief(*row) for row in await (await conn.execute(SQL["quarantine"], params)).fetchall()]
