"""The claim in two steps: the plan says what is due, Postgres says whose it is.

Nothing is acted on before the second step has committed. Dying between the two leaves the entries in transit, and the
plan makes them due again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from qhronos.clock import Clock
from qhronos.core.occurrence import Identity
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import pending
from qhronos.store.pending import Claimed

log = get_logger()


class Claims(NamedTuple):
    rows: list[Claimed]
    popped: int  # entries taken from the plan; as many as asked for means that there may be more
    next_at: datetime | None  # when the plan's next entry is due
    plan_lost: bool  # Redis lost some of the plan; a rebuild is needed


async def claim(
    stores: Stores, clock: Clock, *, worker: int, limit: int, prefetch: timedelta, lease: timedelta
) -> Claims:
    """Claim at most about `limit` occurrences that are due within `prefetch`."""
    now = clock.now()
    horizon = now + prefetch
    popped = await stores.plan.pop(horizon, now, limit)
    if not popped.identities:
        return Claims([], 0, popped.next_at, bool(popped.lost))
    async with stores.database.connection() as conn:
        rows = await pending.claim(
            conn, popped.identities, horizon=horizon, lease_until=now + prefetch + lease, worker=worker
        )
    try:
        await _end_transit(stores, popped.identities, rows, horizon)
    except Unavailable as error:
        # What was claimed is ours all the same. The entries come out of transit again, and that comes to nothing.
        log.warning("plan.unavailable", count=len(rows), error=str(error))
    return Claims(rows, len(popped.identities), popped.next_at, bool(popped.lost))


async def _end_transit(stores: Stores, popped: list[Identity], rows: list[Claimed], horizon: datetime) -> None:
    """What is gone, blocked or somebody else's needs no entry; what was merely early goes back to its true instant."""
    if len(rows) < len(popped):
        taken = {row.identity for row in rows}
        async with stores.database.connection() as conn:
            early = await pending.free_later(conn, [one for one in popped if one not in taken], horizon)
        await stores.plan.add((entry.identity, entry.fire_at) for entry in early)
    await stores.plan.arrived(popped)
