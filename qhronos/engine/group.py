"""Group commit: what arrives while transactions are in flight shares the next one.

One commit costs about as much as ten rows, so this is what lets many small requests through; each is still answered only
after the commit that holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

LANES = 2  # transactions in flight
GROUP = 200  # items in one


class Group(Generic[T, R]):
    """The items of a transaction to come, and the task that will commit them."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.task: asyncio.Task[Sequence[R]]


class GroupCommit(Generic[T, R]):
    """`commit` takes a group and returns a result for each, in order; what it raises, all of the group get."""

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._commit = commit
        self._lanes = asyncio.Semaphore(LANES)
        self._gathering: Group[T, R] | None = None

    async def submit(self, item: T) -> R:
        group = self._gathering or self._begin()
        group.items.append(item)
        place = len(group.items) - 1
        if len(group.items) == GROUP:
            self._gathering = None
        # A caller that goes away must not take the others' transaction along.
        return (await asyncio.shield(group.task))[place]

    def _begin(self) -> Group[T, R]:
        group: Group[T, R] = Group()
        group.task = asyncio.create_task(self._run(group))
        self._gathering = group
        return group

    async def _run(self, group: Group[T, R]) -> Sequence[R]:
        async with self._lanes:
            if self._gathering is group:
                self._gathering = None
            return await self._commit(group.items)
