"""What waits for clients of the gateway until they acknowledge it. Statements and their whys in outbox.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from qhronos.core.attempt import Handed
from qhronos.core.occurrence import Identity
from qhronos.store import Connection, load_sql
from qhronos.store.pending import Claimed, Settled, Settlement

SQL = load_sql("outbox")
ANY_SEQ = 2**62


class Message(Claimed, frozen=True, kw_only=True):
    """What was handed to a client and is not acknowledged, with what is needed to settle it."""

    seq: int
    again: bool  # it went out before
    frame: str
    ack_timeout: float
    handed_at: datetime


class Stale(Message, frozen=True, kw_only=True):
    """What is given up."""

    client: str
    expired: bool  # else too much waits
    max_backlog: int


class Connected(NamedTuple):
    generation: int
    epoch: UUID
    last_seq: int
    sent_seq: int
    waiting: int


class Look(NamedTuple):
    name: str
    generation: int
    last_seq: int


async def hand_over(conn: Connection, batch: Sequence[tuple[Settlement, Handed]], now: datetime) -> list[Settled]:
    """Keep for clients what is still held under the given fences; the rest was lost to somebody else and is left out."""
    columns = {
        "event_ids": [s.event_id for s, _ in batch],
        "due_ats": [s.due_at for s, _ in batch],
        "fences": [s.fence for s, _ in batch],
        "clients": [handed.client for _, handed in batch],
        "frames": [handed.frame for _, handed in batch],
        "sizes": [len(handed.frame.encode()) for _, handed in batch],
        "ack_timeouts": [handed.ack_timeout for _, handed in batch],
        "backlogs": [handed.max_backlog for _, handed in batch],
        "expire_ats": [now + handed.ttl for _, handed in batch],
        "now": now,
    }
    return [Settled(*row) for row in await (await conn.execute(SQL["hand_over"], columns)).fetchall()]


async def forget(conn: Connection, settled: Iterable[Settlement]) -> None:
    """These were settled, under the fences with which they were handed over."""
    rows = list(settled)
    params = {
        "event_ids": [s.event_id for s in rows],
        "due_ats": [s.due_at for s in rows],
        "fences": [s.fence for s in rows],
    }
    await conn.execute(SQL["forget"], params)


async def connect(conn: Connection, client: str, now: datetime) -> Connected:
    """Serve a new connection of that name, and no older one from now on."""
    row = await (await conn.execute(SQL["connect"], {"client": client, "now": now})).fetchone()
    assert row is not None  # noqa: S101 - RETURNING on an insert or update of one row
    return Connected(*row)


async def look(conn: Connection, clients: Iterable[str]) -> list[Look]:
    cursor = await conn.execute(SQL["look"], {"clients": list(clients)})
    return [Look(*row) for row in await cursor.fetchall()]


async def pull(
    conn: Connection, client: str, generation: int, *, after: int, limit: int, most_bytes: int
) -> list[Message]:
    """The next messages after a number, at least one if there is any; none for a connection that is not served."""
    params = {"client": client, "generation": generation, "after": after, "limit": limit, "bytes": most_bytes}
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(SQL["pull"], params)
        return await cursor.fetchall()


async def waiting_until(conn: Connection, client: str, until: int, limit: int) -> list[Message]:
    """Those up to that number that went out."""
    return await _find(conn, {"client": client, "until": until, "event_id": None, "due_at": None, "limit": limit})


async def waiting_one(conn: Connection, client: str, identity: Identity) -> Message | None:
    """That occurrence, if it went out to the client and waits for its word."""
    params = {"client": client, "until": ANY_SEQ, "limit": 1} | identity._asdict()
    return next(iter(await _find(conn, params)), None)


async def stale(conn: Connection, now: datetime, limit: int) -> list[Stale]:
    async with conn.cursor(row_factory=class_row(Stale)) as cursor:
        await cursor.execute(SQL["find_stale"], {"now": now, "limit": limit})
        return await cursor.fetchall()


async def _find(conn: Connection, params: dict[str, Any]) -> list[Message]:
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(SQL["find_waiting"], params)
        return await cursor.fetchall()
