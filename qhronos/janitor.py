"""Service: keeps the house. Partitions ahead, history that has had its time away, loose ends tied, ledgers looked at."""

from __future__ import annotations

import asyncio
from datetime import datetime

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.config import Archival, Retention
from qhronos.engine.ledgerwatch import LedgerWatch
from qhronos.engine.sealing import Sealing
from qhronos.engine.stores import Stores
from qhronos.log import get_logger
from qhronos.store import upkeep

REST = 60.0
BATCH = 1_000  # events completed together
MOST_BATCHES = 50

log = get_logger()


class Janitor:
    name = "janitor"

    def __init__(self, stores: Stores, clock: Clock, retention: Retention, archival: Archival) -> None:
        self.wake = asyncio.Event()
        self._database = stores.database
        self._announcer = stores.announcer
        self._clock = clock
        self._retention = retention
        self._archival = archival
        self._watch = LedgerWatch(stores.database, retention.occurrences)
        self._sealing = Sealing(stores.database, stores.vault)
        self._sealed_at: datetime | None = None
        self._purged_at: datetime | None = None
        self._dropped_at: datetime | None = None

    async def tick(self) -> float:
        now = self._clock.now()
        async with self._database.transaction() as conn:
            overdue = await upkeep.oldest_overdue(conn, now)
            metrics.OVERDUE_SECONDS_MAX.set((now - overdue).total_seconds() if overdue else 0)
            if not await upkeep.lead(conn):
                return REST
            await upkeep.make_days_ahead(conn, now)
            await upkeep.tidy(conn, now)
        await self._complete_ended(now)
        if self._sealed_at is None or now - self._sealed_at >= self._retention.cleanup_interval:
            await self._seal(now)
        if self._purged_at is None or now - self._purged_at >= self._retention.cleanup_interval:
            await self._purge(now)
        if self._dropped_at is None or now - self._dropped_at >= self._archival.check_period:
            await self._drop_old_days(now)
            self._dropped_at = now
        await self._watch.look(now)
        return REST

    async def _complete_ended(self, now: datetime) -> None:
        """In batches; what comes after many of them is for the next tick."""
        for _ in range(MOST_BATCHES):
            async with self._database.transaction() as conn:
                completed = await upkeep.complete_ended(conn, now, BATCH)
            self._announcer.changed("completed", completed)
            if len(completed) < BATCH:
                return

    async def _seal(self, now: datetime) -> None:
        """A page of what is stored of secrets; what it leaves is for the next tick."""
        page = await self._sealing.proceed(now)
        self._sealed_at = now if page.is_last else None
        if page.renewed:
            log.info("secrets.renewed", count=page.renewed)
        for event_id, reason in page.locked:
            log.error("secrets.locked", event_id=str(event_id), error=reason)

    async def _purge(self, now: datetime) -> None:
        """A batch; what it leaves is for the next tick."""
        keep = self._retention
        async with self._database.connection() as conn:
            done = await upkeep.purge(
                conn, events=now - keep.events, occurrences=now - keep.occurrences, audit=now - keep.audit
            )
        self._purged_at = now if done else None

    async def _drop_old_days(self, now: datetime) -> None:
        async with self._database.connection() as conn:
            for day in await upkeep.old_days(conn, now - self._retention.occurrences):
                await upkeep.drop_day(conn, day)
                log.info("partition.dropped", partition=day.partition)

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
