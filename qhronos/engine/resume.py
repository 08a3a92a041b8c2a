"""Letting a paused event go on, and what becomes of what fell due meanwhile.

A long pause of a busy event is passed over in several transactions, each of which leaves the event paused and its cursor
further on: dying in between loses nothing and counts nothing twice.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import Status
from qhronos.core.recurrence import expand
from qhronos.core.window import GAP_ROOM, Advance
from qhronos.engine.actor import Actor
from qhronos.engine.change import Backlog, Change, Changes, IfMatch
from qhronos.engine.draft import recurrence_of
from qhronos.engine.expand import open_rows
from qhronos.errors import Conflict
from qhronos.store import changes, events, expansion, pending
from qhronos.store.events import Event

REASON = "missed while paused"
SUPERSEDED = "missed while paused; a later occurrence fires instead"


async def resume(machinery: Changes, actor: Actor, event_id: UUID, backlog: Backlog, if_match: IfMatch) -> Event:
    """Resume; of an active event nothing changes. Raises Conflict for one that has ended."""
    while True:
        async with machinery.change(actor, event_id, if_match) as change:
            status = change.event.status
            if status == EventStatus.ACTIVE:
                return change.event
            if status not in (EventStatus.PAUSED, EventStatus.ERROR):
                raise Conflict(f"the event is {status}; only a paused one can be resumed")
            if backlog is Backlog.FIRE_ALL or await _pass_over(change, backlog):
                await machinery.resume_held(change, backlog)
                return change.event


async def _pass_over(change: Change, backlog: Backlog) -> bool:
    """Drop what fell due, except the latest if that is to fire. False: there is more, in the next transaction."""
    if change.event.expanded_until < change.now and not await _pass_cursor(change, backlog):
        return False
    conn, event, now = change.conn, change.event, change.now
    overdue = [row.due_at for row in await changes.list_open(conn, event.id, now) if not row.started]
    due = [due_at for due_at in overdue if due_at <= now]
    spare = due[-1] if due and backlog is Backlog.FIRE_LATEST else None
    reason = REASON if spare is None else SUPERSEDED
    change.touched(await changes.close(conn, event.id, Status.SKIPPED, reason, now, until=now, spare=spare), plan=False)
    return True


async def _pass_cursor(change: Change, backlog: Backlog) -> bool:
    """Move the cursor towards now: what it passes is counted as a gap, but for the last instant if the latest is wanted.

    That one is opened, and closed again should a later one turn up.
    """
    conn, event, now = change.conn, change.event, change.now
    recurrence = recurrence_of(event)
    passed = await asyncio.to_thread(expand, recurrence, event.expanded_until, now, GAP_ROOM)
    if not passed.complete and passed.covered <= event.expanded_until:
        raise Conflict("the rule of the event makes no progress; change its schedule")
    kept = passed.instants[-1:] if backlog is Backlog.FIRE_LATEST else ()
    step = Advance(kept, passed.covered, None, None)
    await pending.insert(conn, open_rows(event.id, event.version, recurrence, step))
    if count := len(passed.instants) - len(kept):
        gap = expansion.NewGap(event.id, event.expanded_until, passed.covered, count, REASON)
        await expansion.record_gaps(conn, [gap])
    change.event = msgspec.structs.replace(event, expanded_until=passed.covered)
    await events.save(conn, change.event)
    return passed.complete
