"""Ids that sort by the time they were made (UUID version 7), so that the newest are together and creation order is id order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from qhronos.core.occurrence import microseconds

RANDOM_BYTES = 10


def time_ordered_id(now: datetime, randomness: bytes) -> UUID:
    """`randomness` is RANDOM_BYTES fresh ones."""
    raw = bytearray((microseconds(now) // 1000).to_bytes(6, "big") + randomness)
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return UUID(bytes=bytes(raw))
