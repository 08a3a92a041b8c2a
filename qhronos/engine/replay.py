"""What is done to single occurrences: replay what is closed, cancel what has not begun.

The event is held before its rows, as in every change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from qhronos.clock import Clock
from qhronos.core.event import EventStatus
from qhronos.core.occurrence import OPEN, Identity, Status, occurrence_id
from qhronos.engine.actor import Actor
from qhronos.engine.notify import announce, recall
from qhronos.engine.stores import Stores
from qhronos.errors import Conflict, Gone, NotFound
from qhronos.store import Connection, audit, changes, events, occurrences, pending
from qhronos.store.events import Revived
from qhronos.store.occurrences import Filter, Occurrence

NO_OCCURRENCE = "occurrence not found"
REPLAYABLE = frozenset({EventStatus.ACTIVE, EventStatus.COMPLETED, EventStatus.PAUSED})


class Replayed(NamedTuple):
    matched: list[Identity]
    reopened: int


class Replays:
    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    async def replay(self, actor: Actor, identity: Identity) -> Occurrence:
        """Closed, and so open again: same id, next attempt, now. Raises Conflict where that cannot be."""
        async with self._stores.database.transaction() as conn:
            status, occurrence, now = await _hold(conn, actor, identity, self._clock)
            if occurrence.status in OPEN:
                raise Conflict(f"the occurrence is {occurrence.status}; only a closed one can be replayed")
            if status not in REPLAYABLE:
                raise Conflict(f"the event is {status}; its occurrences cannot be replayed")
            opened = await changes.reopen(conn, [identity], now)
            revived = await events.revive(conn, [identity.event_id], now)
            await _record(conn, actor, "occurrence.replayed", identity, now)
            occurrence = _found(await occurrences.get(conn, identity, None, now))
        self._tell_replayed(revived)
        await announce(self._stores, opened, now)
        return occurrence

    async def cancel(self, actor: Actor, identity: Identity) -> Occurrence:
        """Open and not begun, and so closed as cancelled. Raises Conflict where that cannot be."""
        async with self._stores.database.transaction() as conn:
            _, occurrence, now = await _hold(conn, actor, identity, self._clock)
            reason = f"cancelled by {actor.subject}"
            closed = await changes.close(conn, identity.event_id, Status.CANCELLED, reason, now, only=identity.due_at)
            if not closed:
                raise Conflict(f"the occurrence is {occurrence.status}; only a scheduled one can be cancelled")
            ended = await pending.complete_events(conn, [identity.event_id], now)
            touched = await events.touch(conn, [identity.event_id], now)
            await _record(conn, actor, "occurrence.cancelled", identity, now)
            occurrence = _found(await occurrences.get(conn, identity, None, now))
        self._stores.announcer.changed("occurrence_cancelled", touched)
        self._stores.announcer.changed("completed", ended.completed)
        if closed[0].held:
            await recall(self._stores, [identity.event_id], now)
        return occurrence

    async def preview(self, actor: Actor, wanted: Filter, limit: int) -> list[Identity]:
        """What `replay_many` would take."""
        async with self._stores.database.connection() as conn:
            return await occurrences.find_closed(conn, wanted, actor.scope, limit)

    async def replay_many(self, actor: Actor, wanted: Filter, limit: int, rate: float | None = None) -> Replayed:
        """All that match, oldest first, at most `limit`, and `rate` a second; what somebody else reopens meanwhile is left
        to them."""
        apart = timedelta(seconds=1 / rate) if rate else timedelta()
        async with self._stores.database.transaction() as conn:
            now = self._clock.now()
            matched = await occurrences.find_closed(conn, wanted, actor.scope, limit)
            held = await events.lock_of_occurrences(conn, list({one.event_id for one in matched}), actor.scope)
            live = [one for one in matched if held.get(one.event_id) in REPLAYABLE]
            opened = await changes.reopen(conn, live, now, apart)
            revived = await events.revive(conn, list({entry.event_id for entry in opened}), now)
            if opened:
                details = {"filter": _told(wanted), "replayed": len(opened)}
                await audit.record(conn, actor.did("occurrences.replayed", wanted.event_id or "*", now, details))
        self._tell_replayed(revived)
        await announce(self._stores, opened, now)
        return Replayed(matched, len(opened))

    async def purge(self, actor: Actor, wanted: Filter, limit: int) -> Replayed:
        """Call off for good what has failed and matches: it stays in the ledger, as cancelled."""
        failed = msgspec.structs.replace(wanted, statuses=[Status.FAILED])
        async with self._stores.database.transaction() as conn:
            now = self._clock.now()
            matched = await occurrences.find_closed(conn, failed, actor.scope, limit)
            held = await events.lock_of_occurrences(conn, list({one.event_id for one in matched}), actor.scope)
            seen = [one for one in matched if one.event_id in held]
            dropped = await occurrences.drop_failed(conn, seen, f"purged by {actor.subject}")
            touched = await events.touch(conn, list(set(dropped)), now)
            if dropped:
                details = {"filter": _told(wanted), "purged": len(dropped)}
                await audit.record(conn, actor.did("occurrences.purged", wanted.event_id or "*", now, details))
        self._stores.announcer.changed("purged", touched)
        return Replayed(matched, len(dropped))

    def _tell_replayed(self, revived: Revived) -> None:
        """Once of each event, however many of its occurrences it were."""
        self._stores.announcer.changed("replayed", revived.events)
        self._stores.announcer.changed("revived", revived.completed)


async def _hold(conn: Connection, actor: Actor, identity: Identity, clock: Clock) -> tuple[str, Occurrence, datetime]:
    """Hold the event of an occurrence that the actor sees: its status, the occurrence, and since when."""
    held = await events.lock_of_occurrences(conn, [identity.event_id], actor.scope)
    if identity.event_id not in held:
        raise NotFound(NO_OCCURRENCE)
    now = clock.now()
    occurrence = await occurrences.get(conn, identity, None, now)
    if occurrence is None and identity.due_at < now and not await changes.has_day(conn, identity.due_at):
        raise Gone("the history of that day has been dropped")
    return held[identity.event_id], _found(occurrence), now


async def _record(conn: Connection, actor: Actor, action: str, identity: Identity, now: datetime) -> None:
    details = {"event_id": str(identity.event_id), "scheduled_at": identity.due_at}
    await audit.record(conn, actor.did(action, occurrence_id(identity), now, details))


def _told(wanted: Filter) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}


def _found(occurrence: Occurrence | None) -> Occurrence:
    if occurrence is None:
        raise NotFound(NO_OCCURRENCE)
    return occurrence
