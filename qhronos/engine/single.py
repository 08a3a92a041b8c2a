"""One occurrence by hand: run now, and skip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import Identity, Origin, Status, occurrence_id
from qhronos.core.recurrence import expand
from qhronos.core.window import MICROSECOND, is_once
from qhronos.engine.actor import Actor
from qhronos.engine.change import Change, Changes, IfMatch, begin
from qhronos.engine.draft import recurrence_of
from qhronos.errors import Conflict, Invalid
from qhronos.store import changes, events, idempotency, occurrences, pending
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer, Request
from qhronos.store.pending import Entry, Open

SKIP_WITHIN = timedelta(days=366)  # a day of the ledger is made for what is skipped ahead


async def run(
    machinery: Changes,
    actor: Actor,
    event_id: UUID,
    payload: str | None,
    request: Request | None,
    render: Callable[[Event, Identity], Answer],
) -> Answer:
    """Fire the event now, out of band; `payload` (JSON) stands in for its metadata this once."""
    async with machinery.stores.database.transaction() as conn:
        if answer := await idempotency.claim(conn, request, machinery.clock.now()):
            return answer
        change = await begin(conn, actor, event_id, None, machinery.clock)
        if change.event.status not in (EventStatus.ACTIVE, EventStatus.COMPLETED):
            raise Conflict(f"the event is {change.event.status}; resume it first")
        entry = await _open_manual(change, payload)
        await change.record("event.run", occurrence_id=occurrence_id(entry.identity))
        await change.settle()
        answer = render(change.event, entry.identity)
        await idempotency.record(conn, request, answer)
    await machinery.tell(change)
    return answer


async def skip(machinery: Changes, actor: Actor, event_id: UUID, due_at: datetime, if_match: IfMatch) -> Event:
    """Skip the occurrence of this instant; skipping it twice is skipping it. Raises Invalid if there is none then."""
    async with machinery.change(actor, event_id, if_match) as change:
        reason = f"skipped by {actor.subject}"
        closed = await changes.close(change.conn, event_id, Status.SKIPPED, reason, change.now, only=due_at)
        change.touched(closed, plan=False)
        if closed or await _skip_ahead(machinery, change, due_at, reason):
            await change.record("event.occurrence_skipped", scheduled_at=due_at)
        await change.settle()
    return change.event


async def _open_manual(change: Change, payload: str | None) -> Entry:
    """A row due now, at a microsecond that is free."""
    conn, event, due_at = change.conn, change.event, change.now
    while not (opened := await pending.insert(conn, [_manual(event, due_at)])):
        due_at += MICROSECOND
    change.opened += opened
    if payload is not None:
        await changes.override_payload(conn, opened[0].identity, payload, change.now)
    await events.revive(conn, [event.id], change.now)
    return opened[0]


def _manual(event: Event, due_at: datetime) -> Open:
    return Open(event.id, due_at, due_at, event.version, Origin.MANUAL, None)


async def _skip_ahead(machinery: Changes, change: Change, due_at: datetime, reason: str) -> bool:
    """An instant that is not open must be one that is yet to be expanded; false if it is skipped already."""
    conn, event, now = change.conn, change.event, change.now
    known = await occurrences.get(conn, Identity(event.id, due_at), None, now)
    if known is not None:
        if known.status != Status.SKIPPED:
            raise Conflict(f"the occurrence is {known.status}; only a scheduled one can be skipped")
        return False
    recurrence = recurrence_of(event)
    found = await asyncio.to_thread(expand, recurrence, due_at, due_at + MICROSECOND, 1)
    if not found.instants:
        raise Invalid("the event has no occurrence at this instant", field="scheduled_at")
    if due_at < event.expanded_until:
        raise Conflict("this instant has passed without an occurrence")
    if due_at > now + SKIP_WITHIN:
        raise Invalid("only what is due within a year can be skipped", field="scheduled_at")
    origin = Origin.ONCE if is_once(recurrence) else Origin.RULE
    identity = Identity(event.id, due_at)
    await changes.skip_ahead(conn, identity, origin, event.version, found.instants[0].wall, reason, now)
    if due_at == event.next_due_at:
        # Nothing lies between the cursor and this instant: go on behind it.
        change.event = msgspec.structs.replace(event, expanded_until=due_at + MICROSECOND)
        await machinery.expand(change, recurrence)
        await events.save(conn, change.event)
    return True
