"""A process that holds leases, and how the others know that it lives."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from qhronos.clock import Clock
from qhronos.store import Database, pending

BEAT_EVERY = 1.5  # seconds
LATE_AFTER = 2.5  # seconds without a beat
DEAD_AFTER = timedelta(seconds=5)  # without a beat, others take what it held
MARGIN = 0.5  # seconds by which a worker stops trusting its own beat before others do


class Worker:
    """Registers itself with the first beat, and anew when it was forgotten."""

    def __init__(self, name: str, database: Database, clock: Clock) -> None:
        self.id: int | None = None
        self._name = name
        self._database = database
        self._clock = clock
        self._beaten_at = float("-inf")
        self._lock = asyncio.Lock()
        self.lapses = 0  # how often others may have taken it for dead, and what it held with it

    def needs_beat(self) -> bool:
        return self._clock.monotonic() - self._beaten_at >= BEAT_EVERY

    def is_late(self) -> bool:
        """Whether the heartbeat lets it wait, or there was none yet: whoever is about to claim beats by itself then."""
        return self._clock.monotonic() - self._beaten_at >= LATE_AFTER

    def trusted_until(self) -> float:
        """The monotonic second until which nobody takes this worker for dead."""
        return self._beaten_at + DEAD_AFTER.total_seconds() - MARGIN

    async def beat(self) -> int:
        """Say that this worker lives; its id."""
        async with self._lock:
            known, began = self.id, self._clock.monotonic()
            lapsed = began >= self.trusted_until()
            async with self._database.connection() as conn:
                now = self._clock.now()
                if self.id is None or not await pending.beat(conn, self.id, now):
                    self.id = await pending.register_worker(conn, self._name, now)
            self.lapses += known is not None and (lapsed or known != self.id)
            self._beaten_at = began
            return self.id

    async def retire(self) -> None:
        """Say goodbye, once nothing is held any more."""
        async with self._lock:
            if self.id is not None:
                async with self._database.connection() as conn:
                    await pending.retire_worker(conn, self.id)
            self._beaten_at = float("inf")


class Heartbeat:
    """Service: beats apart from the dispatcher, whose ticks may hang on Redis, and until it is drained: what is still
    under way then must not be taken for lost."""

    name = "heartbeat"

    def __init__(self, worker: Worker) -> None:
        self.wake = asyncio.Event()
        self._worker = worker

    async def tick(self) -> float:
        if self._worker.needs_beat():
            await self._worker.beat()
        return BEAT_EVERY / 2

    async def drain(self) -> None:
        """The dispatcher retires the worker."""
