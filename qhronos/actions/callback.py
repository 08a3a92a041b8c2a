"""The envelope of task callbacks: what a receiver of them expects, filled in by an occurrence.

There is no work between an occurrence and its callback, so it is executed and completed at the instant of the attempt,
in no time, and its status can only be `completed`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from qhronos.actions import endpoint, hidden
from qhronos.core.attempt import Delivery
from qhronos.core.signing import TASK_ID, TASK_SIGNATURE, TASK_TIMESTAMP
from qhronos.errors import Invalid

OURS = frozenset({TASK_ID, TASK_SIGNATURE, TASK_TIMESTAMP})


class Metadata(Struct):
    scheduled_at: str
    executed_at: str
    completed_at: str
    retry_count: int  # attempts before this one
    callback_attempts: int  # this one included
    duration_ms: int


class Payload(Struct):
    task_id: str  # of the occurrence
    status: str
    original_payload: msgspec.Raw
    execution_metadata: Metadata


def check(given: hidden.Given, field: str) -> None:
    """Refuse headers that a callback is signed with. Raises Invalid."""
    for name in given:
        if name.lower() in OURS:
            raise Invalid(f"header `{name}` is set by Qhronos in a callback", field=f"{field}.{name}")


def body_of(delivery: Delivery, at: datetime) -> bytes:
    now = endpoint.rfc3339(at)
    metadata = Metadata(
        scheduled_at=endpoint.rfc3339(delivery.due_at),
        executed_at=now,
        completed_at=now,
        retry_count=delivery.attempt - 1,
        callback_attempts=delivery.attempt,
        duration_ms=0,
    )
    payload = Payload(
        task_id=delivery.occurrence_id,
        status="completed",
        original_payload=delivery.metadata,
        execution_metadata=metadata,
    )
    return msgspec.json.encode(payload)
