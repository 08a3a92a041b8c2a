"""Which events have the zone rules of which release, and what following to newer ones does. Their whys in zonerules.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.follow import Row
from qhronos.store import Connection, load_sql
from qhronos.store.pending import Entry

SQL = load_sql("zonerules")
Kind: TypeAlias = Literal["moved", "added", "removed", "kept_back"]

# What fires sooner may have begun before we get to it.
MARGIN = timedelta(seconds=1)


class Apart(NamedTuple):
    """Whether events have older rules than ours, or newer ones."""

    behind: bool
    ahead: bool


class Behind(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    recurrence: msgspec.Raw
    start_time: datetime
    tzdata: str


class Cursor(NamedTuple):
    event_id: UUID
    expanded_until: datetime
    next_due_at: datetime | None


class Taken(NamedTuple):
    """A row that left its instant; `held`: a dispatcher had it in hand."""

    due_at: datetime
    held: bool
    move_to: datetime | None
    payload: str | None


class Put(NamedTuple):
    due_at: datetime
    wall: datetime
    move_to: datetime | None = None
    payload: str | None = None


class Change(NamedTuple):
    change: Kind
    wall: datetime | None
    before: datetime | None
    after: datetime | None


class Recorded(Struct, frozen=True, kw_only=True):
    """`was` and `became` are versions of the zone rules."""

    id: int
    at: datetime
    event_id: UUID
    event_name: str
    timezone: str
    was: str
    became: str
    change: Kind
    wall: datetime | None
    before: datetime | None
    after: datetime | None


async def apart(conn: Connection, tzdata: str) -> Apart:
    row = await (await conn.execute(SQL["look_apart"], {"tzdata": tzdata})).fetchone()
    return Apart(*row) if row else Apart(behind=False, ahead=False)


async def count_apart(conn: Connection, tzdata: str) -> tuple[int, int]:
    """How many events have older rules, and how many newer ones."""
    row = await (await conn.execute(SQL["count_apart"], {"tzdata": tzdata})).fetchone()
    return (row[0], row[1]) if row else (0, 0)


async def find_behind(conn: Connection, tzdata: str, now: datetime, limit: int) -> list[Behind]:
    """Not held: `hold` says which of them are still as they were."""
    async with conn.cursor(row_factory=class_row(Behind)) as cursor:
        params = {"tzdata": tzdata, "now": now, "limit": limit}
        await cursor.execute(SQL["find_behind"], params, prepare=False)
        return await cursor.fetchall()


async def hold(conn: Connection, found: Sequence[Behind], tzdata: str) -> list[Cursor]:
    params = {"ids": [one.id for one in found], "versions": [one.version for one in found], "tzdata": tzdata}
    cursor = await conn.execute(SQL["hold_behind"], params)
    return [Cursor(*row) for row in await cursor.fetchall()]


async def list_made(
    conn: Connection, event_ids: Sequence[UUID], since: datetime, now: datetime
) -> dict[UUID, list[Row]]:
    """What the rules of these events have made, open or closed, from `since` on."""
    params = {"ids": list(event_ids), "since": since, "soon": now + MARGIN}
    made: dict[UUID, list[Row]] = {event_id: [] for event_id in event_ids}
    for event_id, due_at, wall, free in await (await conn.execute(SQL["list_made"], params)).fetchall():
        made[event_id].append(Row(due_at, wall, free))
    return made


async def stamp(conn: Connection, event_ids: Sequence[UUID], tzdata: str) -> None:
    """These events have these rules: they differ in nothing that the events have asked of them."""
    if event_ids:
        await conn.execute(SQL["stamp"], {"ids": list(event_ids), "tzdata": tzdata})


async def take(conn: Connection, event_id: UUID, due_ats: Sequence[datetime], now: datetime) -> list[Taken]:
    cursor = await conn.execute(SQL["take_moved"], {"event_id": event_id, "due_ats": list(due_ats), "now": now})
    return [Taken(*row) for row in await cursor.fetchall()]


async def put(
    conn: Connection, event_id: UUID, version: int, origin: str, rows: Sequence[Put], now: datetime, *, paused: bool
) -> list[Entry]:
    params = {
        "event_id": event_id,
        "version": version,
        "origin": origin,
        "now": now,
        "blocked_on": "paused" if paused else None,
        "due_ats": [row.due_at for row in rows],
        "walls": [row.wall for row in rows],
        "move_tos": [row.move_to for row in rows],
        "payloads": [row.payload for row in rows],
    }
    cursor = await conn.execute(SQL["put_moved"], params)
    return [Entry(*row) for row in await cursor.fetchall()]


async def record(
    conn: Connection, event_id: UUID, was: str, became: str, changes: Sequence[Change], now: datetime
) -> None:
    params = {
        "event_id": event_id,
        "was": was,
        "became": became,
        "now": now,
        "changes": [one.change for one in changes],
        "walls": [one.wall for one in changes],
        "befores": [one.before for one in changes],
        "afters": [one.after for one in changes],
    }
    await conn.execute(SQL["record_changes"], params)


async def page(
    conn: Connection,
    event_id: UUID | None,
    since: datetime | None,
    scope: list[str] | None,
    older_than: int | None,
    limit: int,
) -> list[Recorded]:
    """Newest first."""
    params = {"event_id": event_id, "since": since, "scope": scope, "older_than": older_than, "limit": limit}
    async with conn.cursor(row_factory=class_row(Recorded)) as cursor:
        await cursor.execute(SQL["list_changes"], params, prepare=False)
        return await cursor.fetchall()


async def adopt(conn: Connection, tzdata: str) -> int:
    """Let events with newer rules follow to `tzdata`, older as it is; how many."""
    return (await conn.execute(SQL["adopt"], {"tzdata": tzdata})).rowcount
