"""What a service does besides its ticks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from qhronos.errors import Unavailable
from qhronos.log import get_logger

log = get_logger()


class Background:
    """Works that go on until the service ends."""

    def __init__(self, name: str, *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._name = name
        self.tasks: list[asyncio.Task[None]] = []
        self._works = works
        self._is_over = False

    def start(self) -> None:
        if not self.tasks and not self._is_over:
            self.tasks = [asyncio.create_task(work()) for work in self._works]

    def keep(self) -> None:
        """Start them, and again those that have ended, which only a bug can do."""
        self.start()
        for number, ended in enumerate(self.tasks):
            if ended.done() and not self._is_over:
                error = None if ended.cancelled() else ended.exception()
                log.error("background.broken", service=self._name, exc_info=error)
                self.tasks[number] = asyncio.create_task(self._works[number]())

    async def end(self) -> None:
        self._is_over = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def in_turn(*works: Callable[[], Awaitable[None]]) -> None:
    """Each has its turn, though the store of one before it is away. Raises the first Unavailable after that."""
    away: list[Unavailable] = []
    for work in works:
        try:
            await work()
        except Unavailable as error:
            away.append(error)
    if away:
        raise away[0]


async def end(task: asyncio.Task[None]) -> None:
    """A bug that has ended it is raised here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
