"""What was claimed and is not to be acted on, and what becomes of it instead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from qhronos.core.event import missed, most_caught_up
from qhronos.core.occurrence import Identity, Origin, Status
from qhronos.engine.deliver import Work, dropped, telling
from qhronos.store import Database, pending
from qhronos.store.pending import Settlement

SUSPECT = 2  # losses from which on it is acted on alone; with one more, which was alone, it has failed
WORKER_LOST = "worker lost: dispatchers have died of it, the last with nothing else in hand"
OVERLAPS = "overlap: the occurrence before it has not ended"


async def judge(
    database: Database, works: Sequence[Work], now: datetime, grace: timedelta
) -> dict[Identity, Settlement]:
    """The ends of those that end at once."""
    reasons = await _judge_missed(database, works, now, grace)
    ends = {work.row.identity: _end_of(work, reasons.get(work.row.identity), now) for work in works}
    return {identity: end for identity, end in ends.items() if end}


def _end_of(work: Work, reason: str | None, now: datetime) -> Settlement | None:
    row = work.row
    if row.orphaned:
        return dropped(row, Status.CANCELLED, "event deleted", now)
    if row.losses > SUSPECT:
        return telling(row, work.policies, dropped(row, Status.FAILED, WORKER_LOST, now))
    if row.overlapping:
        return dropped(row, Status.SKIPPED, OVERLAPS, now)
    return dropped(row, Status.SKIPPED, reason, now) if reason else None


async def _judge_missed(
    database: Database, works: Sequence[Work], now: datetime, grace: timedelta
) -> dict[Identity, str]:
    """Why some of these are skipped instead of acted on. By what they are meant for: a replay of what is long past
    is not late, and neither is what waited for a client."""
    misfires = {
        work.row.identity: work.policies.misfire
        for work in works
        if now - work.row.meant_at > grace and not _was_begun(work) and work.row.origin in (Origin.RULE, Origin.ONCE)
    }
    if not misfires:
        return {}
    asked = [identity for identity, misfire in misfires.items() if most_caught_up(misfire)]
    meant_at = {work.row.identity: work.row.meant_at for work in works}
    later: dict[Identity, int] = {}
    if asked:
        async with database.connection() as conn:
            later = await pending.later_due(conn, asked, now)
    reasons = {
        identity: missed(misfire, now - meant_at[identity], grace, later=later.get(identity, 0))
        for identity, misfire in misfires.items()
    }
    return {identity: reason for identity, reason in reasons.items() if reason}


def _was_begun(work: Work) -> bool:
    return bool(work.row.attempt) or work.row.fallback
