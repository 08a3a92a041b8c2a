"""Callers of the API who create and read all the time, and try again as long as nobody answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

from qhronos.core.occurrence import Identity
from qhronos.errors import Unreachable
from tests.chaos.fleet import Fleet
from tests.chaos.load import event

EVERY = 1 / 30  # seconds
AGAIN = 0.2
AHEAD = 15.0  # seconds; more than the API is away for, so that nothing is created too late to be on time
PATIENCE = 60.0


class Callers:
    """Only that nobody answers is tried again: every answer counts."""

    def __init__(self, fleet: Fleet, random: Random) -> None:
        self.answers: Counter[int] = Counter()
        self.repeated = 0
        self.created: set[Identity] = set()
        self._fleet = fleet
        self._random = random
        self._stopped = asyncio.Event()

    @property
    def refusals(self) -> int:
        return sum(count for status, count in self.answers.items() if not 200 <= status < 300)

    def __str__(self) -> str:
        return (
            f"{sum(self.answers.values())} requests to the API answered, {self.refusals} of them not 2xx; "
            f"{self.repeated} of them found nobody there at first"
        )

    def stop(self) -> None:
        self._stopped.set()

    async def call_until_stopped(self) -> None:
        """At a steady rate, whether answers come or not."""
        async with asyncio.TaskGroup() as group:
            while not await self._fleet.clock.wait(self._stopped, EVERY):
                group.create_task(self._create_and_read())

    async def _create_and_read(self) -> None:
        at = self._fleet.clock.now() + timedelta(seconds=AHEAD + self._random.uniform(0, 5))
        made = await self._send("POST", "/events", event(self._fleet.hook("ok/20"), at), key=str(uuid4()))
        if made is not None:
            self.created.add(Identity(UUID(made["id"]), at))
            await self._send("GET", f"/events/{made['id']}")

    async def _send(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """The answer, if it is one of success."""
        began = self._fleet.clock.monotonic()
        is_first = True
        while True:
            try:
                status, answer = await self._fleet.call(method, path, body, key=key)
            except (Unreachable, OSError):
                self.repeated += is_first
                is_first = False
                assert self._fleet.clock.monotonic() < began + PATIENCE, f"{method} {path}: nobody answers"
                await self._fleet.rest(AGAIN)
            else:
                self.answers[status] += 1
                return answer if 200 <= status < 300 else None
