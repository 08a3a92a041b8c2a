"""Feeds: what they show, never the secret that their address ends with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.store import Connection, load_sql
from qhronos.store.events import Filter

SQL = load_sql("feeds")


class Feed(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    tags: Sequence[str]
    tags_match: str
    scope: list[str] | None  # of whoever made it; None: everything
    created_by: str
    token_id: UUID | None
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def shown(self) -> Filter:
        tags = list(self.tags) or None
        return Filter(any_tags=tags) if self.tags_match == "any" else Filter(all_tags=tags)


class Stamp(NamedTuple):
    digest: str
    updated_at: datetime | None


async def record(conn: Connection, feed: Feed, secret_hash: bytes) -> None:
    params = msgspec.structs.asdict(feed) | {"tags": list(feed.tags), "secret_hash": secret_hash}
    await conn.execute(SQL["record_feed"], params)


async def page(conn: Connection, created_by: str | None, before: UUID | None, limit: int) -> list[Feed]:
    """Those of one subject; None: of all."""
    async with conn.cursor(row_factory=class_row(Feed)) as cursor:
        params = {"created_by": created_by, "before": before, "limit": limit}
        await cursor.execute(SQL["list_feeds"], params, prepare=False)
        return await cursor.fetchall()


async def revoke(conn: Connection, feed_id: UUID, created_by: str | None, now: datetime) -> str | None:
    """The name of the feed, or None if there is none that this subject made."""
    params = {"id": feed_id, "created_by": created_by, "now": now}
    row = await (await conn.execute(SQL["revoke_feed"], params)).fetchone()
    return row[0] if row else None


async def find(conn: Connection, secret_hash: bytes) -> Feed | None:
    """A feed that holds."""
    async with conn.cursor(row_factory=class_row(Feed)) as cursor:
        await cursor.execute(SQL["find_feed"], {"secret_hash": secret_hash})
        return await cursor.fetchone()


async def stamp(conn: Connection, feed: Feed, limit: int) -> Stamp:
    """Of the newest `limit` events that it shows."""
    shown = feed.shown
    params = {"scope": feed.scope, "any_tags": shown.any_tags, "all_tags": shown.all_tags, "limit": limit}
    row = await (await conn.execute(SQL["stamp_feed"], params, prepare=False)).fetchone()
    return Stamp(*row) if row else Stamp("", None)
