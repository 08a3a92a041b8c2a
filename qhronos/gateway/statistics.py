"""Numbers for listeners who want them: counted once for all who see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Never, TypeAlias

import msgspec

from qhronos.clock import Clock
from qhronos.engine.stats import Stats
from qhronos.errors import Unavailable
from qhronos.gateway.frames import StatsFrame
from qhronos.gateway.listener import Listener
from qhronos.log import get_logger

EVERY = 5.0  # seconds
FRESH = 1.0  # seconds for which what was counted will do for whoever comes
TOPIC = "stats"

Scope: TypeAlias = frozenset[str] | None
Count: TypeAlias = Callable[[list[str] | None], Awaitable[Stats]]

log = get_logger()


class Viewers:
    """Listeners who see the same."""

    def __init__(self) -> None:
        self.all: set[Listener] = set()
        self.new: set[Listener] = set()
        self.frame: StatsFrame | None = None
        self.counted_at = self.told_at = float("-inf")


class Statistics:
    def __init__(self, count: Count, clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._viewers: dict[Scope, Viewers] = {}
        self._woken = asyncio.Event()

    @contextmanager
    def shown_to(self, listener: Listener) -> Iterator[None]:
        """As long as it listens, if it wants them."""
        if TOPIC not in listener.topics:
            yield
            return
        viewers = self._viewers.setdefault(listener.seen, Viewers())
        viewers.all.add(listener)
        viewers.new.add(listener)
        self._woken.set()
        try:
            yield
        finally:
            viewers.all.discard(listener)
            viewers.new.discard(listener)
            if not viewers.all:
                self._viewers.pop(listener.seen, None)

    async def run(self) -> Never:
        """Until it is cancelled. One count at a time: where very many see different things, they are told less often."""
        while True:
            self._woken.clear()
            for scope, viewers in list(self._viewers.items()):
                if viewers.new or self._clock.monotonic() - viewers.told_at >= EVERY:
                    await self._show(scope, viewers)
            await self._clock.wait(self._woken, self._rest())

    async def _show(self, scope: Scope, viewers: Viewers) -> None:
        now = self._clock.monotonic()
        is_round = now - viewers.told_at >= EVERY
        if is_round:
            viewers.told_at = now
        if is_round or viewers.frame is None or now - viewers.counted_at >= FRESH:
            viewers.frame = await self._frame(scope)
            viewers.counted_at = now
        if viewers.frame is not None:
            for listener in list(viewers.all if is_round else viewers.new):
                listener.peer.say(viewers.frame)
        viewers.new.clear()

    async def _frame(self, scope: Scope) -> StatsFrame | None:
        """None: it could not be counted."""
        try:
            stats = await self._count(None if scope is None else sorted(scope))
        except Unavailable as error:
            log.warning("stats.uncounted", error=str(error))
            return None
        except Exception:  # a bug here must not end this loop; logged here once
            log.exception("stats.failed")
            return None
        return StatsFrame(**msgspec.structs.asdict(stats))

    def _rest(self) -> float:
        """Until the next round."""
        soonest = min((viewers.told_at for viewers in self._viewers.values()), default=float("inf"))
        return min(EVERY, max(0.0, soonest + EVERY - self._clock.monotonic()))
