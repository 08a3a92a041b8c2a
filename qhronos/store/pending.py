"""Open work: what is scheduled or held, until it is settled into the ledger. Statements and their whys in pending.sql."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.attempt import Handed
from qhronos.core.occurrence import Identity, Status
from qhronos.store import Connection, load_sql
from qhronos.store.events import Brief

SQL = load_sql("pending")
FIRST = Identity(UUID(int=0), datetime.min.replace(tzinfo=UTC))


class Open(NamedTuple):
    """A row to open."""

    event_id: UUID
    due_at: datetime
    fire_at: datetime
    version: int
    origin: str
    wall: datetime | None


class Entry(NamedTuple):
    """What the plan knows of an occurrence."""

    event_id: UUID
    due_at: datetime
    fire_at: datetime

    @property
    def identity(self) -> Identity:
        return Identity(self.event_id, self.due_at)


class Ended(NamedTuple):
    completed: list[Brief]
    held: set[UUID]  # by somebody else: to be asked for again


class Claimed(Struct, frozen=True, kw_only=True):
    """A row this worker holds, with what is needed to act on it."""

    event_id: UUID
    due_at: datetime
    fire_at: datetime
    version: int
    origin: str
    attempt: int
    starts: int
    losses: int  # workers that it may have cost
    fence: int
    name: str
    description: str
    action: msgspec.Raw
    tags: list[str]
    policies: msgspec.Raw
    hmac_plain: str | None = None
    hmac_sealed: bytes | None = None
    hmac_previous: bytes | None = None
    hmac_previous_until: datetime | None = None
    headers_sealed: bytes | None = None
    metadata: msgspec.Raw
    orphaned: bool  # its event was deleted while it was under way
    meant_at: datetime  # for what its first attempt was meant
    callback: str | None = None  # which of the event's callbacks it is
    fallback: bool = False  # its client did not take it in time
    handed_first_at: datetime | None = None  # to a client; null: it never was
    lane: str | None = None  # in which it takes turns
    overlapping: bool = False  # it has no turn, and is not to wait for one

    @property
    def identity(self) -> Identity:
        return Identity(self.event_id, self.due_at)


class Settlement(Struct, frozen=True, kw_only=True):
    """What is to become of a held row. `status` scheduled means: again, at `fire_at`. No `outcome`: nothing was sent."""

    event_id: UUID
    due_at: datetime
    fence: int
    status: Status
    reason: str | None
    fire_at: datetime | None = None
    outcome: str | None = None
    status_code: int | None = None
    excerpt: str | None = None
    started_at: datetime | None = None
    finished_at: datetime
    lane: str | None = None  # in which there may be room now
    callback: str | None = None  # of the event, which is to tell how this one ended
    payload: str | None = None  # what it tells, as JSON
    place: str | None = None  # where there was no room for it; not recorded
    gone: int | None = None  # the version of its event whose endpoint is gone for good; not recorded
    handed: Handed | None = None  # with `status` dispatched: to whom it is handed over
    row: Claimed | None = None  # what it settles
    fallback: bool = False  # with `status` scheduled: not by its client any more
    waited: bool = False  # in the outbox of a client, under this fence
    then: Callable[[bool], None] | None = None  # told after the commit whether it was settled so; not recorded


class Left(NamedTuple):
    """An entry that a claim did not take, and when to act on it."""

    event_id: UUID
    due_at: datetime
    fire_at: datetime
    lane: str | None

    @property
    def identity(self) -> Identity:
        return Identity(self.event_id, self.due_at)


OPENED = "opened"  # in place of a status: a callback that tells of one that was closed


class Settled(NamedTuple):
    event_id: UUID
    due_at: datetime
    status: str
    fire_at: datetime | None


async def insert(conn: Connection, rows: Sequence[Open]) -> list[Entry]:
    """Open `rows`; those that are open or closed already are left as they are. Returns what was opened."""
    if not rows:
        return []
    event_ids, due_ats, fire_ats, versions, origins, walls = map(list, zip(*rows, strict=True))
    params = {
        "event_ids": event_ids,
        "due_ats": due_ats,
        "fire_ats": fire_ats,
        "versions": versions,
        "origins": origins,
        "walls": walls,
    }
    return await _entries(conn, "insert_open", params)


async def claim(
    conn: Connection, identities: Sequence[Identity], *, horizon: datetime, lease_until: datetime, worker: int
) -> list[Claimed]:
    """Take hold of those that may be acted on before `horizon`."""
    params = _keys(identities) | {"horizon": horizon, "lease_until": lease_until, "worker": worker}
    async with conn.cursor(row_factory=class_row(Claimed)) as cursor:
        await cursor.execute(SQL["claim"], params)
        return await cursor.fetchall()


async def later_due(conn: Connection, identities: Sequence[Identity], now: datetime) -> dict[Identity, int]:
    """How many later occurrences of its event are due as well, for each."""
    cursor = await conn.execute(SQL["count_later_due"], _keys(identities) | {"now": now})
    return {Identity(event_id, due_at): later for event_id, due_at, later in await cursor.fetchall()}


async def left(conn: Connection, identities: Sequence[Identity], horizon: datetime) -> list[Left]:
    """Those that are open, nobody's, and either wait for an instant after `horizon` or take turns."""
    cursor = await conn.execute(SQL["find_left"], _keys(identities) | {"horizon": horizon})
    return [Left(*row) for row in await cursor.fetchall()]


async def settle(conn: Connection, batch: Sequence[Settlement], now: datetime) -> list[Settled]:
    """Settle what is still held under the given fences; the rest was lost to somebody else and is left out.

    One statement, in one round trip. Whether their events have anything left is to be asked when it is committed."""
    columns = {
        "event_ids": [s.event_id for s in batch],
        "due_ats": [s.due_at for s in batch],
        "fences": [s.fence for s in batch],
        "statuses": [str(s.status) for s in batch],
        "reasons": [s.reason for s in batch],
        "fire_ats": [s.fire_at for s in batch],
        "outcomes": [s.outcome for s in batch],
        "codes": [s.status_code for s in batch],
        "excerpts": [s.excerpt for s in batch],
        "started": [s.started_at for s in batch],
        "finished": [s.finished_at for s in batch],
        "callbacks": [s.callback for s in batch],
        "payloads": [s.payload for s in batch],
        "fallbacks": [s.fallback for s in batch],
        "now": now,
    }
    try:
        async with _savepoint(conn):
            return await _settle(conn, columns)
    except psycopg.errors.CheckViolation:
        # No partition for one of the days: whoever inserts makes it.
        await make_days(conn, (s.due_at for s in batch))
        return await _settle(conn, columns)


def _savepoint(conn: Connection) -> AbstractAsyncContextManager[object]:
    """In the middle of a transaction, which goes on after what fails here."""
    is_alone = conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    return nullcontext() if is_alone else conn.transaction()


async def _settle(conn: Connection, columns: dict[str, Any]) -> list[Settled]:
    return [Settled(*row) for row in await (await conn.execute(SQL["settle"], columns)).fetchall()]


async def complete_events(conn: Connection, event_ids: Iterable[UUID], now: datetime) -> Ended:
    """Those of these events that have nothing open and nothing left to expand are completed; but for those that somebody
    else holds. In a transaction of the caller's."""
    ids = list(event_ids)
    if not ids:
        return Ended([], set())
    found = await (await conn.execute(SQL["hold_ending"], {"event_ids": ids})).fetchall()
    completed: list[Brief] = []
    if held := [event_id for event_id, is_held in found if is_held]:
        cursor = await conn.execute(SQL["complete_events"], {"event_ids": held, "now": now})
        completed = [Brief(*row) for row in await cursor.fetchall()]
    return Ended(completed, {event_id for event_id, is_held in found if not is_held})


async def make_days(conn: Connection, instants: Iterable[datetime]) -> None:
    """The ledger's partitions for the days of `instants`; existing ones are left alone."""
    days = sorted({instant.astimezone(UTC).date() for instant in instants})
    await conn.execute(SQL["ensure_day"], {"days": days})


async def hand_back(conn: Connection, rows: Sequence[Claimed]) -> list[Entry]:
    """Give back what is still held under its fence."""
    params = _keys([row.identity for row in rows]) | {
        "fences": [row.fence for row in rows],
        "losses": [row.losses for row in rows],
    }
    return await _entries(conn, "hand_back", params)


async def charge(conn: Connection, row: Claimed) -> bool:
    """Record a loss in advance; false: it is not held under this fence any more."""
    params = {"event_id": row.event_id, "due_at": row.due_at, "fence": row.fence}
    return await (await conn.execute(SQL["charge"], params)).fetchone() is not None


async def disclaim(conn: Connection, worker: int, leases: Sequence[datetime]) -> list[Entry]:
    """Give back what `worker` holds under just these leases."""
    return await _entries(conn, "disclaim", {"worker": worker, "leases": list(leases)})


async def call_back(conn: Connection, entries: Sequence[Entry], now: datetime) -> list[Entry]:
    """Make due what still waits for the instant it was put off to."""
    params = _keys([entry.identity for entry in entries]) | {"fire_ats": [entry.fire_at for entry in entries]}
    return await _entries(conn, "call_back", params | {"now": now})


async def reclaim(conn: Connection, now: datetime, dead_before: datetime, limit: int) -> list[Entry]:
    """Free what dead workers held and what was held too long."""
    return await _entries(conn, "reclaim", {"now": now, "dead_before": dead_before, "limit": limit})


async def overdue(conn: Connection, before: datetime, after: Entry, limit: int) -> list[Entry]:
    """Free rows that should have been acted on before `before`, a page after `after`."""
    params = {
        "before": before,
        "after_fire_at": after.fire_at,
        "after_event_id": after.event_id,
        "after_due_at": after.due_at,
        "limit": limit,
    }
    return await _entries(conn, "find_overdue", params)


async def free_after(conn: Connection, after: Identity, limit: int) -> list[Entry]:
    """A page of everything that belongs in the plan."""
    params = {"after_event_id": after.event_id, "after_due_at": after.due_at, "limit": limit}
    return await _entries(conn, "list_free", params)


async def count_open(conn: Connection, event_ids: Sequence[UUID]) -> dict[UUID, int]:
    cursor = await conn.execute(SQL["count_open"], {"event_ids": list(event_ids)})
    return dict(await cursor.fetchall())


async def register_worker(conn: Connection, name: str, now: datetime) -> int:
    row = await (await conn.execute(SQL["register_worker"], {"name": name, "now": now})).fetchone()
    assert row is not None  # noqa: S101 - RETURNING on an insert of one row
    return int(row[0])


async def beat(conn: Connection, worker: int, now: datetime) -> bool:
    """Say that `worker` lives; false if it was forgotten."""
    return await (await conn.execute(SQL["beat"], {"worker": worker, "now": now})).fetchone() is not None


async def retire_worker(conn: Connection, worker: int) -> None:
    await conn.execute(SQL["retire_worker"], {"worker": worker})


async def forget_workers(conn: Connection, before: datetime) -> None:
    await conn.execute(SQL["forget_workers"], {"before": before})


async def _entries(conn: Connection, statement: str, params: dict[str, Any]) -> list[Entry]:
    cursor = await conn.execute(SQL[statement], params)
    return [Entry(*row) for row in await cursor.fetchall()]


def _keys(identities: Sequence[Identity]) -> dict[str, Any]:
    return {"event_ids": [i.event_id for i in identities], "due_ats": [i.due_at for i in identities]}
