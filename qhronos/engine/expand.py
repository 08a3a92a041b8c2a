"""Event × window → open occurrences and the plan.

Rows and cursors commit together, then the plan is told: dying before the commit changes nothing, dying after it leaves
rows that the sweep plans. Doing it twice opens nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
from qhronos.store.expansion import Expandable, NewGap
from qhronos.store.pending import Entry, Open

BATCH = 50
# What a batch may spend in all: hostile rules must not keep the others waiting, nor their rows locked.
BATCH_STEPS = 4 * STEPS

log = get_logger()


class Stuck(Exception):
    """A rule that a whole pass does not get on with."""


class Expanded(NamedTuple):
    taken: int  # a full batch means that more are waiting
    opened: list[Entry]


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
        return Expanded(0, [])
    counts = await pending.count_open(conn, [event.id for event in events])
    rooms = [max_open - counts.get(event.id, 0) for event in events]
    # In a thread: a hostile rule may use up its whole step budget, and the loop has deliveries to make meanwhile.
    steps = await asyncio.to_thread(_advance_all, events, rooms, now, look_ahead)
    rows: list[Open] = []
    gaps: list[NewGap] = []
    advanced: list[tuple[UUID, Advance]] = []
    for event, step in zip(events, steps, strict=False):
        if isinstance(step, Exception):
            log.error("event.quarantined", event_id=str(event.id), exc_info=step)
            await expansion.quarantine(conn, event.id, f"the rule could not be expanded: {step}", now)
            continue
        recurrence = msgspec.json.decode(event.recurrence, type=Recurrence)
        policies = msgspec.json.decode(event.policies, type=Policies)
        rows += open_rows(event.id, event.version, recurrence, policies, step)
        advanced.append((event.id, step))
        if step.gap:
            gaps.append(NewGap(event.id, *step.gap))
    opened = await _write(conn, rows, gaps, advanced, now)
    return Expanded(len(steps), opened)


async def expand_due(stores: Stores, now: datetime, settings: Scheduler) -> Expanded:
    """A batch in a transaction of its own; then the plan and the dispatchers are told."""
    async with stores.database.transaction() as conn:
        expanded = await expand_batch(conn, now, settings.look_ahead_duration, settings.max_open)
    await announce(stores, expanded.opened, now)
    return expanded


async def _write(
    conn: Connection, rows: list[Open], gaps: list[NewGap], advanced: list[tuple[UUID, Advance]], now: datetime
) -> list[Entry]:
    opened = await pending.insert(conn, rows)
    await expansion.record_gaps(conn, gaps)
    await expansion.record(conn, advanced)
    ended = [event_id for event_id, step in advanced if step.next_expand_at is None]
    await pending.complete_events(conn, ended, now)
    return opened


def _advance_all(
    events: Sequence[Expandable], rooms: Sequence[int], now: datetime, look_ahead: timedelta
) -> list[Advance | Exception]:
    """As far as the steps of a batch go. The events that are left come first in the next."""
    done: list[Advance | Exception] = []
    left = BATCH_STEPS
    for event, room in zip(events, rooms, strict=True):
        if left <= 0:
            break
        own = Steps(min(left, STEPS))
        left -= own.left
        try:
            done.append(_advance_one(event, room, now, look_ahead, own))
        except Exception as error:  # noqa: BLE001 - whatever one rule does wrong must not stop the batch
            done.append(error)
        left += own.left
    return done


def _advance_one(event: Expandable, room: int, now: datetime, look_ahead: timedelta, steps: Steps) -> Advance:
    recurrence = msgspec.json.decode(event.recurrence, type=Recurrence)
    policies = msgspec.json.decode(event.policies, type=Policies)
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
    return step


def _stands_still(event: Expandable, step: Advance, now: datetime) -> bool:
    """The next pass would do the same again, and so would all that follow."""
    return (
        step.expanded_until <= event.expanded_until and step.next_expand_at is not None and step.next_expand_at <= now
    )
