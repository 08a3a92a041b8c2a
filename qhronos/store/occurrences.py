"""Occurrences, open and closed read as one, and their attempts. Statements and their whys in occurrences.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.occurrence import AT_HAND, Identity
from qhronos.store import Connection, load_sql

SQL = load_sql("occurrences")


class Occurrence(Struct, frozen=True, kw_only=True):
    event_id: UUID
    due_at: datetime
    status: str
    reason: str | None
    origin: str
    version: int
    attempt: int
    fire_at: datetime | None  # None once it is closed
    move_to: datetime | None  # instead of its own instant
    wall: datetime | None
    finished_at: datetime | None
    parent: datetime | None  # the instant of the one whose end it tells
    callback: str | None

    @property
    def identity(self) -> Identity:
        return Identity(self.event_id, self.due_at)


class Attempt(Struct, frozen=True, kw_only=True):
    attempt: int
    outcome: str
    status_code: int | None
    reason: str | None
    excerpt: str | None
    version: int
    started_at: datetime
    finished_at: datetime


class Filter(Struct, frozen=True, kw_only=True):
    """Of the window [since, until) of due instants."""

    statuses: list[str] | None = None
    event_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    any_tags: list[str] | None = None
    all_tags: list[str] | None = None
    reason: str | None = None  # a part of it, in any case


async def page(
    conn: Connection, wanted: Filter, scope: list[str] | None, before: Identity | None, limit: int, now: datetime
) -> list[Occurrence]:
    """Newest due first, those that come after `before` in this order."""
    params = _filtering(wanted, scope, limit) | {
        "before_event_id": before.event_id if before else None,
        "before_due_at": before.due_at if before else None,
        "by_event": any(tags is not None for tags in (scope, wanted.any_tags, wanted.all_tags)),
        "begun": now + AT_HAND,
    }
    async with conn.cursor(row_factory=class_row(Occurrence)) as cursor:
        await cursor.execute(SQL["list_occurrences"], params, prepare=False)
        return await cursor.fetchall()


async def get(conn: Connection, identity: Identity, scope: list[str] | None, now: datetime) -> Occurrence | None:
    async with conn.cursor(row_factory=class_row(Occurrence)) as cursor:
        await cursor.execute(SQL["get_occurrence"], identity._asdict() | {"scope": scope, "begun": now + AT_HAND})
        return await cursor.fetchone()


async def attempts(conn: Connection, identity: Identity, after: int, limit: int) -> list[Attempt]:
    """In order, those numbered above `after`."""
    async with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        await cursor.execute(SQL["list_attempts"], identity._asdict() | {"after": after, "limit": limit})
        return await cursor.fetchall()


async def find_closed(conn: Connection, wanted: Filter, scope: list[str] | None, limit: int) -> list[Identity]:
    """Closed occurrences of events that are not deleted, oldest first; the filter must name statuses."""
    cursor = await conn.execute(SQL["find_closed"], _filtering(wanted, scope, limit), prepare=False)
    return [Identity(*row) for row in await cursor.fetchall()]


async def drop_failed(conn: Connection, identities: Sequence[Identity], reason: str) -> list[UUID]:
    """Call off those that have failed, for good; the events of those that had."""
    params = {
        "event_ids": [identity.event_id for identity in identities],
        "due_ats": [identity.due_at for identity in identities],
        "reason": reason,
    }
    return [event_id for (event_id,) in await (await conn.execute(SQL["drop_failed"], params)).fetchall()]


def _filtering(wanted: Filter, scope: list[str] | None, limit: int) -> dict[str, Any]:
    return msgspec.structs.asdict(wanted) | {"scope": scope, "limit": limit}
