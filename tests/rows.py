"""Rows planted straight into the tables, for tests of what reads them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from qhronos.core.recurrence import tzdata_version
from qhronos.store import Connection

HOOK = {"type": "webhook", "params": {"url": "http://127.0.0.1:9/"}}


async def plant_event(
    conn: Connection,
    now: datetime,
    *,
    start: datetime | None = None,
    rrule: Sequence[str] = (),
    action: object = HOOK,
    policies: object = None,
    status: str = "active",
    expanded_until: datetime | None = None,
    next_expand_at: datetime | None = None,
    hmac_secret: str | None = None,
    tags: Sequence[str] = ("kitchen",),
    tzdata: str | None = None,
    timezone: str = "UTC",
) -> UUID:
    """An event as creation leaves it, with nothing opened yet."""
    event_id = uuid.uuid4()
    start = start or now
    recurrence = {
        "dtstart": start.astimezone(ZoneInfo(timezone)).replace(tzinfo=None).isoformat(),
        "timezone": timezone,
        "rrule": list(rrule),
        "rdate": [],
        "exdate": [],
    }
    columns = {
        "id": event_id,
        "name": "tea",
        "description": "",
        "start_time": start,
        "timezone": timezone,
        "recurrence": as_json(recurrence),
        "action": as_json(action),
        "metadata": as_json({"kettle": 1}),
        "tags": list(tags),
        "policies": as_json(policies or {}),
        "hmac_secret": hmac_secret,
        "status": status,
        "version": 1,
        "tzdata": tzdata or tzdata_version(),
        "expanded_until": expanded_until or start,
        "next_expand_at": next_expand_at,
        "created_at": now,
        "updated_at": now,
    }
    names = ", ".join(columns)
    values = ", ".join(f"%({name})s" for name in columns)
    await conn.execute(f"INSERT INTO events ({names}) VALUES ({values})", columns)  # noqa: S608 - names from above
    return event_id


async def plant_open(
    conn: Connection,
    event_id: UUID,
    due_at: datetime,
    *,
    fire_at: datetime | None = None,
    origin: str = "rule",
    version: int = 1,
    wall: datetime | None = None,
) -> None:
    await conn.execute(
        "INSERT INTO pending (event_id, due_at, fire_at, version, origin, wall) VALUES (%s, %s, %s, %s, %s, %s)",
        (event_id, due_at, fire_at or due_at, version, origin, wall),
    )


async def rows(conn: Connection, query: str, *params: object) -> list[tuple[object, ...]]:
    return await (await conn.execute(query, params)).fetchall()


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)
