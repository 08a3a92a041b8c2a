"""An endpoint that says it is gone for good (HTTP 410) ends the event's deliveries until somebody looks at it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from qhronos.core.event import EventStatus
from qhronos.engine.actor import Actor
from qhronos.engine.change import Changes
from qhronos.errors import NotFound, QhronosError
from qhronos.log import get_logger
from qhronos.store import pending

REASON = "the endpoint answered 410 Gone"
ACTOR = Actor("qhronos", None, "", None)

log = get_logger()


class Gone:
    """Pauses such events, one after the other and apart from all else: whoever holds one of them may take a while.

    What goes wrong is left: the next answer of the kind tries again.
    """

    def __init__(self, machinery: Changes) -> None:
        self._machinery = machinery
        self._left: dict[tuple[UUID, int], None] = {}
        self._pausing: asyncio.Task[None] | None = None

    def add(self, event_id: UUID, version: int) -> None:
        """Of the event in this version."""
        self._left[event_id, version] = None
        self._pausing = self._pausing or asyncio.create_task(self._pause_all())

    async def idle(self) -> None:
        """Until all have had their turn."""
        if self._pausing:
            await self._pausing

    async def _pause_all(self) -> None:
        try:
            while self._left:
                event_id, version = next(iter(self._left))
                await self._try(event_id, version)
                del self._left[event_id, version]
        finally:
            self._pausing = None

    async def _try(self, event_id: UUID, version: int) -> None:
        try:
            await pause_gone(self._machinery, event_id, version)
        except QhronosError as error:
            log.warning("event.not_paused", event_id=str(event_id), error=str(error))


async def pause_gone(machinery: Changes, event_id: UUID, version: int) -> None:
    """Pause the event, unless it has ended, has nothing left, or was edited after the request: the endpoint may be another by
    now."""
    try:
        async with machinery.change(ACTOR, event_id, None) as change:
            if change.event.status != EventStatus.ACTIVE or change.event.version != version:
                return
            if change.event.next_expand_at is None and not await pending.count_open(change.conn, [event_id]):
                return  # there is nothing left to pause; it is completed
            await machinery.pause_held(change, REASON)
    except NotFound:  # deleted meanwhile
        return
    log.warning("event.paused", event_id=str(event_id), reason=REASON)
