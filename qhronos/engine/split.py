"""This and following: an event ends before one of its instants, and a new one goes on from there."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.ids import RANDOM_BYTES, time_ordered_id
from qhronos.core.occurrence import Identity, Origin
from qhronos.core.recurrence import Recurrence, is_settled, restated, settle, start, tzdata_version
from qhronos.core.recurrence import split as split_recurrence
from qhronos.core.window import is_once
from qhronos.engine.actor import Actor
from qhronos.engine.change import Change, Changes, IfMatch
from qhronos.engine.draft import Fields, encode, merge, recurrence_of
from qhronos.engine.overrides import instant_of
from qhronos.engine.secrets import transplant
from qhronos.errors import Conflict, Invalid
from qhronos.store import changes, events, secrets
from qhronos.store.events import Event

SPLITTABLE = frozenset({EventStatus.ACTIVE, EventStatus.PAUSED})
DONE_BEFORE = "happened before the event was split"


class Halves(NamedTuple):
    ended: Event  # in its next version
    before: Recurrence
    begun: Event
    after: Recurrence


async def split(
    machinery: Changes, actor: Actor, event_id: UUID, at: datetime, fields: Fields, if_match: IfMatch
) -> Event:
    """The new event, which begins at `at` as `fields` have it; the old one ends before. What was changed or skipped by
    hand goes with its instant. Raises Invalid and Conflict."""
    async with machinery.change(actor, event_id, if_match) as change:
        event, now = change.event, change.now
        if event.status not in SPLITTABLE:
            raise Conflict(f"the event is {event.status}; only an active or paused one can be split")
        if at <= now:
            raise Invalid("scheduled_at: has passed; only what is to come can be split off", field="scheduled_at")
        halves = await asyncio.to_thread(_halve, event, at, fields, now, machinery.min_period)
        begun = Change(change.conn, actor, halves.begun, now, change.clock)
        await changes.hand_over_overrides(change.conn, event.id, begun.event.id, at, now)
        await _end(machinery, change, halves, at)
        await _begin(machinery, begun, halves, event.id, fields)
        change.opened += begun.opened
        change.begun.append(begun)
    return begun.event


def _halve(event: Event, at: datetime, fields: Fields, now: datetime, min_period: timedelta) -> Halves:
    before, after = map(_settled, split_recurrence(recurrence_of(event), at))
    ended = _having(event, before, version=event.version + 1, updated_at=now)
    identifier = time_ordered_id(now, os.urandom(RANDOM_BYTES))
    seed = _having(event, after, id=identifier, key=None, start_time=at, version=0, created_at=now)
    cursor = {"expanded_until": at, "next_due_at": None, "next_expand_at": now}
    begun, another = merge(msgspec.structs.replace(seed, **cursor), fields, now, min_period)
    if another is not None and start(another) < at:
        raise Invalid("start_time: is before the instant at which the new event begins", field="start_time")
    return Halves(ended, before, begun, another or after)


def _settled(recurrence: Recurrence) -> Recurrence:
    while not is_settled(recurrence):
        recurrence = settle(recurrence)
    return recurrence


def _having(event: Event, recurrence: Recurrence, **more: object) -> Event:
    when = {"recurrence": encode(recurrence), "schedule": encode(restated(recurrence)), "tzdata": tzdata_version()}
    return msgspec.structs.replace(event, **when, **more)


async def _end(machinery: Changes, change: Change, halves: Halves, at: datetime) -> None:
    await machinery.become(change, halves.ended, halves.before)
    details = {"version": halves.ended.version, "scheduled_at": at, "split_to": str(halves.begun.id)}
    await change.record("event.split", **details)
    await change.save()


async def _begin(machinery: Changes, change: Change, halves: Halves, ended: UUID, fields: Fields) -> None:
    conn, event = change.conn, change.event
    if not await events.insert(conn, [event]):
        raise Conflict("another event has this key", field="key")
    await secrets.put(conn, [transplant(machinery.stores.vault, await secrets.get(conn, ended), event.id)])
    await machinery.keep_secrets(change, halves.ended, fields.secrets)
    await _carry_over(change, halves, ended)
    await machinery.reapply(change, halves.after)
    await machinery.expand(change, halves.after)
    details = {"name": event.name, "key": event.key, "tags": list(event.tags), "split_from": str(ended)}
    await change.record("event.created", **details)
    await change.save()


async def _carry_over(change: Change, halves: Halves, ended: UUID) -> None:
    """What is skipped stays skipped, and what was moved to a time before the split does not come a second time."""
    event, origin = change.event, Origin.ONCE if is_once(halves.after) else Origin.RULE
    for due_at, reason in await changes.list_done_ahead(change.conn, ended, start(halves.after)):
        instant = await asyncio.to_thread(instant_of, halves.after, due_at)
        if instant is not None:
            identity = Identity(event.id, due_at)
            told = reason or DONE_BEFORE
            await changes.skip_ahead(change.conn, identity, origin, event.version, instant.wall, told, change.now)
