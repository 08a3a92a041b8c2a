"""An endpoint that says it is gone for good (HTTP 410) ends the event's deliveries until somebody looks at it."""

from __future__ import annotations

from uuid import UUID

from qhronos.core.event import EventStatus
from qhronos.engine.actor import Actor
from qhronos.engine.change import Changes
from qhronos.errors import NotFound
from qhronos.log import get_logger

REASON = "the endpoint answered 410 Gone"
ACTOR = Actor("qhronos", None, "", None)

log = get_logger()


async def pause_gone(machinery: Changes, event_id: UUID, version: int) -> None:
    """Pause the event, unless it has ended or was edited after the request: the endpoint may be another by now."""
    try:
        async with machinery.change(ACTOR, event_id, None) as change:
            if change.event.status != EventStatus.ACTIVE or change.event.version != version:
                return
            await machinery.pause_held(change, REASON)
    except NotFound:  # deleted meanwhile
        return
    log.warning("event.paused", event_id=str(event_id), reason=REASON)
