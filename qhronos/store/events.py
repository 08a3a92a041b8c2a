"""Events as they are stored. Statements and their whys in events.sql.

Of secrets a row only says that they are there: what reads events cannot leak them. They are read in secrets.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.occurrence import AT_HAND
from qhronos.errors import Conflict
from qhronos.store import Connection, load_sql

SQL = load_sql("events")


class Event(Struct, frozen=True, kw_only=True):
    id: UUID
    key: str | None
    name: str
    description: str
    start_time: datetime
    timezone: str
    schedule: msgspec.Raw | None
    recurrence: msgspec.Raw
    action: msgspec.Raw
    metadata: msgspec.Raw
    tags: Sequence[str]
    policies: msgspec.Raw
    has_hmac_secret: bool
    hmac_overlap_until: datetime | None  # computed: until when the secret before it signs as well
    status: str
    reason: str | None
    version: int
    tzdata: str
    expanded_until: datetime
    next_due_at: datetime | None
    next_expand_at: datetime | None
    created_at: datetime
    updated_at: datetime
    upcoming: datetime | None  # computed: the first instant that is open and not begun, or not yet expanded
    paused_until: datetime | None = None


class Brief(NamedTuple):
    """As much of an event as is told of its changes."""

    id: UUID
    name: str
    status: str
    tags: list[str]
    version: int
    updated_at: datetime


class Revived(NamedTuple):
    """Events that have work again, and those of them that were completed."""

    events: list[Brief]
    completed: list[Brief]


class Filter(Struct, frozen=True, kw_only=True):
    """`words` are prefixes of words in name, description and key; `metadata` is a JSON object that is contained."""

    any_tags: list[str] | None = None
    all_tags: list[str] | None = None
    statuses: list[str] | None = None
    metadata: str | None = None
    words: str | None = None

    @property
    def is_particular(self) -> bool:
        """Few events may be meant."""
        return any((self.any_tags, self.all_tags, self.metadata, self.words))


class Found(NamedTuple):
    """A page. What went while it was read is missing from it, so its length does not say whether it is the last."""

    events: list[Event]
    after: UUID | None  # the next page holds what is older than this; None: there is none


async def insert(conn: Connection, events: Sequence[Event]) -> set[UUID]:
    """The ids of what was inserted; the others want a key that is taken. Their secrets are written apart."""
    columns: dict[str, Any] = {name: [getattr(event, name) for event in events] for name in PLAIN}
    columns |= {name: [_text(getattr(event, name)) for event in events] for name in JSON}
    columns["tags"] = [_array(event.tags) for event in events]
    cursor = await conn.execute(SQL["insert_events"], columns)
    return {row[0] for row in await cursor.fetchall()}


PLAIN = (
    "id",
    "key",
    "name",
    "description",
    "start_time",
    "timezone",
    "status",
    "tzdata",
    "expanded_until",
    "next_due_at",
    "next_expand_at",
    "created_at",
)
JSON = ("schedule", "recurrence", "action", "metadata", "policies")


async def lock(conn: Connection, event_id: UUID, scope: list[str] | None) -> bool:
    """Hold a live event until the transaction ends; false if there is none that `scope` sees."""
    cursor = await conn.execute(SQL["lock_event"], {"id": event_id, "scope": scope})
    return await cursor.fetchone() is not None


async def lock_key(conn: Connection, key: str, scope: list[str] | None) -> tuple[UUID, bool] | None:
    """Hold the live event with this key: its id and whether `scope` sees it."""
    row = await (await conn.execute(SQL["lock_key"], {"key": key, "scope": scope})).fetchone()
    return (row[0], row[1]) if row else None


async def find_keys(conn: Connection, keys: Sequence[str], scope: list[str] | None) -> dict[str, tuple[UUID, bool]]:
    """The live events with these keys: each's id and whether `scope` sees it."""
    cursor = await conn.execute(SQL["find_keys"], {"keys": list(keys), "scope": scope})
    return {key: (event_id, visible) for key, event_id, visible in await cursor.fetchall()}


async def lock_of_occurrences(conn: Connection, ids: Sequence[UUID], scope: list[str] | None) -> dict[UUID, str]:
    """Hold these events, deleted ones too; the status of those that `scope` sees."""
    cursor = await conn.execute(SQL["lock_of_occurrences"], {"ids": list(ids), "scope": scope})
    return dict(await cursor.fetchall())


async def get(conn: Connection, event_id: UUID, scope: list[str] | None, now: datetime) -> Event | None:
    """A live event that `scope` sees."""
    return (await get_many(conn, [event_id], scope, now)).get(event_id)


async def get_many(conn: Connection, ids: Sequence[UUID], scope: list[str] | None, now: datetime) -> dict[UUID, Event]:
    """Those of the events that live and that `scope` sees."""
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(SQL["get_events"], {"ids": list(ids), "scope": scope, "now": now, "begun": now + AT_HAND})
        return {event.id: event for event in await cursor.fetchall()}


async def page(
    conn: Connection, wanted: Filter, scope: list[str] | None, before: UUID | None, limit: int, now: datetime
) -> Found:
    """Newest first, at most `limit` of those older than `before`."""
    params = msgspec.structs.asdict(wanted) | {
        "scope": scope,
        "before": before,
        "limit": limit + 1,
        "now": now,
        "begun": now + AT_HAND,
        "ids": None,
    }
    if scope is not None or wanted.is_particular:
        params["ids"] = [row[0] for row in await _fetch(conn, "search_events", params)]
    async with conn.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(SQL["list_events"], params, prepare=False)
        found = await cursor.fetchall()
    ids = params["ids"] or [event.id for event in found]  # of one statement: by the next, some may be gone
    if len(ids) <= limit:
        return Found(found, None)
    after = ids[limit - 1]
    return Found([event for event in found if event.id >= after], after)


async def _fetch(conn: Connection, statement: str, params: dict[str, Any]) -> list[Any]:
    return await (await conn.execute(SQL[statement], params, prepare=False)).fetchall()


async def save(conn: Connection, event: Event) -> None:
    """Write the row back, by whoever holds it. Raises Conflict if another event has its key."""
    params = msgspec.structs.asdict(event) | {name: _text(getattr(event, name)) for name in JSON}
    try:
        await conn.execute(SQL["save_event"], params | {"tags": list(event.tags)})
    except psycopg.errors.UniqueViolation as error:
        raise Conflict("another event has this key", field="key") from error


async def delete(conn: Connection, event_id: UUID, now: datetime) -> None:
    """Softly: the row and its history stay until retention takes them."""
    await conn.execute(SQL["delete_event"], {"id": event_id, "now": now})
    await conn.execute(SQL["close_version"], {"event_id": event_id, "now": now})


async def next_version(conn: Connection, event: Event, now: datetime) -> None:
    """Write into the history of intent what `event` promises from now on."""
    params = {
        "event_id": event.id,
        "version": event.version,
        "recurrence": _text(event.recurrence),
        "policies": _text(event.policies),
        "tzdata": event.tzdata,
        "now": now,
    }
    await conn.execute(SQL["close_version"], {"event_id": event.id, "now": now})
    await conn.execute(SQL["open_version"], params)


async def touch(conn: Connection, ids: Sequence[UUID], now: datetime) -> list[Brief]:
    """What they show has changed, though not what was said of them. By whoever holds them."""
    return [Brief(*row) for row in await _fetch(conn, "touch_events", {"ids": list(ids), "now": now})]


async def revive(conn: Connection, ids: Sequence[UUID], now: datetime) -> Revived:
    """Those that were completed are active again. By whoever holds them."""
    rows = await _fetch(conn, "revive_events", {"ids": list(ids), "now": now})
    return Revived([Brief(*row[:-1]) for row in rows], [Brief(*row[:-1]) for row in rows if row[-1]])


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else bytes(raw).decode()


def _array(items: Sequence[str]) -> str:
    """As Postgres writes an array; many arrays of unequal length do not fit into one parameter otherwise."""
    quoted = ('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return "{" + ",".join(quoted) + "}"
