"""What waits for clients of the gateway until they acknowledge it. Statements and their whys in outbox.sql."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import class_row

from qhronos.core.attempt import Handed
from qhronos.core.occurrence import Identity
from qhronos.store import Connection, load_sql
from qhronos.store.pending import Claimed, Entry, Settled, Settlement

SQL = load_sql("outbox")
ANY_SEQ = 2**62
MARGIN = 5.0  # seconds beyond its `ack_timeout` for which a message is lent


class Message(Claimed, frozen=True, kw_only=True):
    """What was handed to a client and is not acknowledged, with what is needed to settle it."""

    client: str
    seq: int
    mode: str
    taken_by: int | None  # the connection that it is or was lent to
    ack_timeout: float
    handed_at: datetime
    fallback_at: datetime | None = None  # when it is taken back; null: never


class Sending(Message, frozen=True, kw_only=True):
    """One that goes out."""

    again: bool  # it went out before
    frame: str
    is_lent: bool


class Unheard(Message, frozen=True, kw_only=True):
    """What is to be taken back."""

    fallback_at: datetime


class Stale(Message, frozen=True, kw_only=True):
    """What is given up."""

    expired: bool  # else too much waits
    max_backlog: int


class Connected(NamedTuple):
    generation: int
    epoch: UUID
    last_seq: int
    sent_seq: int
    shared: bool  # other connections of that name are served as well


class Look(NamedTuple):
    name: str
    generation: int  # of the newest connection, wherever that is
    last_seq: int
    waiting: int
    shared: bool | None  # null: it does not seem to matter


class Waiting(NamedTuple):
    messages: int
    oldest: datetime | None


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
        "modes": [handed.mode for _, handed in batch],
        "expire_ats": [now + handed.ttl for _, handed in batch],
        "fallback_ats": [handed.fallback_at(now) for _, handed in batch],
        "now": now,
    }
    return [Settled(*row) for row in await (await conn.execute(SQL["hand_over"], columns)).fetchall()]


class Fenced(Protocol):
    """A row in `pending`, and the fence under which it waits."""

    @property
    def event_id(self) -> UUID: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def fence(self) -> int: ...


async def forget(conn: Connection, settled: Iterable[Fenced]) -> None:
    """These wait no more, under the fences with which they were handed over."""
    await conn.execute(SQL["forget"], _fenced(settled))


async def connect(conn: Connection, client: str, now: datetime) -> Connected:
    """Serve a new connection of that name, and no older one from now on."""
    row = await (await conn.execute(SQL["connect"], {"client": client, "now": now})).fetchone()
    assert row is not None  # noqa: S101 - RETURNING on an insert or update of one row
    return Connected(*row)


class Asked(NamedTuple):
    """What is known of a name where it is looked for."""

    oldest: int  # the generation of the oldest connection there
    shared: bool


async def look(conn: Connection, clients: Mapping[str, Asked]) -> list[Look]:
    params = {
        "clients": list(clients),
        "generations": [asked.oldest for asked in clients.values()],
        "shareds": [asked.shared for asked in clients.values()],
    }
    return [Look(*row) for row in await (await conn.execute(SQL["look"], params)).fetchall()]


async def stay(conn: Connection, clients: Iterable[str], now: datetime) -> None:
    """These are connected still."""
    await conn.execute(SQL["stay"], {"clients": list(clients), "now": now})


class Asking(Struct, frozen=True, kw_only=True):
    """Which connection asks for messages, and what it has had."""

    client: str
    generation: int
    shared: bool
    sent_before: int  # up to which number messages had gone out when it connected
    after: int  # the last number it was sent


async def pull(conn: Connection, asking: Asking, now: datetime, *, limit: int, most_bytes: int) -> list[Sending]:
    """The next messages for a connection, at least one if there is any; what is lent to it is so for a while from now."""
    params = msgspec.structs.asdict(asking) | {"limit": limit, "bytes": most_bytes, "now": now, "margin": MARGIN}
    async with conn.cursor(row_factory=class_row(Sending)) as cursor:
        await cursor.execute(SQL["pull"], params)
        return await cursor.fetchall()


async def give_back(conn: Connection, client: str, generation: int, settling: Collection[int], now: datetime) -> bool:
    """Whether that connection had been lent anything but what is just being settled."""
    params = {"client": client, "generation": generation, "settling": list(settling), "now": now}
    return bool(await (await conn.execute(SQL["give_back"], params)).fetchall())


async def waiting_until(
    conn: Connection, client: str, generation: int, until: int, limit: int, *, shared: bool
) -> list[Message]:
    """Those up to that number that went out, and not to another connection alone."""
    params = {"client": client, "generation": generation, "until": until, "limit": limit, "shared": shared}
    return await _find(conn, params | {"event_id": None, "due_at": None})


async def waiting_one(conn: Connection, client: str, identity: Identity) -> Message | None:
    """That occurrence, if it went out to the client and waits for its word."""
    params = {"client": client, "generation": 0, "until": ANY_SEQ, "limit": 1, "shared": False} | identity._asdict()
    return next(iter(await _find(conn, params)), None)


async def is_told(conn: Connection, client: str, event_id: UUID) -> bool:
    """Whether the event tells that client, which may know then what has become of its occurrences."""
    row = await (await conn.execute(SQL["is_told"], {"client": client, "event_id": event_id})).fetchone()
    return bool(row and row[0])


async def stale(conn: Connection, now: datetime, limit: int) -> list[Stale]:
    async with conn.cursor(row_factory=class_row(Stale)) as cursor:
        await cursor.execute(SQL["find_stale"], {"now": now, "limit": limit})
        return await cursor.fetchall()


async def unheard(conn: Connection, until: datetime, limit: int) -> list[Unheard]:
    """What is to be taken back until then, the earliest first."""
    async with conn.cursor(row_factory=class_row(Unheard)) as cursor:
        await cursor.execute(SQL["find_unheard"], {"until": until, "limit": limit})
        return await cursor.fetchall()


async def take_back(conn: Connection, messages: Sequence[Message], now: datetime) -> list[Entry]:
    """Free, for their fallbacks, what still waits. In a transaction of the caller's."""
    entries = [
        Entry(*row) for row in await (await conn.execute(SQL["take_back"], _fenced(messages) | {"now": now})).fetchall()
    ]
    freed = {entry.identity for entry in entries}
    await forget(conn, [message for message in messages if message.identity in freed])
    return entries


async def leave(conn: Connection, messages: Sequence[Message]) -> None:
    """These are not taken back."""
    await conn.execute(SQL["leave"], _fenced(messages))


async def measure(conn: Connection) -> Waiting:
    row = await (await conn.execute(SQL["measure"])).fetchone()
    return Waiting(*row) if row else Waiting(0, None)


def _fenced(rows: Iterable[Fenced]) -> dict[str, Any]:
    fenced = list(rows)
    return {
        "event_ids": [one.event_id for one in fenced],
        "due_ats": [one.due_at for one in fenced],
        "fences": [one.fence for one in fenced],
    }


async def _find(conn: Connection, params: dict[str, Any]) -> list[Message]:
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(SQL["find_waiting"], params)
        return await cursor.fetchall()
