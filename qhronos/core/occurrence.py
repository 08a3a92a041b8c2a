"""An occurrence: its identity and its life.

It is `(event_id, due_at)`. Its id is those 24 bytes (the UUID, then microseconds since 1970 as a big-endian signed
integer) in lower-case base32 after `occ_`: computed, the same on every node, and read back without a look-up. The same
24 bytes are the member in the plan.
"""

from __future__ import annotations

import base64
import binascii
import enum
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from qhronos.errors import NotFound

PREFIX = "occ_"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# What a dispatcher holds for so soon has started: it could not be told in time that something has changed.
AT_HAND = timedelta(milliseconds=100)


class Identity(NamedTuple):
    event_id: UUID
    due_at: datetime


class Status(enum.StrEnum):
    SCHEDULED = "scheduled"  # waiting, also between attempts
    DISPATCHED = "dispatched"  # claimed, or handed to a client and awaiting its acknowledgement
    COMPLETED = "completed"
    FAILED = "failed"  # the dead letters
    SKIPPED = "skipped"  # with a reason
    CANCELLED = "cancelled"  # with a reason


class Origin(enum.StrEnum):
    RULE = "rule"
    ONCE = "once"
    MANUAL = "manual"
    BACKFILL = "backfill"
    CALLBACK = "callback"  # tells how another ended


# The whole life of an occurrence. What is not listed cannot happen.
# Hand-back, reclaim, retry and fallback lead back to SCHEDULED from DISPATCHED; replay from the closed ones.
NEXT: dict[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.DISPATCHED, Status.SKIPPED, Status.CANCELLED}),
    Status.DISPATCHED: frozenset({Status.SCHEDULED, Status.COMPLETED, Status.FAILED, Status.SKIPPED, Status.CANCELLED}),
    Status.COMPLETED: frozenset({Status.SCHEDULED}),
    Status.FAILED: frozenset({Status.SCHEDULED, Status.CANCELLED}),
    Status.SKIPPED: frozenset({Status.SCHEDULED}),
    Status.CANCELLED: frozenset({Status.SCHEDULED}),
}
OPEN = frozenset({Status.SCHEDULED, Status.DISPATCHED})


def microseconds(instant: datetime) -> int:
    """Since 1970, exactly; floats would lose the last digits."""
    return (instant - EPOCH) // MICROSECOND


def instant(microseconds: int) -> datetime:
    return EPOCH + microseconds * MICROSECOND


def member(identity: Identity) -> bytes:
    """The 24 bytes that name an occurrence in the plan."""
    return identity.event_id.bytes + microseconds(identity.due_at).to_bytes(8, "big", signed=True)


def from_member(raw: bytes) -> Identity:
    return Identity(UUID(bytes=raw[:16]), instant(int.from_bytes(raw[16:], "big", signed=True)))


def occurrence_id(identity: Identity) -> str:
    # 24 bytes are 39 base32 characters; the one padding character is implied.
    return PREFIX + base64.b32encode(member(identity)).rstrip(b"=").decode().lower()


def parse_occurrence_id(text: str) -> Identity:
    """The inverse of `occurrence_id`; anything else is an occurrence that cannot exist."""
    try:
        raw = base64.b32decode(text.removeprefix(PREFIX).upper() + "=")
        identity = from_member(raw)
        if occurrence_id(identity) != text:
            raise ValueError(text)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise NotFound("no such occurrence") from error
    return identity
