"""The secrets of events, sealed. Nothing else reads them but a claim. Statements and their whys in secrets.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from psycopg.rows import class_row

from qhronos.store import Connection, load_sql

SQL = load_sql("secrets")
FIRST = UUID(int=0)


class Sealed(Struct, frozen=True, kw_only=True):
    """Of one event. `hmac_plain` is from before there were seals, and counts before `hmac_sealed`; writing drops it."""

    id: UUID
    hmac_plain: str | None = None
    hmac_sealed: bytes | None = None
    hmac_previous: bytes | None = None
    hmac_previous_until: datetime | None = None
    headers_sealed: bytes | None = None


COLUMNS = ("id", "hmac_sealed", "hmac_previous", "hmac_previous_until", "headers_sealed")


async def get(conn: Connection, event_id: UUID) -> Sealed:
    async with conn.cursor(row_factory=class_row(Sealed)) as cursor:
        await cursor.execute(SQL["get_secrets"], {"id": event_id})
        return await cursor.fetchone() or Sealed(id=event_id)


async def put(conn: Connection, rows: Sequence[Sealed]) -> None:
    """In place of what their events had."""
    if rows:
        await conn.execute(SQL["put_secrets"], {name: [getattr(row, name) for row in rows] for name in COLUMNS})


async def page(conn: Connection, after: UUID, limit: int) -> list[Sealed]:
    """Those of events after `after`."""
    async with conn.cursor(row_factory=class_row(Sealed)) as cursor:
        await cursor.execute(SQL["list_secrets"], {"after": after, "limit": limit})
        return await cursor.fetchall()


async def hold(conn: Connection, ids: Sequence[UUID]) -> list[Sealed]:
    """Those of these events, held until the transaction ends, but for what somebody else holds."""
    async with conn.cursor(row_factory=class_row(Sealed)) as cursor:
        await cursor.execute(SQL["hold_secrets"], {"ids": list(ids)})
        return await cursor.fetchall()


async def are_there(conn: Connection) -> bool:
    """Whether any event has a secret."""
    row = await (await conn.execute(SQL["find_any"])).fetchone()
    return bool(row and row[0])


async def end_overlaps(conn: Connection, now: datetime, limit: int) -> None:
    """Forget, a batch at a time, what no longer signs."""
    await conn.execute(SQL["end_overlaps"], {"now": now, "limit": limit})
