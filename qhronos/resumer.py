"""Service: lets events go on that were paused until now. Any number may run; what one resumes the others find active."""

from __future__ import annotations

import asyncio

from qhronos.clock import Clock
from qhronos.engine.actor import Actor
from qhronos.engine.backlog import Backlog
from qhronos.engine.change import Changes
from qhronos.engine.resume import resume
from qhronos.errors import Refusal
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
        for event_id, backlog in due:
            try:
                await resume(self._changes, ACTOR, event_id, Backlog(backlog), None)
            except Refusal as refusal:  # deleted, or resumed by somebody else meanwhile
                log.info("event.not_resumed", event_id=str(event_id), error=str(refusal))
        if due:
            return 0.0
        return REST if next_at is None else min(REST, max(0.0, (next_at - now).total_seconds()))

    async def drain(self) -> None:
        """Nothing is in hand between ticks."""
