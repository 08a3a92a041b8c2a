"""What differs for single occurrences of an event, and outlives an edit of its schedule as long as the instant is one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from qhronos.core.occurrence import Origin
from qhronos.core.recurrence import Instant, Recurrence, expand
from qhronos.core.window import MICROSECOND, is_once
from qhronos.store import Connection, changes, pending
from qhronos.store.changes import Override
from qhronos.store.pending import Entry, Open


def instant_of(recurrence: Recurrence, due_at: datetime) -> Instant | None:
    """The instant of the recurrence at `due_at`, if it has one then."""
    found = expand(recurrence, due_at, due_at + MICROSECOND, 1).instants
    return found[0] if found else None


def open_row(event_id: UUID, version: int, recurrence: Recurrence, override: Override, instant: Instant) -> Open:
    origin = Origin.ONCE if is_once(recurrence) else Origin.RULE
    return Open(event_id, override.due_at, override.fire_at, version, origin, instant.wall)


async def reapply(
    conn: Connection, event_id: UUID, version: int, recurrence: Recurrence, now: datetime
) -> tuple[list[Entry], list[datetime]]:
    """Open anew what was changed of a schedule that is another now: the rows opened, and the instants that it no longer
    has, whose overrides are gone.

    Before it is expanded, which then leaves these instants alone. The caller holds the event.
    """
    loose = await changes.list_loose_overrides(conn, event_id, now)
    found = await asyncio.to_thread(_instants_of, recurrence, [override.due_at for override in loose])
    rows = [
        open_row(event_id, version, recurrence, override, instant)
        for override, instant in zip(loose, found, strict=True)
        if instant
    ]
    dropped = [override.due_at for override, instant in zip(loose, found, strict=True) if not instant]
    if dropped:
        await changes.delete_overrides(conn, event_id, dropped)
    return await pending.insert(conn, rows), dropped


def _instants_of(recurrence: Recurrence, due_ats: Sequence[datetime]) -> list[Instant | None]:
    return [instant_of(recurrence, due_at) for due_at in due_ats]
