"""One occurrence by hand: run now, skip, move, or send something else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import Identity, Origin, Status, occurrence_id
from qhronos.core.recurrence import Instant, Recurrence
from qhronos.core.window import MICROSECOND, is_once
from qhronos.engine.actor import Actor
from qhronos.engine.change import Change, Changes, IfMatch, begin
from qhronos.engine.draft import recurrence_of
from qhronos.engine.overrides import instant_of, open_row
from qhronos.errors import Conflict, Invalid
from qhronos.store import changes, events, idempotency, occurrences, pending
from qhronos.store.changes import Override
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer, Request
from qhronos.store.occurrences import Occurrence
from qhronos.store.pending import Entry, Open

WITHIN = timedelta(days=366)  # a day of the ledger is made for what is changed ahead
MOST_OVERRIDDEN = 1_000  # open occurrences of one event that were changed by hand
NO_INSTANT = "the event has no occurrence at this instant"


class Difference(NamedTuple):
    """What is to differ for one occurrence. UNSET: as it is. None: as the event has it. `payload` is JSON."""

    move_to: datetime | msgspec.UnsetType | None
    payload: msgspec.Raw | msgspec.UnsetType | None


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


async def skip(machinery: Changes, actor: Actor, event_id: UUID, due_at: datetime | None, if_match: IfMatch) -> Event:
    """Skip the occurrence of this instant, or the next; skipping it twice is skipping it. Raises Invalid if there is none
    then."""
    async with machinery.change(actor, event_id, if_match) as change:
        due_at = due_at or change.event.upcoming
        if due_at is None:
            raise Conflict("nothing is to come that could be skipped")
        reason = f"skipped by {actor.subject}"
        closed = await changes.close(change.conn, event_id, Status.SKIPPED, reason, change.moment(), only=due_at)
        change.touched(closed, plan=False)
        if closed or await _skip_ahead(machinery, change, due_at, reason):
            await change.record("event.occurrence_skipped", scheduled_at=due_at)
            await change.save()  # calendars that show it see that it has changed
    return change.event


async def override(
    machinery: Changes, actor: Actor, identity: Identity, said: Difference, if_match: IfMatch
) -> Occurrence:
    """Let one occurrence that has not begun differ from its event: when it happens, what it carries. Raises Conflict if
    it has begun or is closed, Invalid if there is none at this instant."""
    async with machinery.change(actor, identity.event_id, if_match) as change:
        known = await _require_waiting(change, identity)
        before = await changes.get_override(change.conn, identity)
        after = Override(
            identity.due_at,
            before.move_to if isinstance(said.move_to, msgspec.UnsetType) else said.move_to,
            before.payload if isinstance(said.payload, msgspec.UnsetType) else said.payload,
        )
        _require_possible(change, before, after)
        await changes.write_override(change.conn, identity.event_id, after, change.now)
        if known is None:
            await _open_ahead(machinery, change, after)
        else:
            await _move(change, known, known.fire_at if after.fire_at == before.fire_at else after.fire_at)
        await _require_few(change)
        told = {"scheduled_at": after.due_at, "move_to": after.move_to, "metadata": after.payload is not None}
        await change.record("event.occurrence_changed", **told)
        await change.save()  # as above
        found = await occurrences.get(change.conn, identity, None, change.now)
        assert found is not None  # noqa: S101 - it has just been written
    return found


async def _require_waiting(change: Change, identity: Identity) -> Occurrence | None:
    """None: it is not open yet."""
    known = await occurrences.get(change.conn, identity, None, change.now)
    if known is not None and known.status != Status.SCHEDULED:
        raise Conflict(f"the occurrence is {known.status}; only a scheduled one can be changed")
    if known is not None and known.attempt:
        raise Conflict("the occurrence has been attempted; only one that has not begun can be changed")
    return known


def _require_possible(change: Change, before: Override, after: Override) -> None:
    if after.fire_at == before.fire_at:
        return
    if after.fire_at < change.now:
        raise Invalid("move_to: has passed; move it to a time to come, or skip it", field="move_to")
    if after.fire_at > change.now + WITHIN:
        raise Invalid("move_to: only a year ahead", field="move_to")


async def _move(change: Change, known: Occurrence, fire_at: datetime | None) -> None:
    """Also what stays where it is: whoever holds it has the old content in hand."""
    rows = await changes.move(change.conn, known.identity, fire_at or known.due_at, change.moment())
    if not rows:
        raise Conflict("the occurrence is dispatched; only a scheduled one can be changed")
    change.touched(rows, plan=change.event.status != EventStatus.PAUSED)


async def _require_few(change: Change) -> None:
    if await changes.count_overridden(change.conn, change.event.id) > MOST_OVERRIDDEN:
        raise Conflict(f"{MOST_OVERRIDDEN} open occurrences of the event have been changed; that is the most")


async def _open_ahead(machinery: Changes, change: Change, override: Override) -> None:
    """An instant that is yet to be expanded, opened now."""
    recurrence, instant = await _require_ahead(change, override.due_at)
    event = change.event
    opened = await pending.insert(change.conn, [open_row(event.id, event.version, recurrence, override, instant)])
    if event.status == EventStatus.PAUSED:
        await changes.block(change.conn, event.id, change.moment())
    else:
        change.opened += opened
    await _go_behind(machinery, change, recurrence, override.due_at)


async def _require_ahead(change: Change, due_at: datetime) -> tuple[Recurrence, Instant]:
    """The instant, which is of the event and yet to be expanded. Raises Invalid and Conflict."""
    recurrence = recurrence_of(change.event)
    instant = await asyncio.to_thread(instant_of, recurrence, due_at)
    if instant is None:
        raise Invalid(NO_INSTANT, field="scheduled_at")
    if due_at < change.event.expanded_until:
        raise Conflict("this instant has passed without an occurrence")
    if due_at > change.now + WITHIN:
        raise Invalid("only what is due within a year can be changed", field="scheduled_at")
    return recurrence, instant


async def _go_behind(machinery: Changes, change: Change, recurrence: Recurrence, due_at: datetime) -> None:
    """If nothing lies between the cursor and this instant, which is done with, the cursor goes on behind it."""
    if due_at == change.event.next_due_at:
        change.event = msgspec.structs.replace(change.event, expanded_until=due_at + MICROSECOND)
        await machinery.expand(change, recurrence)
        await events.save(change.conn, change.event)


async def _open_manual(change: Change, payload: str | None) -> Entry:
    """A row due now, at a microsecond that is free."""
    conn, event, due_at = change.conn, change.event, change.now
    while not (opened := await pending.insert(conn, [_manual(event, due_at)])):
        due_at += MICROSECOND
    change.opened += opened
    if payload is not None:
        override = Override(opened[0].due_at, None, msgspec.Raw(payload.encode()))
        await changes.write_override(conn, event.id, override, change.now)
    await events.revive(conn, [event.id], change.now)
    return opened[0]


def _manual(event: Event, due_at: datetime) -> Open:
    return Open(event.id, due_at, due_at, event.version, Origin.MANUAL, None)


async def _skip_ahead(machinery: Changes, change: Change, due_at: datetime, reason: str) -> bool:
    """An instant that is not open must be one that is yet to be expanded; false if it is skipped already."""
    conn, event, now = change.conn, change.event, change.now
    known = await occurrences.get(conn, Identity(event.id, due_at), None, change.moment())
    if known is not None:
        if known.status != Status.SKIPPED:
            raise Conflict(f"the occurrence is {known.status}; only a scheduled one can be skipped")
        return False
    recurrence, instant = await _require_ahead(change, due_at)
    origin = Origin.ONCE if is_once(recurrence) else Origin.RULE
    identity = Identity(event.id, due_at)
    await changes.skip_ahead(conn, identity, origin, event.version, instant.wall, reason, now)
    await _go_behind(machinery, change, recurrence, due_at)
    return True
