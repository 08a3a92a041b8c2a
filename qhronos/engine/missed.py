"""What was claimed too late, and what the policies of its event make of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from qhronos.core.event import missed, most_caught_up
from qhronos.core.occurrence import Identity, Origin
from qhronos.engine.deliver import policies_of
from qhronos.store import Database, pending
from qhronos.store.pending import Claimed


async def judge_missed(
    database: Database, rows: Sequence[Claimed], now: datetime, grace: timedelta
) -> dict[Identity, str]:
    """Why some of these rows are skipped instead of acted on. By what they are meant for: a replay of what is long past
    is not late."""
    late = [
        row
        for row in rows
        if now - row.meant_at > grace and not row.attempt and row.origin in (Origin.RULE, Origin.ONCE)
    ]
    if not late:
        return {}
    misfires = {row.identity: policies_of(row).misfire for row in late}
    asked = [identity for identity, misfire in misfires.items() if most_caught_up(misfire)]
    later: dict[Identity, int] = {}
    if asked:
        async with database.connection() as conn:
            later = await pending.later_due(conn, asked, now)
    reasons = {
        row.identity: missed(misfires[row.identity], now - row.meant_at, grace, later=later.get(row.identity, 0))
        for row in late
    }
    return {identity: reason for identity, reason in reasons.items() if reason}
