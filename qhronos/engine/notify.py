"""Tell the plan and the dispatchers what a commit has opened. Failing to is a delay, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from qhronos import metrics
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store.pending import Entry

# Dispatchers look at the plan at least this often; what is due later needs no bell.
BELL_WITHIN = timedelta(seconds=5)

log = get_logger()


async def announce(stores: Stores, opened: Sequence[Entry], now: datetime) -> None:
    """After the commit: plan what was opened, and wake dispatchers for what is due soon."""
    if not opened:
        return
    metrics.OCCURRENCES_PLANNED.inc(len(opened))
    await replan(stores, opened, now)


async def replan(stores: Stores, freed: Sequence[Entry], now: datetime) -> None:
    """The same of what was open before."""
    if not freed:
        return
    try:
        await stores.plan.add((entry.identity, entry.fire_at) for entry in freed)
        earliest = min(entry.fire_at for entry in freed)
        if earliest < now + BELL_WITHIN:
            await stores.broadcast.wake(earliest)
    except Unavailable as error:
        # The rows are committed: the sweep plans what is overdue.
        log.warning("plan.unavailable", count=len(freed), error=str(error))


async def recall(stores: Stores, event_ids: Sequence[UUID], at: datetime | None = None) -> None:
    """After the commit: whoever holds occurrences of these events lets go of them, but for those that were at hand `at`
    the moment at which the rows were taken."""
    try:
        await stores.broadcast.revoke(event_ids, at)
    except Unavailable as error:
        # Their fences have moved on, so what is not let go comes to nothing when it is settled.
        log.warning("recall.unavailable", count=len(event_ids), error=str(error))
