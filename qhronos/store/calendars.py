"""Business calendars as they are stored, and the events that name them. Statements and their whys in calendars.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
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
    etag: str | None
    last_modified: str | None
    fetch_every: timedelta | None  # None: it is not read again
    fetched_at: datetime | None
    next_fetch_at: datetime | None
    error: str | None
    changed_at: datetime
    followed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Content(NamedTuple):
    """What a source says, and how often it is to be asked."""

    dates: tuple[date, ...]
    known_until: date
    fetch_every: timedelta | None = None  # None: it is not asked again
    etag: str | None = None
    last_modified: str | None = None


class User(NamedTuple):
    """An event that names a calendar."""

    id: UUID
    name: str
    status: str


async def put(
    conn: Connection, name: str, source: str, weekend: Sequence[str], content: Content, now: datetime
) -> Calendar:
    """Make it, or make it anew. `source` is JSON."""
    params = {"name": name, "source": source, "weekend": list(weekend), "now": now}
    (made,) = await _calendars(conn, "put_calendar", params | _params(content))
    return made


async def page(conn: Connection, after: str | None, limit: int) -> list[Calendar]:
    return await _calendars(conn, "list_calendars", {"after": after, "limit": limit})


async def find(conn: Connection, names: Collection[str]) -> dict[str, Calendar]:
    """Those that there are."""
    return {row.name: row for row in await _calendars(conn, "find_calendars", {"names": list(names)})}


async def names(conn: Connection) -> list[str]:
    return [row[0] for row in await (await conn.execute(SQL["list_names"])).fetchall()]


async def lock(conn: Connection, name: str) -> bool:
    """Hold it until the transaction ends; false if there is none."""
    return await (await conn.execute(SQL["lock_calendar"], {"name": name})).fetchone() is not None


async def take_stale(conn: Connection, now: datetime, retry_at: datetime) -> Calendar | None:
    """One that is to be read again; nobody else is given it before `retry_at`."""
    found = await _calendars(conn, "take_stale", {"now": now, "retry_at": retry_at})
    return found[0] if found else None


async def refresh(conn: Connection, calendar: Calendar, content: Content, now: datetime) -> bool:
    """What was read of it; whether that is something else than before."""
    changed = (tuple(calendar.dates), calendar.known_until) != (content.dates, content.known_until)
    params = _params(content) | {"name": calendar.name, "seen": calendar.changed_at, "changed": changed, "now": now}
    done = await conn.execute(SQL["refresh"], params)
    return changed and done.rowcount == 1


async def fail(conn: Connection, calendar: Calendar, error: str, next_fetch_at: datetime) -> None:
    """It could not be read; what it said before stays in force."""
    params = {"name": calendar.name, "seen": calendar.changed_at, "error": error, "next_fetch_at": next_fetch_at}
    await conn.execute(SQL["fail"], params)


async def unfollowed(conn: Connection) -> list[tuple[str, datetime]]:
    """Those whose events may have older copies, and since when."""
    return [(row[0], row[1]) for row in await (await conn.execute(SQL["list_unfollowed"])).fetchall()]


async def followed(conn: Connection, name: str, seen: datetime, now: datetime) -> None:
    """All events have what the calendar said at `seen`."""
    await conn.execute(SQL["followed"], {"name": name, "seen": seen, "now": now})


async def users(conn: Connection, name: str, after: UUID | None, limit: int) -> list[User]:
    cursor = await conn.execute(SQL["list_users"], {"name": name, "after": after, "limit": limit})
    return [User(*row) for row in await cursor.fetchall()]


async def delete(conn: Connection, name: str) -> None:
    await conn.execute(SQL["delete_calendar"], {"name": name})


async def _calendars(conn: Connection, statement: str, params: dict[str, Any]) -> list[Calendar]:
    async with conn.cursor(row_factory=class_row(Calendar)) as cursor:
        await cursor.execute(SQL[statement], params)
        return await cursor.fetchall()


def _params(content: Content) -> dict[str, Any]:
    return content._asdict() | {"dates": list(content.dates)}
