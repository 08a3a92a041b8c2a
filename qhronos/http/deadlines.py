"""Ends what takes too long: a limit for each phase of setting up a connection, one sweep for everything after."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from qhronos.clock import Clock
from qhronos.errors import Unreachable

T = TypeVar("T")

SPACING = 0.005  # seconds between two sweeps, at least: what ends in between ends together


@asynccontextmanager
async def phase(kind: str, what: str, seconds: float, left: float) -> AsyncIterator[None]:
    """Allow `seconds`, of `left` until the deadline: Unreachable when those are over, TimeoutError at the deadline."""
    try:
        async with asyncio.timeout(min(seconds, left)):
            yield
    except TimeoutError as error:
        if left <= seconds:
            raise
        raise Unreachable(kind, f"{what} timed out after {seconds:g} s") from error


class Deadlines:
    """One timer for all requests. One each would be a quarter of a request's cost, and nearly all would be cancelled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf  # when the timer goes off

    async def wait(self, future: asyncio.Future[T], deadline: float) -> T:
        """The result of `future`; TimeoutError if it has none when the clock reaches `deadline`."""
        self._watched[future] = deadline
        if deadline < self._next:
            self._arm(deadline)
        try:
            return await future
        finally:
            del self._watched[future]

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._next = at
        self._timer = asyncio.get_running_loop().call_later(max(at - self._clock.monotonic(), 0), self._sweep)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        self._timer, self._next = None, math.inf
        nearest = math.inf
        for future, deadline in self._watched.items():
            if deadline > now:
                nearest = min(nearest, deadline)
            elif not future.done():
                future.set_exception(TimeoutError())
        if nearest < math.inf:
            self._arm(max(nearest, now + SPACING))
