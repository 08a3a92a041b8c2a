"""What an event promised, and what is recorded of it. Statements and their whys in ledger.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.ledger import Passed
from qhronos.core.occurrence import AT_HAND
from qhronos.store import Connection, load_sql
from qhronos.store.occurrences import Occurrence

SQL = load_sql("ledger")
NONE = UUID(int=0)


class Subject(Struct, frozen=True, kw_only=True):
    id: UUID
    status: str
    version: int
    expanded_until: datetime
    start_time: datetime


class Version(Struct, frozen=True, kw_only=True):
    version: int
    recurrence: msgspec.Raw
    policies: msgspec.Raw
    tzdata: str
    valid_from: datetime
    valid_until: datetime | None


class Window(NamedTuple):
    """[since, until) of one event."""

    event_id: UUID
    since: datetime
    until: datetime


async def subject(conn: Connection, event_id: UUID, scope: list[str] | None) -> Subject | None:
    """The event, deleted or not, if `scope` sees it."""
    async with conn.cursor(row_factory=class_row(Subject)) as cursor:
        await cursor.execute(SQL["get_subject"], {"event_id": event_id, "scope": scope})
        return await cursor.fetchone()


async def versions(conn: Connection, window: Window, grace: timedelta, limit: int) -> list[Version]:
    """The first `limit` that may have promised something of the window, in order."""
    async with conn.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(SQL["list_versions"], window._asdict() | {"grace": grace, "limit": limit})
        return await cursor.fetchall()


async def version(conn: Connection, event_id: UUID, number: int) -> Version | None:
    async with conn.cursor(row_factory=class_row(Version)) as cursor:
        await cursor.execute(SQL["get_version"], {"event_id": event_id, "version": number})
        return await cursor.fetchone()


async def gaps(conn: Connection, window: Window) -> list[Passed]:
    cursor = await conn.execute(SQL["list_gaps"], window._asdict())
    return [Passed(*row) for row in await cursor.fetchall()]


async def recorded(conn: Connection, window: Window, limit: int, now: datetime) -> list[Occurrence]:
    """What is open and what is closed, in the order of time, at most `limit`."""
    async with conn.cursor(row_factory=class_row(Occurrence)) as cursor:
        await cursor.execute(SQL["list_recorded"], window._asdict() | {"limit": limit, "begun": now + AT_HAND})
        return await cursor.fetchall()


async def by_wall(
    conn: Connection, window: Window, walls: Sequence[datetime], far: timedelta, now: datetime
) -> list[Occurrence]:
    """What lies outside of the window, by no more than `far`, and has one of these local times."""
    params = window._asdict() | {"walls": list(walls), "far": far, "begun": now + AT_HAND}
    async with conn.cursor(row_factory=class_row(Occurrence)) as cursor:
        await cursor.execute(SQL["find_by_wall"], params)
        return await cursor.fetchall()


async def moved(conn: Connection, event_id: UUID, due_ats: Sequence[datetime]) -> set[datetime]:
    """Those of the instants that were moved by hand."""
    cursor = await conn.execute(SQL["find_moved"], {"event_id": event_id, "due_ats": list(due_ats)})
    return {due_at for (due_at,) in await cursor.fetchall()}


async def kept_since(conn: Connection, cutoff: datetime) -> datetime:
    """From when on nothing has been dropped, given that days before that of `cutoff` may have been."""
    kept = datetime.combine(cutoff.astimezone(UTC), time.min, UTC)
    row = await (await conn.execute(SQL["find_kept_since"])).fetchone()
    first, floor = row or (None, None)
    if first is None or first <= floor:
        return kept
    return max(kept, datetime.combine(first, time.min, UTC))


async def active_after(conn: Connection, after: UUID, limit: int) -> list[UUID]:
    cursor = await conn.execute(SQL["list_active_after"], {"after": after, "limit": limit})
    return [event_id for (event_id,) in await cursor.fetchall()]
