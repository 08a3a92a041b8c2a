"""What was claimed too late, and what the policies of its event make of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from qhronos.core.event import missed, most_caught_up
from qhronos.core.occurrence import Identity, Origin
from qhronos.engine.deliver import Work
from qhronos.store import Database, pending


async def judge_missed(
    database: Database, works: Sequence[Work], now: datetime, grace: timedelta
) -> dict[Identity, str]:
    """Why some of these are skipped instead of acted on. By what they are meant for: a replay of what is long past
    is not late."""
    misfires = {
        work.row.identity: work.policies.misfire
        for work in works
        if now - work.row.meant_at > grace and not work.row.attempt and work.row.origin in (Origin.RULE, Origin.ONCE)
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
