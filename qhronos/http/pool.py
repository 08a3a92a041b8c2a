"""The connections to one origin (scheme, host, port): warm ones, free slots, and who waits for either."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from qhronos.http.connection import Connection
from qhronos.http.limits import Limits
from qhronos.http.url import Address

Turn = asyncio.Future[Connection | None]


class Origin:
    """While anyone waits there is neither a warm connection nor a free slot, so nobody is overtaken."""

    def __init__(self, limits: Limits) -> None:
        self._age = limits.age_seconds
        self._limit = limits.connections_per_origin
        self._free = self._limit  # slots without a connection
        self._idle: list[Connection] = []  # the last used last
        self._waiting: deque[Turn] = deque()

    @property
    def is_unused(self) -> bool:
        return self._free == self._limit and not self._waiting

    def take(self, addresses: Collection[Address], now: float) -> Connection | None:
        """The warm connection used last, if its address is still one that was vetted."""
        while self._idle:
            connection = self._idle.pop()
            if self.is_good(connection, addresses) and now - connection.opened_at < self._age:
                return connection
            connection.abort()
            self._free += 1
        return None

    @staticmethod
    def is_good(connection: Connection, addresses: Collection[Address]) -> bool:
        return connection.is_reusable and connection.address in addresses

    def reserve(self) -> bool:
        """Take a slot, for a connection of one's own."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def queue(self) -> Turn:
        """A turn, first come, first served: a warm connection, or None for a slot. Give it back if it is not taken."""
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def release(self, connection: Connection, now: float) -> None:
        """Give it to the next in line, or keep it warm; one that cannot be used again frees its slot."""
        if not connection.is_reusable or now - connection.opened_at >= self._age:
            connection.abort()
            self.free()
        elif turn := self._next():
            turn.set_result(connection)
        else:
            self._idle.append(connection)

    def free(self) -> None:
        """Give a slot back."""
        if turn := self._next():
            turn.set_result(None)
        else:
            self._free += 1

    def forget(self, connection: Connection) -> None:
        """A connection was lost; if it was idle, its slot is free."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._free += 1

    def close_old(self, now: float) -> None:
        """Close what is idle and too old to be used again."""
        for connection in [each for each in self._idle if now - each.opened_at >= self._age]:
            self.forget(connection)
            connection.abort()

    def _next(self) -> Turn | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None
