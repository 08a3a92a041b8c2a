"""Passing over instants that fell due and are not to be made: one gap says what a row each would."""

from __future__ import annotations

import asyncio
import enum
from datetime import datetime

import msgspec

from qhronos.core.recurrence import expand
from qhronos.core.window import GAP_ROOM, Advance
from qhronos.engine.draft import policies_of, recurrence_of
from qhronos.engine.expand import open_rows
from qhronos.store import Connection, changes, expansion, pending
from qhronos.store.events import Event


class Backlog(enum.StrEnum):
    """What becomes of what fell due during a pause."""

    SKIP = "skip"
    FIRE_LATEST = "fire_latest"
    FIRE_ALL = "fire_all"


async def pass_cursor(
    conn: Connection, event: Event, now: datetime, reason: str, *, keep_latest: bool = False
) -> tuple[Event, bool]:
    """Move the cursor of a held event towards now; what it passes is counted as a gap, but for what has a row already,
    skipped or moved ahead of its time. True: it has arrived, or the rule is one that makes no progress.

    With `keep_latest` the last instant of the pass is opened instead, for the caller to close should a later one turn up.
    """
    recurrence = recurrence_of(event)
    passed = await asyncio.to_thread(expand, recurrence, event.expanded_until, now, GAP_ROOM)
    done = {at for at, _ in await changes.list_done_ahead(conn, event.id, event.expanded_until)}
    left = tuple(one for one in passed.instants if one.at not in done)
    kept = left[-1:] if keep_latest else ()
    await pending.insert(
        conn,
        open_rows(event.id, event.version, recurrence, policies_of(event), Advance(kept, passed.covered, None, None)),
    )
    if count := len(left) - len(kept):
        gap = expansion.NewGap(event.id, event.expanded_until, passed.covered, count, reason)
        await expansion.record_gaps(conn, [gap])
    arrived = passed.complete or passed.covered <= event.expanded_until
    return msgspec.structs.replace(event, expanded_until=passed.covered), arrived
