"""New zone rules × events → what is open moves to where its local time is now.

Whatever expands an event has the rules of the release that its `tzdata` names; so events follow first, in batches that
replicas share, and are expanded then. A batch is one transaction: dying before its commit changes nothing, dying after it
leaves rows that the sweep plans.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.core.event import EventStatus
from qhronos.core.follow import FAR, Moves, Row, anchored, follow
from qhronos.core.occurrence import Identity, Origin
from qhronos.core.recurrence import Instant, Recurrence, expand, is_settled, settle, start, tzdata_version
from qhronos.core.window import is_once
from qhronos.engine.draft import encode
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import Connection, changes, events, zonerules
from qhronos.store.events import Event
from qhronos.store.pending import Entry
from qhronos.store.zonerules import Behind, Change, Cursor, Put

BATCH = 50
KEPT_BACK = "its local time has happened already, by the zone rules before {}"

log = get_logger()


class Followed(NamedTuple):
    opened: list[Entry]
    recalled: list[UUID]  # events of which dispatchers had rows in hand
    changed: list[Event]


class Plan(NamedTuple):
    """What the new rules make of one event."""

    recurrence: Recurrence
    moves: Moves
    first: Instant | None  # of those that are not made yet

    @property
    def next_due_at(self) -> datetime | None:
        return self.first.at if self.first else None


class Newer(Unavailable):
    """An event that others have let follow to zone rules which this process does not have."""

    def __init__(self, theirs: str) -> None:
        super().__init__(f"tzdata {theirs}", f"this node has the zone rules of {tzdata_version()}; upgrade it")


async def follow_batch(conn: Connection, now: datetime) -> Followed:
    """Let a batch of events follow to the rules of this process, inside the caller's transaction."""
    found = await zonerules.find_behind(conn, tzdata_version(), now, BATCH)
    # In a thread, and before anything is held: a COUNT of many is counted anew.
    settled = await asyncio.to_thread(_settle_all, found, now)
    return await _follow(conn, found, settled, now)


async def follow_one(conn: Connection, event: Event, now: datetime) -> Followed | None:
    """Let a held event follow before it is changed; None: it has the rules of this process. Raises Newer if it has those
    of a later release."""
    ours = tzdata_version()
    if event.tzdata == ours or event.status not in (EventStatus.ACTIVE, EventStatus.PAUSED):
        return None
    if event.tzdata > ours:
        raise Newer(event.tzdata)
    behind = Behind(
        id=event.id,
        version=event.version,
        recurrence=event.recurrence,
        start_time=event.start_time,
        tzdata=event.tzdata,
    )
    settled = await asyncio.to_thread(_settle_all, [behind], now)
    return await _follow(conn, [behind], settled, now)


async def _follow(
    conn: Connection, found: Sequence[Behind], settled: Sequence[Recurrence | None], now: datetime
) -> Followed:
    known = {one.id: (one, recurrence) for one, recurrence in zip(found, settled, strict=True)}
    cursors = await zonerules.hold(conn, found, tzdata_version())
    made = await zonerules.list_made(conn, [cursor.event_id for cursor in cursors], now - FAR, now)
    asked = [(known[cursor.event_id][1], made[cursor.event_id], cursor) for cursor in cursors]
    plans = await asyncio.to_thread(_plan_all, asked, now)
    followed = Followed([], [], [])
    alike: list[UUID] = []
    for cursor, plan in zip(cursors, plans, strict=True):
        behind = known[cursor.event_id][0]
        if plan is None or not _differs(plan, behind, cursor):
            alike.append(cursor.event_id)
        else:
            await _move(conn, behind, cursor, plan, followed, now)
    await zonerules.stamp(conn, alike, tzdata_version())
    if cursors:
        log.info("tzdata.followed", events=len(cursors), changed=len(cursors) - len(alike))
    return followed


def _settle_all(found: Sequence[Behind], now: datetime) -> list[Recurrence | None]:
    """None: a recurrence that the rules of zones do not concern, or that cannot be read, which expanding it will say."""
    return [_settle(one, now) for one in found]


def _settle(behind: Behind, now: datetime) -> Recurrence | None:
    try:
        recurrence = msgspec.json.decode(behind.recurrence, type=Recurrence)
        if recurrence.timezone == "UTC" or recurrence.vtimezone:
            return None
        recurrence = anchored(msgspec.structs.replace(recurrence, counted=()), behind.start_time, now)
        while not is_settled(recurrence):
            recurrence = settle(recurrence)
    except Exception as error:  # noqa: BLE001 - whatever one rule does wrong must not stop the others
        log.warning("tzdata.unreadable", event_id=str(behind.id), error=str(error))
        return None
    return recurrence


def _plan_all(asked: Sequence[tuple[Recurrence | None, list[Row], Cursor]], now: datetime) -> list[Plan | None]:
    """None: what has no recurrence to follow, or cannot, which is left where it is."""
    return [
        _try_plan(recurrence, rows, cursor, now) if recurrence is not None else None
        for recurrence, rows, cursor in asked
    ]


def _try_plan(recurrence: Recurrence, rows: list[Row], cursor: Cursor, now: datetime) -> Plan | None:
    try:
        return _plan(recurrence, rows, cursor, now)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("tzdata.unreadable", event_id=str(cursor.event_id), error=str(error))
        return None


def _plan(recurrence: Recurrence, rows: list[Row], cursor: Cursor, now: datetime) -> Plan:
    moves = follow(recurrence, rows, cursor.expanded_until, now)
    # Where the cursor was stopped on its way, the first is not known and will soon be looked for.
    ahead = expand(recurrence, cursor.expanded_until, None, 1).instants if cursor.next_due_at else ()
    return Plan(recurrence, moves, ahead[0] if ahead else None)


def _differs(plan: Plan, behind: Behind, cursor: Cursor) -> bool:
    before = msgspec.json.decode(behind.recurrence, type=Recurrence)
    return bool(plan.moves) or plan.next_due_at != cursor.next_due_at or plan.recurrence != before


async def _move(
    conn: Connection, behind: Behind, cursor: Cursor, plan: Plan, followed: Followed, now: datetime
) -> None:
    """The event in its next version, its open rows where they are to be, and what has come of that for the report."""
    event = await events.get(conn, behind.id, None, now)
    assert event is not None  # noqa: S101 - it is held
    event = msgspec.structs.replace(
        event,
        version=event.version + 1,
        tzdata=tzdata_version(),
        recurrence=encode(plan.recurrence),
        start_time=start(plan.recurrence),
        next_due_at=plan.next_due_at,
        next_expand_at=now if event.status == EventStatus.ACTIVE else event.next_expand_at,
        updated_at=now,
    )
    taken = await _take(conn, event, plan.moves, followed, now)
    followed.opened.extend(await _put(conn, event, plan, taken, now))
    for moved in plan.moves.kept_back:
        await _keep_back(conn, event, plan, moved.after.at, moved.after.wall, now)
    await events.save(conn, event)
    followed.changed.append(event)
    await events.next_version(conn, event, now)
    await zonerules.record(conn, event.id, behind.tzdata, event.tzdata, _report(plan, cursor, taken), now)


async def _take(
    conn: Connection, event: Event, moves: Moves, followed: Followed, now: datetime
) -> dict[datetime, zonerules.Taken]:
    leaving = [moved.before for moved in moves.moved] + [row.at for row in moves.removed]
    taken = await zonerules.take(conn, event.id, leaving, now)
    if any(row.held for row in taken):
        followed.recalled.append(event.id)
    return {row.due_at: row for row in taken}


async def _put(
    conn: Connection, event: Event, plan: Plan, taken: dict[datetime, zonerules.Taken], now: datetime
) -> list[Entry]:
    rows = [Put(one.at, one.wall) for one in plan.moves.added]
    for before, after in plan.moves.moved:
        if before in taken:
            rows.append(Put(after.at, after.wall, taken[before].move_to, taken[before].payload))
        elif after.at > now:  # it has begun meanwhile
            await _keep_back(conn, event, plan, after.at, after.wall, now)
    paused = event.status == EventStatus.PAUSED
    opened = await zonerules.put(conn, event.id, event.version, _origin(plan), rows, now, paused=paused)
    return [] if paused else opened


async def _keep_back(conn: Connection, event: Event, plan: Plan, at: datetime, wall: datetime, now: datetime) -> None:
    reason = KEPT_BACK.format(event.tzdata)
    await changes.skip_ahead(conn, Identity(event.id, at), _origin(plan), event.version, wall, reason, now)


def _report(plan: Plan, cursor: Cursor, taken: dict[datetime, zonerules.Taken]) -> list[Change]:
    moves, added = plan.moves, plan.moves.added
    told = [Change("moved", one.after.wall, one.before, one.after.at) for one in moves.moved if one.before in taken]
    told += [Change("removed", row.wall, row.at, None) for row in moves.removed if row.at in taken]
    told += [Change("kept_back", one.after.wall, one.before, one.after.at) for one in moves.kept_back]
    if cursor.next_due_at not in (None, plan.next_due_at):
        # What was to be made next has come before the cursor, or is still behind it.
        first, added = (added[0], added[1:]) if added else (plan.first, added)
        told.append(
            Change("moved", first.wall, cursor.next_due_at, first.at)
            if first
            else Change("removed", None, cursor.next_due_at, None)
        )
    return told + [Change("added", one.wall, None, one.at) for one in added]


def _origin(plan: Plan) -> Origin:
    return Origin.ONCE if is_once(plan.recurrence) else Origin.RULE
