"""Tell the plan and the dispatchers what a commit has opened. Failing to is a delay, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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
    try:
        await stores.plan.add((entry.identity, entry.fire_at) for entry in opened)
        earliest = min(entry.fire_at for entry in opened)
        if earliest < now + BELL_WITHIN:
            await stores.broadcast.wake(earliest)
    except Unavailable as error:
        # The rows are committed: the sweep plans what is overdue.
        log.warning("plan.unavailable", count=len(opened), error=str(error))
