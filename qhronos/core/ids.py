"""Ids that sort by the time they were made (UUID version 7), so that the newest are together and creation order is id order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from qhronos.core.occurrence import microseconds

RANDOM_BYTES = 10
MARKED = 0xF << 76 | 0x3 << 62  # the bits that say which version and variant a UUID is
VERSION_7 = 0x7 << 76 | 0x2 << 62


def time_ordered_id(now: datetime, randomness: bytes) -> UUID:
    """`randomness` is RANDOM_BYTES fresh ones."""
    whole = (microseconds(now) // 1000) << 80 | int.from_bytes(randomness, "big")
    return UUID(int=whole & ~MARKED | VERSION_7)
