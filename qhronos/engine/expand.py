"""Event × window → open occurrences and the plan.

Rows and cursors commit together, then the plan is told: dying before the commit changes nothing, dying after it leaves
rows that the sweep plans. Doing it twice opens nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.config import Scheduler
from qhronos.core.event import Policies, delay, in_catchup, most_caught_up
from qhronos.core.occurrence import Origin
from qhronos.core.recurrence import STEPS, Recurrence, Steps, tzdata_version
from qhronos.core.window import Advance, advance, is_once
from qhronos.engine.notify import announce
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import Connection, expansion, pending
from qhronos.store.events import Brief
from qhronos.store.expansion import Expandable, NewGap
from qhronos.store.pending import Entry, Open

BATCH = 200
# What a batch may spend and make in all: some rules must not keep the others waiting, nor their events locked.
BATCH_STEPS = 4 * STEPS
BATCH_ROWS = 10_000

log = get_logger()

_recurrences = msgspec.json.Decoder(Recurrence)
_policies = msgspec.json.Decoder(Policies)


class Stuck(Exception):
    """A rule that a whole pass does not get on with."""


class Pass(NamedTuple):
    step: Advance
    rows: list[Open]


class Expanded(NamedTuple):
    taken: int  # a full batch means that more are waiting
    opened: list[Entry]
    completed: list[Brief]  # there was nothing left of them
    quarantined: list[Brief]


def open_rows(event_id: UUID, version: int, recurrence: Recurrence, policies: Policies, step: Advance) -> list[Open]:
    """The rows that a pass makes."""
    origin = Origin.ONCE if is_once(recurrence) else Origin.RULE
    return [
        Open(event_id, one.at, one.at + delay(policies, event_id, one.at), version, origin, one.wall)
        for one in step.instants
    ]


async def expand_batch(conn: Connection, now: datetime, look_ahead: timedelta, max_open: int) -> Expanded:
    """Advance a batch of events whose time has come, inside the caller's transaction."""
    events = await expansion.take(conn, now, BATCH, tzdata_version())
    if not events:
        return Expanded(0, [], [], [])
    counts = await pending.count_open(conn, [event.id for event in events])
    rooms = [max_open - counts.get(event.id, 0) for event in events]
    # In a thread: a hostile rule may use up its whole step budget, and the loop has deliveries to make meanwhile.
    passes = await asyncio.to_thread(_advance_all, events, rooms, now, look_ahead)
    advanced: dict[UUID, Pass] = {}
    quarantined: list[Brief] = []
    for event, done in zip(events, passes, strict=False):
        if isinstance(done, Exception):
            log.error("event.quarantined", event_id=str(event.id), exc_info=done)
            quarantined += await expansion.quarantine(conn, event.id, f"the rule could not be expanded: {done}", now)
        else:
            advanced[event.id] = done
    opened, completed = await _write(conn, advanced, now)
    return Expanded(len(passes), opened, completed, quarantined)


async def expand_due(stores: Stores, now: datetime, settings: Scheduler) -> Expanded:
    """A batch in a transaction of its own; then the plan, the dispatchers and whoever listens are told."""
    async with stores.database.transaction() as conn:
        expanded = await expand_batch(conn, now, settings.look_ahead_duration, settings.max_open)
    stores.announcer.changed("completed", expanded.completed)
    stores.announcer.changed("quarantined", expanded.quarantined)
    await announce(stores, expanded.opened, now)
    return expanded


async def _write(conn: Connection, advanced: Mapping[UUID, Pass], now: datetime) -> tuple[list[Entry], list[Brief]]:
    steps = {event_id: done.step for event_id, done in advanced.items()}
    opened = await pending.insert(conn, [row for done in advanced.values() for row in done.rows])
    await expansion.record_gaps(conn, [NewGap(event_id, *step.gap) for event_id, step in steps.items() if step.gap])
    await expansion.record(conn, list(steps.items()))
    ended = [event_id for event_id, step in steps.items() if step.next_expand_at is None]
    return opened, (await pending.complete_events(conn, ended, now)).completed


def _advance_all(
    events: Sequence[Expandable], rooms: Sequence[int], now: datetime, look_ahead: timedelta
) -> list[Pass | Exception]:
    """As far as the steps and the rows of a batch go. The events that are left come first in the next."""
    done: list[Pass | Exception] = []
    left, rows = BATCH_STEPS, BATCH_ROWS
    for event, room in zip(events, rooms, strict=True):
        if left <= 0 or rows <= 0:
            break
        own = Steps(min(left, STEPS))
        left -= own.left
        try:
            one = _advance_one(event, room, now, look_ahead, own)
            rows -= len(one.rows)
            done.append(one)
        except Exception as error:  # noqa: BLE001 - whatever one rule does wrong must not stop the batch
            done.append(error)
        left += own.left
    return done


def _advance_one(event: Expandable, room: int, now: datetime, look_ahead: timedelta, steps: Steps) -> Pass:
    recurrence = _recurrences.decode(event.recurrence)
    policies = _policies.decode(event.policies)
    whole = steps.left == STEPS
    step = advance(
        recurrence,
        event.expanded_until,
        now=now,
        look_ahead=look_ahead,
        room=room,
        catchup=in_catchup(policies.misfire, now),
        most=most_caught_up(policies.misfire),
        steps=steps,
    )
    if whole and room > 0 and not step.instants and step.gap is None and _stands_still(event, step, now):
        raise Stuck(f"{STEPS} steps lead it nowhere from {event.expanded_until:%Y-%m-%dT%H:%M:%SZ} on")
    return Pass(step, open_rows(event.id, event.version, recurrence, policies, step))


def _stands_still(event: Expandable, step: Advance, now: datetime) -> bool:
    """The next pass would do the same again, and so would all that follow."""
    return (
        step.expanded_until <= event.expanded_until and step.next_expand_at is not None and step.next_expand_at <= now
    )
