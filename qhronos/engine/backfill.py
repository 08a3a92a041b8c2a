"""A past range of a rule, made up for by request: what neither happened nor is open happens now, under its own identity."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import Identity, Origin
from qhronos.core.recurrence import expand_far
from qhronos.engine.actor import Actor
from qhronos.engine.change import Changes, IfMatch
from qhronos.engine.draft import recurrence_of
from qhronos.errors import Conflict, Gone, Invalid
from qhronos.store import changes, events, pending
from qhronos.store.pending import Entry, Open


class Range(NamedTuple):
    """Of the instants [since, until) the first `limit`; with `dry_run` nothing is done."""

    since: datetime
    until: datetime
    limit: int
    dry_run: bool


class Backfilled(NamedTuple):
    missing: list[Identity]  # what neither happened nor is open
    opened: int
    covered: datetime  # all before it is looked at; go on from here


async def backfill(machinery: Changes, actor: Actor, event_id: UUID, wanted: Range, if_match: IfMatch) -> Backfilled:
    """Raises Invalid and Conflict, and Gone where the history that would tell is dropped."""
    async with machinery.change(actor, event_id, if_match) as change:
        conn, event, now = change.conn, change.event, change.now
        if event.status not in (EventStatus.ACTIVE, EventStatus.COMPLETED):
            raise Conflict(f"the event is {event.status}; resume it first")
        if wanted.until > now:
            raise Invalid("until: lies ahead; only what is past can be made up for", field="until")
        if wanted.since >= wanted.until:
            raise Invalid("since: must be before until", field="since")
        if not await changes.has_day(conn, wanted.since):
            raise Gone("the history of that day has been dropped: nobody knows what happened")
        found = await asyncio.to_thread(expand_far, recurrence_of(event), wanted.since, wanted.until, wanted.limit)
        missing = await changes.unknown(conn, event.id, [one.at for one in found.instants])
        opened: list[Entry] = []
        if not wanted.dry_run and missing:
            walls = {one.at: one.wall for one in found.instants}
            rows = [Open(event.id, at, now, event.version, Origin.BACKFILL, walls[at]) for at in missing]
            opened = await pending.insert(conn, rows)
            await events.revive(conn, [event.id], now)
            change.event = msgspec.structs.replace(event, status=EventStatus.ACTIVE, updated_at=now)
            await change.record("event.backfilled", since=wanted.since, until=wanted.until, opened=len(opened))
        change.opened += opened
    return Backfilled([Identity(event_id, at) for at in missing], len(opened), found.covered)
