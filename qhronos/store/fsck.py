"""What must hold, asked for as what breaks it. Statements and their whys in fsck.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from qhronos.core.occurrence import Identity
from qhronos.store import Connection, load_sql
from qhronos.store.pending import Entry

SQL = load_sql("fsck")
MOST = 10  # examples of one violation


class Broken(NamedTuple):
    """An example. `due_at` None: the event as a whole."""

    event_id: UUID
    due_at: datetime | None
    note: str | None


async def take_time(conn: Connection) -> None:
    """Let statements of this transaction take as long as whole tables take."""
    await conn.execute(SQL["take_time"])


async def broken(conn: Connection, check: str, params: Mapping[str, object]) -> tuple[int, list[Broken]]:
    """How many break what `check` asks for, and the first of them."""
    cursor = await conn.execute(SQL[check], {**params, "most": MOST})
    rows = await cursor.fetchall()
    return rows[0][0] if rows else 0, [Broken(*row[1:]) for row in rows]


async def sample(conn: Connection, limit: int) -> list[UUID]:
    """So many events, whichever."""
    cursor = await conn.execute(SQL["sample_events"], {"limit": limit})
    return [event_id for (event_id,) in await cursor.fetchall()]


async def still_due(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Those that are free and meant for the same instant as before."""
    params = {
        "event_ids": [entry.event_id for entry in entries],
        "due_ats": [entry.due_at for entry in entries],
        "fire_ats": [entry.fire_at for entry in entries],
    }
    cursor = await conn.execute(SQL["find_still_due"], params)
    return [Entry(*row) for row in await cursor.fetchall()]


async def still_open(conn: Connection, identities: Sequence[Identity]) -> set[Identity]:
    params = {"event_ids": [one.event_id for one in identities], "due_ats": [one.due_at for one in identities]}
    cursor = await conn.execute(SQL["find_open"], params)
    return {Identity(*row) for row in await cursor.fetchall()}
