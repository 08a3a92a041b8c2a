"""What is under way: a task for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from qhronos.clock import Clock
from qhronos.engine.held import Holding
from qhronos.store.pending import Claimed


class Flights:
    def __init__(self, clock: Clock, on_end: Callable[[Holding], None]) -> None:
        self._clock = clock
        self._on_end = on_end
        self._tasks: dict[asyncio.Task[None], Holding] = {}
        self._landed = asyncio.Event()
        self._is_hurried = False

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(self._tasks)

    def start(self, holding: Holding, attempt: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(attempt)
        self._tasks[task] = holding
        task.add_done_callback(self._land)

    def hurry(self) -> None:
        """Let nobody wait for what is under way."""
        self._is_hurried = True
        self._landed.set()

    async def finish(self, deadline: float) -> list[Claimed]:
        """Wait until all have landed, to the monotonic `deadline`; what was cut off then."""
        while self._tasks and not self._is_hurried and (left := deadline - self._clock.monotonic()) > 0:
            self._landed.clear()
            await self._clock.wait(self._landed, left)
        unfinished = dict(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return [holding.work.row for task, holding in unfinished.items() if task.cancelled()]

    def _land(self, task: asyncio.Task[None]) -> None:
        self._on_end(self._tasks.pop(task))
        self._landed.set()
