"""Who changed what. A row is written in the transaction of the change itself, so neither exists without the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.store import Connection, load_sql

SQL = load_sql("audit")


class Change(Struct, frozen=True, kw_only=True):
    """`details` says what changed and never holds a secret."""

    at: datetime
    actor: str
    token_id: UUID | None
    action: str  # noun.past_verb: event.created
    object: str
    request_id: str
    details: Mapping[str, Any] = {}


class ChangeRow(Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    actor: str
    token_id: UUID | None
    action: str
    object: str
    request_id: str
    details: msgspec.Raw


class Filter(Struct, frozen=True, kw_only=True):
    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(conn: Connection, *changes: Change) -> None:
    """Any number in one statement."""
    if changes:
        columns: dict[str, list[Any]] = {
            name: [getattr(change, name) for change in changes] for name in Change.__struct_fields__
        }
        await conn.execute(SQL["record_changes"], columns | {"details": [_encode(each) for each in columns["details"]]})


async def page(conn: Connection, wanted: Filter, before: int | None, limit: int) -> list[ChangeRow]:
    async with conn.cursor(row_factory=class_row(ChangeRow)) as cursor:
        params = msgspec.structs.asdict(wanted) | {"before": before, "limit": limit}
        await cursor.execute(SQL["list_changes"], params, prepare=False)
        return await cursor.fetchall()


def _encode(details: Mapping[str, Any]) -> str:
    return msgspec.json.encode(details).decode()
