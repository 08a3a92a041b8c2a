"""A look at the ledgers of some active events at a time, in turns, so that an occurrence that got lost is noticed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from qhronos import metrics
from qhronos.core.ledger import Fate
from qhronos.engine.ledger import Ledger, Rules, read_ledger
from qhronos.errors import NotFound
from qhronos.log import get_logger
from qhronos.store import Database
from qhronos.store import ledger as store
from qhronos.store.ledger import NONE, Window

EVENTS = 20  # of one look
BACK = timedelta(hours=3)

log = get_logger()


class LedgerWatch:
    """The gauge is what the last look at each event found missing."""

    def __init__(self, database: Database, kept: timedelta) -> None:
        self._database = database
        self._rules = Rules(grace=timedelta(), kept=kept)
        self._after = NONE
        self._last_round: dict[UUID, int] = {}
        self._this_round: dict[UUID, int] = {}

    async def look(self, now: datetime) -> None:
        """At the next few events, at the last hours of each."""
        async with self._database.connection() as conn:
            ids = await store.active_after(conn, self._after, EVENTS)
        for event_id in ids:
            self._after = event_id
            await self._look_at(event_id, now)
        if len(ids) < EVENTS:
            self._after = NONE
            self._last_round, self._this_round = self._this_round, {}
        metrics.LEDGER_MISSING.set(sum((self._last_round | self._this_round).values()))

    async def _look_at(self, event_id: UUID, now: datetime) -> None:
        self._last_round.pop(event_id, None)
        try:
            found = await read_ledger(self._database, Window(event_id, now - BACK, now), None, self._rules, now)
        except NotFound:  # it has been purged meanwhile
            return
        if found.missing:
            self._this_round[event_id] = found.missing
            log.error("ledger.missing", event_id=str(event_id), count=found.missing, first=_first(found))


def _first(found: Ledger) -> str:
    return min(line.at for line in found.lines if line.fate is Fate.MISSING).isoformat()
