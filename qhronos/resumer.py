"""Service: lets events go on that were paused until now. Any number may run; what one resumes the others find active."""

from __future__ import annotations

import asyncio
from uuid import UUID

from qhronos.clock import Clock
from qhronos.engine.actor import Actor
from qhronos.engine.backlog import Backlog
from qhronos.engine.change import Changes
from qhronos.engine.resume import resume
from qhronos.errors import QhronosError
from qhronos.log import get_logger
from qhronos.store import changes as rows

REST = 5.0
BATCH = 100
ACTOR = Actor("qhronos", None, "", None)

log = get_logger()


class Resumer:
    name = "resumer"

    def __init__(self, changes: Changes, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._changes = changes
        self._clock = clock

    async def tick(self) -> float:
        now = self._clock.now()
        async with self._changes.stores.database.connection() as conn:
            due, next_at = await rows.to_resume(conn, now, BATCH)
        resumed = [await self._resume(event_id, backlog) for event_id, backlog in due]
        if any(resumed):
            return 0.0
        return REST if next_at is None else min(REST, max(0.0, (next_at - now).total_seconds()))

    async def _resume(self, event_id: UUID, backlog: str) -> bool:
        """Whether it goes on; what goes wrong with one keeps no other waiting, and is tried again."""
        try:
            await resume(self._changes, ACTOR, event_id, Backlog(backlog), None)
        except QhronosError as error:  # deleted meanwhile, or its zone rules are newer than ours
            log.warning("event.not_resumed", event_id=str(event_id), error=str(error))
            return False
        return True

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
