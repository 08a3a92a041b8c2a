"""Business calendars as they are stored, and the events that name them. Statements and their whys in calendars.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.store import Connection, load_sql

SQL = load_sql("calendars")


class Calendar(Struct, frozen=True, kw_only=True):
    name: str
    source: msgspec.Raw
    weekend: Sequence[str]
    dates: Sequence[date]
    known_until: date
    error: str | None
    created_at: datetime
    updated_at: datetime


class User(NamedTuple):
    """An event that names a calendar."""

    id: UUID
    name: str
    status: str


async def put(
    conn: Connection,
    name: str,
    source: str,
    weekend: Sequence[str],
    dates: Sequence[date],
    known_until: date,
    now: datetime,
) -> Calendar:
    """Make it, or make it anew. `source` is JSON."""
    params = {
        "name": name,
        "source": source,
        "weekend": list(weekend),
        "dates": list(dates),
        "known_until": known_until,
        "now": now,
    }
    async with conn.cursor(row_factory=class_row(Calendar)) as cursor:
        await cursor.execute(SQL["put_calendar"], params)
        (made,) = await cursor.fetchall()
        return made


async def page(conn: Connection, after: str | None, limit: int) -> list[Calendar]:
    async with conn.cursor(row_factory=class_row(Calendar)) as cursor:
        await cursor.execute(SQL["list_calendars"], {"after": after, "limit": limit})
        return await cursor.fetchall()


async def find(conn: Connection, names: Collection[str]) -> dict[str, Calendar]:
    """Those that there are."""
    async with conn.cursor(row_factory=class_row(Calendar)) as cursor:
        await cursor.execute(SQL["find_calendars"], {"names": list(names)})
        return {row.name: row for row in await cursor.fetchall()}


async def names(conn: Connection) -> list[str]:
    return [row[0] for row in await (await conn.execute(SQL["list_names"])).fetchall()]


async def lock(conn: Connection, name: str) -> bool:
    """Hold it until the transaction ends; false if there is none."""
    return await (await conn.execute(SQL["lock_calendar"], {"name": name})).fetchone() is not None


async def users(conn: Connection, name: str, after: UUID | None, limit: int) -> list[User]:
    cursor = await conn.execute(SQL["list_users"], {"name": name, "after": after, "limit": limit})
    return [User(*row) for row in await cursor.fetchall()]


async def delete(conn: Connection, name: str) -> None:
    await conn.execute(SQL["delete_calendar"], {"name": name})
