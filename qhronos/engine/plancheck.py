"""The plan against Postgres: what is due and not planned, and what is planned and not open.

Both change while they are compared, so whatever looks wrong is looked at again when the sweep has had its time. What is
planned ahead and was cancelled meanwhile is no fault: its claim comes to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from qhronos.clock import Clock
from qhronos.core.occurrence import Identity
from qhronos.engine.recover import OVERDUE_AFTER, PAGE, REST, START
from qhronos.engine.stores import Stores
from qhronos.store import fsck, pending
from qhronos.store.fsck import MOST, Broken
from qhronos.store.pending import Entry

UNSWEPT = OVERDUE_AFTER + timedelta(seconds=2 * REST)
SUSPECTS = 1_000  # that are looked at again; there may be more


class Suspects(NamedTuple):
    unplanned: list[Entry]
    late: list[Entry]
    stale: list[Identity]


async def check_plan(stores: Stores, clock: Clock, late: datetime) -> dict[str, tuple[int, list[Broken]]]:
    """`late`: what is planned for before it should have been claimed. Raises Unavailable."""
    now = clock.now()
    found = await _suspect(stores, now, late)
    if any(found):
        await clock.wait(asyncio.Event(), UNSWEPT.total_seconds())
        found = await _confirm(stores, found, now)
    return {
        "unplanned": (len(found.unplanned), [_shown(entry) for entry in found.unplanned[:MOST]]),
        "planned_late": (len(found.late), [_shown(entry) for entry in found.late[:MOST]]),
        "stale_plan": (len(found.stale), [Broken(*identity, None) for identity in found.stale[:MOST]]),
    }


async def _suspect(stores: Stores, now: datetime, late: datetime) -> Suspects:
    unplanned: list[Entry] = []
    behind: list[Entry] = []
    after = START
    async with stores.database.connection() as conn:
        while page := await pending.overdue(conn, now - UNSWEPT, after, PAGE):
            after = page[-1]
            missing, wrong = await _compare(stores, page, now)
            unplanned += missing[: SUSPECTS - len(unplanned)]
            behind += wrong[: SUSPECTS - len(behind)]
        planned = await stores.plan.planned_before(late, SUSPECTS)
        open_ = await fsck.still_open(conn, planned)
    return Suspects(unplanned, behind, [one for one in planned if one not in open_][:SUSPECTS])


async def _compare(stores: Stores, entries: Sequence[Entry], now: datetime) -> tuple[list[Entry], list[Entry]]:
    """Those that are not planned, and those that are planned for later than now."""
    planned = await stores.plan.planned([entry.identity for entry in entries])
    pairs = list(zip(entries, planned, strict=True))
    missing = [entry for entry, at in pairs if at is None]
    return missing, [entry for entry, at in pairs if at is not None and at > now + UNSWEPT]


async def _confirm(stores: Stores, found: Suspects, now: datetime) -> Suspects:
    """What is as it was."""
    unplanned, _ = await _compare(stores, found.unplanned, now)
    _, behind = await _compare(stores, found.late, now)
    planned = await stores.plan.planned(found.stale)
    stale = [one for one, at in zip(found.stale, planned, strict=True) if at is not None]
    async with stores.database.connection() as conn:
        open_ = await fsck.still_open(conn, stale)
        return Suspects(
            await fsck.still_due(conn, unplanned),
            await fsck.still_due(conn, behind),
            [one for one in stale if one not in open_],
        )


def _shown(entry: Entry) -> Broken:
    return Broken(entry.event_id, entry.due_at, f"to be acted on at {entry.fire_at:%Y-%m-%dT%H:%M:%S.%fZ}")
