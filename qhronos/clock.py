"""The only reader of time and the only sleeper.

Services run on a clock that is monotonic and anchored to Postgres' clock, so a wall clock that jumps on one node decides
nothing. Until the first `anchor` it stands on the node's own clock. Postgres' clock counts as long as another confirms it:
that of the node, or of Redis.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MOST_SKEW = 5.0  # seconds; beyond it Postgres' clock is disputed, and nothing is claimed by it


class Clock(Protocol):
    skew: float  # seconds by which Postgres' clock is off that other clock which comes closest to it

    def now(self) -> datetime:
        """The instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for deadlines inside this process."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until `event` is set or `seconds` have passed; true if it is set."""
        ...


class SystemClock:
    def __init__(self) -> None:
        self.skew = 0.0
        self._base = datetime.now(UTC) - timedelta(seconds=time.monotonic())  # noqa: TID251 - this is the home of time

    def anchor(self, instant: datetime, monotonic: float) -> timedelta:
        """From here on, `monotonic` was `instant`. Returns by how much the clock moved."""
        base = instant - timedelta(seconds=monotonic)
        moved = base - self._base
        self._base = base
        return moved

    def wall_offset(self) -> float:
        """Seconds by which the node's own clock is ahead of this one."""
        return (self.wall() - self.now()).total_seconds()

    def wall(self) -> datetime:
        """What the node's own clock shows."""
        return datetime.now(UTC)  # noqa: TID251 - this is the home of time

    def now(self) -> datetime:
        return self._base + timedelta(seconds=time.monotonic())

    def monotonic(self) -> float:
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251 - this is the home of sleep
            return event.is_set()
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False
