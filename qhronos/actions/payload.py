"""What is told of an occurrence: the body of a webhook, and most of the frame that a client is sent."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from qhronos.actions.endpoint import rfc3339
from qhronos.core.attempt import Delivery


class Payload(Struct, kw_only=True):
    event_id: str
    occurrence_id: str
    name: str
    description: str
    scheduled_at: str  # the occurrence's own instant, the same for every attempt
    attempt: int
    metadata: msgspec.Raw
    tags: tuple[str, ...]


P = TypeVar("P", bound=Payload)

encode = msgspec.json.Encoder().encode


def payload_of(delivery: Delivery, kind: type[P]) -> P:
    return kind(
        event_id=str(delivery.event_id),
        occurrence_id=delivery.occurrence_id,
        name=delivery.name,
        description=delivery.description,
        scheduled_at=rfc3339(delivery.due_at),
        attempt=delivery.attempt,
        metadata=delivery.metadata,
        tags=delivery.tags,
    )
