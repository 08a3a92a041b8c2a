"""The claim in two steps: the plan says what is due, Postgres says whose it is.

Nothing is acted on before the second step has committed. Dying between the two leaves the entries in transit, and the
plan makes them due again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from qhronos.clock import MOST_SKEW, Clock
from qhronos.core.occurrence import Identity
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import Connection, lanes, pending
from qhronos.store.pending import Claimed, Left

log = get_logger()


class Unheard(NamedTuple):
    """A claim that Postgres did not answer: whether it took anything is not known. Its leases tell it from the others of
    the worker."""

    worker: int
    leases: list[datetime]


class Claims(NamedTuple):
    rows: list[Claimed]
    popped: int  # entries taken from the plan; as many as asked for means that there may be more
    next_at: datetime | None  # when the plan's next entry is due
    turn_at: datetime | None  # when the next of those is due that take turns, as far as it is known here
    plan_lost: bool  # Redis lost some of the plan; a rebuild is needed


async def claim(
    stores: Stores,
    clock: Clock,
    unheard: list[Unheard],
    *,
    worker: int,
    limit: int,
    prefetch: timedelta,
    lease: timedelta,
) -> Claims:
    """Claim at most about `limit` occurrences that are due within `prefetch`. If Postgres does not answer, that is noted in
    `unheard`.

    What is gone, blocked or somebody else's leaves the plan; what was merely early goes back to its true instant. While
    Postgres' clock is disputed nothing is claimed: too late can be made up for, too early cannot.
    """
    if clock.skew > MOST_SKEW:
        return Claims([], 0, None, None, plan_lost=False)
    now = clock.now()
    horizon = now + prefetch
    popped = await stores.plan.pop(horizon, now, limit)
    if not popped.identities:
        return Claims([], 0, popped.next_at, None, bool(popped.lost))
    ahead, prompt = now + prefetch + lease, now + lease
    try:
        async with stores.database.connection() as conn:
            rows = await pending.claim(conn, popped.identities, horizon=horizon, lease_until=ahead, worker=worker)
            left = await _left(conn, popped.identities, rows, horizon)
        if turns := {one.lane for one in left if one.lane and one.fire_at <= now}:
            async with stores.database.transaction() as conn:
                rows += await lanes.claim(conn, turns, now=now, lease_until=prompt, worker=worker)
    except Unavailable:
        unheard.append(Unheard(worker, [ahead, prompt]))
        raise
    # What takes turns is never claimed ahead, so its entry comes out of the plan as much later.
    early = {one.identity: one.fire_at + prefetch if one.lane else one.fire_at for one in left if one.fire_at > now}
    turn_at = min((one.fire_at for one in left if one.lane and one.fire_at > now), default=None)
    next_at = min([*early.values(), *([popped.next_at] if popped.next_at else [])], default=None)
    try:
        await stores.plan.add(early.items())
        await stores.plan.arrived(popped.identities)
    except Unavailable as error:
        # What was claimed is ours all the same. The entries come out of transit again, and that comes to nothing.
        log.warning("plan.unavailable", count=len(rows), error=str(error))
    return Claims(rows, len(popped.identities), next_at, turn_at, bool(popped.lost))


async def disclaim(stores: Stores, unheard: list[Unheard]) -> None:
    """Give back what they may have taken; nobody else would before their leases end, for the worker lives."""
    while unheard:
        async with stores.database.connection() as conn:
            entries = await pending.disclaim(conn, *unheard[-1])
        unheard.pop()
        await stores.plan.add((entry.identity, entry.fire_at) for entry in entries)


async def _left(conn: Connection, popped: list[Identity], rows: list[Claimed], horizon: datetime) -> list[Left]:
    if len(rows) == len(popped):
        return []
    taken = {row.identity for row in rows}
    return await pending.left(conn, [one for one in popped if one not in taken], horizon)
