"""Letting a paused event go on, and what becomes of what fell due meanwhile.

A long pause of a busy event is passed over in several transactions, each of which leaves the event paused and its cursor
further on: dying in between loses nothing and counts nothing twice.
"""

from __future__ import annotations

from uuid import UUID

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import Status
from qhronos.engine.actor import Actor
from qhronos.engine.backlog import Backlog, pass_cursor
from qhronos.engine.change import Change, Changes, IfMatch
from qhronos.errors import Conflict
from qhronos.store import changes, events
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
    conn, event, now = change.conn, change.event, change.now
    latest = backlog is Backlog.FIRE_LATEST
    if event.expanded_until < now:
        change.event, arrived = await pass_cursor(conn, event, now, REASON, keep_latest=latest)
        await events.save(conn, change.event)
        if not arrived:
            return False
    at = change.moment()
    due = [row for row in await changes.list_open(conn, event.id, at) if not row.started and row.meant_at <= now]
    spare = max(due, key=lambda row: row.meant_at).due_at if due and latest else None
    reason = REASON if spare is None else SUPERSEDED
    change.touched(await changes.close(conn, event.id, Status.SKIPPED, reason, at, until=now, spare=spare), plan=False)
    return True
