"""What a change to an event does to it and to its open occurrences, in one transaction: the table of docs/architecture.md.

The event is held first, then its rows, in every change: so no two changes meet, and what a dispatcher claims meanwhile is
either taken back or was there first. What was held for later is re-fenced and recalled; what has started finishes, and
what is due but waits for a free hand of its dispatcher is recalled by the notice alone. After the commit dispatchers and
the plan are told; that they cannot be is a delay, never an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.core.event import EventStatus, in_catchup, most_caught_up
from qhronos.core.occurrence import Identity, Status, occurrence_id
from qhronos.core.recurrence import earliest, expand
from qhronos.core.recurrence.model import Recurrence
from qhronos.core.window import Advance, advance, is_once
from qhronos.engine.actor import Actor
from qhronos.engine.backlog import Backlog, pass_cursor
from qhronos.engine.draft import ROOM, Fields, merge, policies_of, reach, recurrence_of
from qhronos.engine.expand import open_rows
from qhronos.engine.follow import follow_one
from qhronos.engine.notify import announce, recall
from qhronos.engine.overrides import reapply
from qhronos.engine.secrets import Given, actions_of, seal_edit
from qhronos.engine.stores import Stores
from qhronos.errors import Conflict, Invalid, NotFound, Outdated
from qhronos.store import Connection, audit, changes, events, expansion, idempotency, pending, secrets
from qhronos.store.changes import Changed
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer, Request
from qhronos.store.pending import Entry, Open

NO_EVENT = "event not found"
NOTHING = timedelta()
UNKNOWN = "its schedule could not be expanded; how many there were is not known"


IfMatch: TypeAlias = frozenset[str] | None  # the etags that a change accepts; None: any


def etag(event: Event) -> str:
    """Differs whenever a client could see a difference that it made: pausing keeps the version."""
    return f"{event.version}-{event.status}"


class Change:
    """A held event in the middle of its transaction, and what is to be told after it."""

    def __init__(self, conn: Connection, actor: Actor, event: Event, now: datetime, clock: Clock) -> None:
        self.conn = conn
        self.actor = actor
        self.event = event
        self.now = now  # since when it holds, whatever it takes to compute
        self.clock = clock
        self.took_at: datetime | None = None  # the first moment at which rows were taken
        self.opened: list[Entry] = []
        self.recalled = False
        self.kinds: list[str] = []  # what is told of it
        self.begun: list[Change] = []  # events that it has made

    def moment(self) -> datetime:
        """The clock's now, at which rows are taken: what fired while the change was computed has started."""
        now = self.clock.now()
        self.took_at = self.took_at or now
        return now

    def touched(self, rows: Sequence[Changed], *, plan: bool) -> None:
        """Rows were taken from whoever held them; `plan`: they are still to be acted on."""
        self.recalled = self.recalled or any(row.held for row in rows)
        if plan:
            self.opened += [Entry(self.event.id, row.due_at, row.fire_at) for row in rows]

    async def recall_due(self) -> None:
        """What is claimed and due may still wait for a free hand: whoever has it hands back what has not started."""
        self.recalled = self.recalled or await changes.is_held(self.conn, self.event.id)

    async def record(self, action: str, **details: Any) -> None:
        await audit.record(self.conn, self.actor.did(action, self.event.id, self.now, details))
        self.kinds.append(action.removeprefix("event."))

    async def save(self, **updates: Any) -> None:
        """Write the event back; if nothing is left to fire, it is completed."""
        self.event = msgspec.structs.replace(self.event, **updates, updated_at=self.now)
        await events.save(self.conn, self.event)
        await self.settle()

    async def settle(self) -> None:
        """Complete the event if nothing is left, and read it back as anybody would see it."""
        await pending.complete_events(self.conn, [self.event.id], self.now)
        self.event = _found(await events.get(self.conn, self.event.id, None, self.now))


async def begin(conn: Connection, actor: Actor, event_id: UUID, if_match: IfMatch, clock: Clock) -> Change:
    """Hold a live event that the actor sees. Raises NotFound, and Outdated if `if_match` is of another version."""
    if not await events.lock(conn, event_id, actor.scope):
        raise NotFound(NO_EVENT)
    now = clock.now()  # once it is held: what started while we waited has started
    event = _found(await events.get(conn, event_id, None, now))
    if if_match is not None and etag(event) not in if_match:
        raise Outdated(f"the event has changed: it is now {etag(event)}; read it again", field="If-Match")
    return await _up_to_date(Change(conn, actor, event, now, clock))


class Changes:
    def __init__(self, stores: Stores, clock: Clock, scheduler: Scheduler) -> None:
        self.stores = stores
        self.clock = clock
        self.min_period = scheduler.min_period
        self.scheduler = scheduler

    async def edit(
        self, actor: Actor, event_id: UUID, fields: Fields, status: EventStatus | None, if_match: IfMatch
    ) -> Event:
        """Change what was said; `status` active or paused is how the first Qhronos resumed and paused."""
        async with self.change(actor, event_id, if_match) as change:
            before = change.event.status
            if fields.given() or status is None:
                await self.apply(change, fields)
            if status == EventStatus.PAUSED and before != EventStatus.PAUSED:
                await self.pause_held(change, None)
            if status == EventStatus.ACTIVE and before == EventStatus.PAUSED:
                await self.resume_held(change, Backlog.FIRE_ALL)
        return change.event

    async def upsert(
        self, actor: Actor, fields: Fields, request: Request | None, render: Callable[[Event], Answer]
    ) -> Answer | None:
        """Edit the event with this key; None: there is no longer one."""
        async with self.stores.database.transaction() as conn:
            if answer := await idempotency.claim(conn, request, self.clock.now()):
                return answer
            change = await begin_by_key(conn, actor, str(fields.key), self.clock)
            if change is None:
                # Nothing was done, so the request is still to be answered.
                await idempotency.release(conn, [request] if request else [])
                return None
            await self.apply(change, fields)
            answer = render(change.event)
            await idempotency.record(conn, request, answer)
        await self.tell(change)
        return answer

    async def pause(
        self, actor: Actor, event_id: UUID, reason: str | None, until: datetime | None, backlog: str, if_match: IfMatch
    ) -> Event:
        """With `until` it resumes by itself, and `backlog` says what becomes of what fell due meanwhile."""
        async with self.change(actor, event_id, if_match) as change:
            if until is not None and until <= change.now:
                raise Invalid("until: has passed; name an instant to come, or leave it out", field="until")
            await changes.pause_until(change.conn, event_id, until, backlog if until else None)
            await self.pause_held(change, reason)
        return change.event

    async def delete(self, actor: Actor, event_id: UUID, if_match: IfMatch) -> None:
        async with self.change(actor, event_id, if_match) as change:
            conn, event, now = change.conn, change.event, change.now
            closed = await changes.close(conn, event.id, Status.CANCELLED, "event deleted", change.moment())
            change.touched(closed, plan=False)
            await change.recall_due()
            left = await changes.list_open(conn, event.id, change.moment())
            in_flight = [occurrence_id(Identity(event.id, row.due_at)) for row in left]
            await pass_over(change, "event deleted")
            await change.record("event.deleted", cancelled=len(closed), in_flight=in_flight)
            await events.delete(conn, event.id, now)
            change.event = msgspec.structs.replace(event, status=EventStatus.DELETED, updated_at=now)

    @asynccontextmanager
    async def change(self, actor: Actor, event_id: UUID, if_match: IfMatch) -> AsyncIterator[Change]:
        """A transaction around a held event; after its commit everybody is told."""
        async with self.stores.database.transaction() as conn:
            change = await begin(conn, actor, event_id, if_match, self.clock)
            yield change
        await self.tell(change)

    async def apply(self, change: Change, fields: Fields) -> None:
        """An edit. Only another recurrence moves instants; everything else binds what is open to the new version."""
        before, now = change.event, change.now
        # In a thread: a hostile rule may use up its whole step budget.
        merged, recurrence = await asyncio.to_thread(merge, before, fields, now, self.min_period)
        dropped = await self.become(change, merged, recurrence)
        await self.keep_secrets(change, before, fields.secrets)
        details = {"overrides_dropped": dropped} if dropped else {}
        await change.record("event.updated", version=merged.version, fields=fields.given(), **details)
        await change.save()

    async def keep_secrets(self, change: Change, before: Event, given: Given) -> None:
        """Write what was said of secrets; the rest of them stays. Raises Invalid and Conflict."""
        if not given.is_nothing:
            sealed = await secrets.get(change.conn, change.event.id)
            was, become = actions_of(before), actions_of(change.event)
            await secrets.put(change.conn, [seal_edit(self.stores.vault, sealed, given, was, become, change.now)])

    async def become(self, change: Change, merged: Event, recurrence: Recurrence | None) -> list[datetime]:
        """The held event in its next version, with `recurrence` if that is another: which instants were changed by hand
        and are none any more. Not saved yet."""
        conn, event_id, now = change.conn, change.event.id, change.now
        dropped: list[datetime] = []
        if recurrence is not None:
            await self._finish_past(change)
            change.touched(await changes.remove_future(conn, event_id, now, change.moment()), plan=False)
        change.event = merged
        paused = merged.status == EventStatus.PAUSED
        change.touched(await changes.rebind(conn, event_id, merged.version, change.moment()), plan=not paused)
        await change.recall_due()
        if recurrence is not None:
            dropped = await self.reapply(change, recurrence)
            await self._expand_anew(change, recurrence)
        await events.next_version(conn, change.event, now)
        return dropped

    async def reapply(self, change: Change, recurrence: Recurrence) -> list[datetime]:
        """Open what was changed by hand and is still of the recurrence; which instants are not. Before `expand`."""
        event = change.event
        opened, dropped = await reapply(change.conn, event.id, event.version, recurrence, change.now)
        if event.status == EventStatus.PAUSED:
            await changes.block(change.conn, event.id, change.moment())
        else:
            change.opened += opened
        return dropped

    async def pause_held(self, change: Change, reason: str | None) -> None:
        """Keep what is open, but from being claimed; what is held for later is handed back."""
        event = change.event
        if event.status not in (EventStatus.ACTIVE, EventStatus.PAUSED):
            raise Conflict(f"the event is {event.status}; only an active one can be paused")
        change.touched(await changes.block(change.conn, event.id, change.moment()), plan=False)
        await change.recall_due()
        await change.record("event.paused", reason=reason)
        await change.save(status=EventStatus.PAUSED, reason=reason)

    async def resume_held(self, change: Change, backlog: str) -> None:
        """Let what is open be claimed again, and expand from where it stopped."""
        event = change.event
        change.touched(await changes.unblock(change.conn, event.id, event.version), plan=True)
        await changes.pause_until(change.conn, event.id, None, None)
        change.event = msgspec.structs.replace(event, status=EventStatus.ACTIVE, reason=None)
        await self.expand(change, recurrence_of(event))
        await change.record("event.resumed", backlog=backlog)
        await change.save()

    async def expand(self, change: Change, recurrence: Recurrence) -> None:
        """Make what is near, from the cursor of the event on; the cursor moves. Not saved yet."""
        event, now = change.event, change.now
        if event.status == EventStatus.PAUSED:
            await self._look_ahead(change, recurrence)
            return
        room = max(0, ROOM - await self._count_open(change))
        policies = policies_of(event)
        step = await asyncio.to_thread(reach, recurrence, event.expanded_until, policies, room, now, self.scheduler)
        await self._write(change, recurrence, step)

    async def _write(self, change: Change, recurrence: Recurrence, step: Advance) -> None:
        event = change.event
        change.opened += await pending.insert(change.conn, _rows(event, recurrence, step))
        if step.gap:
            await expansion.record_gaps(change.conn, [expansion.NewGap(event.id, *step.gap)])
        cursor = {name: getattr(step, name) for name in ("expanded_until", "next_due_at", "next_expand_at")}
        change.event = msgspec.structs.replace(event, **cursor)

    async def _count_open(self, change: Change) -> int:
        counts = await pending.count_open(change.conn, [change.event.id])
        return counts.get(change.event.id, 0)

    async def _finish_past(self, change: Change) -> None:
        """What the rule gave until now is recorded before another takes over, however late the expander is: made as far
        as there is room, counted beyond."""
        now, recurrence = change.now, recurrence_of(change.event)
        misfire = policies_of(change.event).misfire
        catchup, most = in_catchup(misfire, now), most_caught_up(misfire)
        room = self.scheduler.max_open - await self._count_open(change)
        while change.event.status == EventStatus.ACTIVE and is_behind(change) and room > 0:
            since = change.event.expanded_until
            step = await asyncio.to_thread(
                advance, recurrence, since, now=now, look_ahead=NOTHING, room=room, catchup=catchup, most=most
            )
            await self._write(change, recurrence, step)
            room = room - len(step.instants) if step.expanded_until > since else 0
        await pass_over(change, "its schedule was changed")
        if change.event.status == EventStatus.ERROR and change.event.expanded_until < now:
            gap = expansion.NewGap(change.event.id, change.event.expanded_until, now, 0, UNKNOWN)
            await expansion.record_gaps(change.conn, [gap])

    async def _look_ahead(self, change: Change, recurrence: Recurrence) -> None:
        """While an event is paused nothing is made of it; it only knows what would come first."""
        ahead = await asyncio.to_thread(expand, recurrence, change.event.expanded_until, None, 1)
        first = ahead.instants[0].at if ahead.instants else None
        again = None if first is None and ahead.ended else change.now
        change.event = msgspec.structs.replace(change.event, next_due_at=first, next_expand_at=again)

    async def _expand_anew(self, change: Change, recurrence: Recurrence) -> None:
        """From now on; a single instant also if it is in the past, where the misfire policy judges it."""
        event = change.event
        since = earliest(recurrence) if is_once(recurrence) else change.now
        status = event.status if event.status == EventStatus.PAUSED else EventStatus.ACTIVE
        reason = event.reason if event.status == EventStatus.PAUSED else None
        change.event = msgspec.structs.replace(event, expanded_until=since, status=status, reason=reason)
        await self.expand(change, recurrence)

    async def tell(self, change: Change) -> None:
        """After the commit."""
        for told in (change, *change.begun):
            for kind in told.kinds:
                self.stores.announcer.changed(kind, [told.event])
        if change.recalled:
            await recall(self.stores, [change.event.id], change.took_at)
        await announce(self.stores, change.opened, change.now)


def is_behind(change: Change) -> bool:
    """Whether instants before now may not be expanded yet."""
    return change.event.next_expand_at is not None and change.event.expanded_until < change.now


async def pass_over(change: Change, reason: str) -> None:
    """Count what is not expanded until now as a gap."""
    arrived = not is_behind(change)
    while not arrived:
        change.event, arrived = await pass_cursor(change.conn, change.event, change.now, reason)


async def begin_by_key(conn: Connection, actor: Actor, key: str, clock: Clock) -> Change | None:
    """Hold the live event with this key; None: there is none. Raises Conflict if the actor must not see it."""
    held = await events.lock_key(conn, key, actor.scope)
    if held is None:
        return None
    event_id, visible = held
    if not visible:
        raise Conflict("another event has this key", field="key")
    now = clock.now()  # once it is held, as in `begin`
    event = _found(await events.get(conn, event_id, None, now))
    return await _up_to_date(Change(conn, actor, event, now, clock))


async def _up_to_date(change: Change) -> Change:
    """What is open was made by the zone rules that the change will be computed with."""
    followed = await follow_one(change.conn, change.event, change.now)
    if followed is not None:
        change.opened += followed.opened
        change.kinds += ["followed"] * len(followed.changed)
        if followed.recalled:
            change.recalled, change.took_at = True, change.now
        change.event = _found(await events.get(change.conn, change.event.id, None, change.now))
    return change


def _found(event: Event | None) -> Event:
    if event is None:
        raise NotFound(NO_EVENT)
    return event


def _rows(event: Event, recurrence: Recurrence, step: Advance) -> list[Open]:
    return open_rows(event.id, event.version, recurrence, policies_of(event), step)
