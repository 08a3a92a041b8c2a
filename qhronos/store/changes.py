"""What a change to an event does to its open rows. Statements and their whys in changes.sql.

The caller holds the event. `now` is the moment of the statement, and not that at which the change began: what fired while
it was computed has started.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import psycopg

from qhronos.core.occurrence import AT_HAND, Identity, Status
from qhronos.store import Connection, load_sql
from qhronos.store.pending import Entry, make_days

SQL = load_sql("changes")
TOGETHER = timedelta()
T = TypeVar("T")


class Changed(NamedTuple):
    """An open row that was changed; `held`: a dispatcher had it in hand, and must let go."""

    due_at: datetime
    fire_at: datetime
    held: bool


class OpenRow(NamedTuple):
    due_at: datetime
    started: bool
    meant_at: datetime  # its own instant, or where it was moved to


class Override(NamedTuple):
    """What differs for one occurrence; `payload` is JSON and stands in for the event's metadata."""

    due_at: datetime
    move_to: datetime | None
    payload: msgspec.Raw | None

    @property
    def fire_at(self) -> datetime:
        return self.move_to or self.due_at


async def remove_future(conn: Connection, event_id: UUID, since: datetime, now: datetime) -> list[Changed]:
    """Remove what a rule that no longer holds promised for after `since`, as far as it has not started."""
    return await _changed(conn, "remove_future", {"event_id": event_id, "since": since, "begun": now + AT_HAND})


async def rebind(conn: Connection, event_id: UUID, version: int, now: datetime) -> list[Changed]:
    """Bind what has not started to `version` of the event."""
    return await _changed(conn, "rebind", {"event_id": event_id, "version": version, "begun": now + AT_HAND})


async def block(conn: Connection, event_id: UUID, now: datetime) -> list[Changed]:
    """Keep what has not started from being claimed until `unblock`."""
    return await _changed(conn, "block", {"event_id": event_id, "begun": now + AT_HAND})


async def unblock(conn: Connection, event_id: UUID, version: int) -> list[Changed]:
    return await _changed(conn, "unblock", {"event_id": event_id, "version": version})


async def close(
    conn: Connection,
    event_id: UUID,
    status: Status,
    reason: str,
    now: datetime,
    *,
    only: datetime | None = None,
    until: datetime | None = None,
    spare: datetime | None = None,
) -> list[Changed]:
    """Close what has not started as skipped or cancelled: all of it, the one due at `only`, or what is meant until `until`."""
    params = {
        "event_id": event_id,
        "status": str(status),
        "reason": reason,
        "now": now,
        "begun": now + AT_HAND,
        "only": only,
        "until": until,
        "spare": spare,
    }

    async def days() -> list[datetime]:
        return [row.due_at for row in await list_open(conn, event_id, now)]

    return await _into_ledger(conn, lambda: _changed(conn, "close", params), days)


async def skip_ahead(
    conn: Connection, identity: Identity, origin: str, version: int, wall: datetime, reason: str, now: datetime
) -> None:
    """Record an instant that is not expanded yet as skipped."""
    params = identity._asdict() | {"origin": origin, "version": version, "wall": wall, "reason": reason, "now": now}

    async def days() -> list[datetime]:
        return [identity.due_at]

    await _into_ledger(conn, lambda: conn.execute(SQL["skip_ahead"], params), days)


async def is_held(conn: Connection, event_id: UUID) -> bool:
    """Whether anything of the event is in the hands of a dispatcher."""
    return await (await conn.execute(SQL["find_held"], {"event_id": event_id})).fetchone() is not None


async def list_open(conn: Connection, event_id: UUID, now: datetime) -> list[OpenRow]:
    cursor = await conn.execute(SQL["list_open"], {"event_id": event_id, "begun": now + AT_HAND})
    return [OpenRow(*row) for row in await cursor.fetchall()]


async def reopen(
    conn: Connection, identities: Sequence[Identity], now: datetime, apart: timedelta = TOGETHER
) -> list[Entry]:
    """Move closed occurrences of held events back to the open ones, each to be acted on so long after the one before;
    those that are not closed are left out."""
    params = {
        "event_ids": [identity.event_id for identity in identities],
        "due_ats": [identity.due_at for identity in identities],
        "fire_ats": [now + number * apart for number in range(len(identities))],
    }
    cursor = await conn.execute(SQL["reopen"], params)
    return [Entry(*row) for row in await cursor.fetchall()]


async def write_override(conn: Connection, event_id: UUID, override: Override, now: datetime) -> None:
    """One that says nothing any more is none."""
    if override.move_to is None and override.payload is None:
        await delete_overrides(conn, event_id, [override.due_at])
        return
    payload = None if override.payload is None else bytes(override.payload).decode()
    params = override._asdict() | {"event_id": event_id, "payload": payload, "now": now}
    await conn.execute(SQL["write_override"], params)


async def delete_overrides(conn: Connection, event_id: UUID, due_ats: Sequence[datetime]) -> None:
    await conn.execute(SQL["delete_overrides"], {"event_id": event_id, "due_ats": list(due_ats)})


async def get_override(conn: Connection, identity: Identity) -> Override:
    """What was said of this occurrence, perhaps nothing."""
    row = await (await conn.execute(SQL["get_override"], identity._asdict())).fetchone()
    return Override(*row) if row else Override(identity.due_at, None, None)


async def list_loose_overrides(conn: Connection, event_id: UUID, now: datetime) -> list[Override]:
    """Those after `now` whose occurrence is neither open nor closed."""
    cursor = await conn.execute(SQL["list_loose_overrides"], {"event_id": event_id, "now": now})
    return [Override(*row) for row in await cursor.fetchall()]


async def hand_over_overrides(conn: Connection, event_id: UUID, heir: UUID, since: datetime, now: datetime) -> None:
    """Those of instants from `since` on become those of `heir`, as far as nothing has come of them."""
    params = {"event_id": event_id, "heir": heir, "since": since, "now": now}
    await conn.execute(SQL["hand_over_overrides"], params)


async def list_done_ahead(conn: Connection, event_id: UUID, since: datetime) -> list[tuple[datetime, str | None]]:
    """Instants of the rule from `since` on that have a row, with the reason of those that were called off."""
    cursor = await conn.execute(SQL["list_done_ahead"], {"event_id": event_id, "since": since})
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def list_changed(
    conn: Connection, event_ids: Sequence[UUID], since: datetime
) -> dict[UUID, list[tuple[datetime, datetime | None]]]:
    """By event, the occurrences from `since` on that happen at another time than their own, or (None) not at all."""
    found: dict[UUID, list[tuple[datetime, datetime | None]]] = {}
    cursor = await conn.execute(SQL["list_changed"], {"event_ids": list(event_ids), "since": since})
    for event_id, due_at, at in await cursor.fetchall():
        found.setdefault(event_id, []).append((due_at, at))
    return found


async def count_overridden(conn: Connection, event_id: UUID) -> int:
    """How many open occurrences of the event were changed by hand."""
    row = await (await conn.execute(SQL["count_overridden"], {"event_id": event_id})).fetchone()
    return int(row[0]) if row else 0


async def move(conn: Connection, identity: Identity, fire_at: datetime, now: datetime) -> list[Changed]:
    """Act on it at `fire_at`; nothing if it is not open or has started."""
    return await _changed(conn, "move", identity._asdict() | {"fire_at": fire_at, "begun": now + AT_HAND})


async def has_day(conn: Connection, due_at: datetime) -> bool:
    """Whether the ledger still keeps the day of an instant."""
    row = await (await conn.execute(SQL["has_day"], {"day": due_at.astimezone(UTC).date()})).fetchone()
    return bool(row and row[0])


async def _changed(conn: Connection, statement: str, params: dict[str, Any]) -> list[Changed]:
    cursor = await conn.execute(SQL[statement], params)
    return [Changed(*row) for row in await cursor.fetchall()]


async def _into_ledger(
    conn: Connection, write: Callable[[], Awaitable[T]], days: Callable[[], Awaitable[list[datetime]]]
) -> T:
    """Write, and make the ledger's missing days if that is what it fails for."""
    try:
        async with conn.transaction():
            return await write()
    except psycopg.errors.CheckViolation:
        await make_days(conn, await days())
        return await write()


async def unknown(conn: Connection, event_id: UUID, due_ats: Sequence[datetime]) -> list[datetime]:
    """Those of the instants that neither happened nor are open."""
    cursor = await conn.execute(SQL["find_unknown"], {"event_id": event_id, "due_ats": list(due_ats)})
    return [due_at for (due_at,) in await cursor.fetchall()]


async def pause_until(conn: Connection, event_id: UUID, until: datetime | None, backlog: str | None) -> None:
    """When a paused event resumes by itself, and what becomes of its backlog; None: it does not."""
    await conn.execute(SQL["pause_until"], {"event_id": event_id, "until": until, "backlog": backlog})


async def to_resume(conn: Connection, now: datetime, limit: int) -> tuple[list[tuple[UUID, str]], datetime | None]:
    """The events whose pause is over, with what becomes of their backlogs; and when the next one's is."""
    cursor = await conn.execute(SQL["list_to_resume"], {"limit": limit})
    found = await cursor.fetchall()
    due = [(event_id, backlog) for event_id, until, backlog in found if until <= now]
    return due, next((until for _, until, _ in found if until > now), None)
