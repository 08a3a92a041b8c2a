"""One origin (scheme, host, port): how many requests may be under way to it, who waits for a turn, its warm connections.

How many may be under way adapts. It starts low, grows with every answer that comes fast while all places are taken, and
halves with every one that is slow or does not come. Waiting for a turn makes sense only where one comes at once, so
nobody waits long, and nobody waits at all where answers have become slow: the caller is told, and comes back later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from qhronos.http.connection import Connection
from qhronos.http.limits import Limits
from qhronos.http.pace import Pace
from qhronos.http.url import Address

Turn = asyncio.Future[None]


class Origin:
    def __init__(self, limits: Limits) -> None:
        self.cap = min(limits.least_per_origin, limits.connections_per_origin)
        self.pace = Pace(limits.rate_per_origin) if limits.rate_per_origin else None
        self._limits = limits
        self._under_way = 0
        self._is_patient = True
        self._waiting: deque[Turn] = deque()
        self._idle: list[Connection] = []  # the last used last
        self._turned_away = 0

    @property
    def is_unused(self) -> bool:
        return not self._under_way and not self._idle

    # places

    def enter(self) -> bool:
        """Take a place, if there is one. Give it back with `leave`."""
        if self._under_way >= self.cap:
            return False
        self._under_way += 1
        return True

    def queue(self) -> Turn | None:
        """A turn, first come, first served, to be waited for a moment; once it is done, a place is taken. None: it is
        not worth waiting."""
        if not self._is_patient or len(self._waiting) >= self._limits.most_waiting:
            return None
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def turn_away(self, *, waited: bool) -> None:
        """Nobody waits in vain twice: until an answer is fast again, nobody waits at all."""
        self._is_patient = self._is_patient and not waited
        self._turned_away += 1

    def leave(self, took: float | None = None, *, answered: bool = True) -> int:
        """Give a place back, after what a request `took`. How many of those who were turned away may come again."""
        self._under_way -= 1
        is_fast = self._adapt(took, answered=answered) if took is not None else False
        while self._under_way < self.cap and (turn := self._next()):
            self._under_way += 1
            turn.set_result(None)
        if self._under_way >= self.cap:
            return 0
        called = min(2 if is_fast else 1, self._turned_away)  # two: some have gone elsewhere
        self._turned_away -= called
        return called

    def _adapt(self, took: float, *, answered: bool) -> bool:
        limits = self._limits
        is_fast = answered and took <= limits.fast_seconds
        if is_fast:
            if self._under_way + 1 >= self.cap:
                self.cap = min(self.cap + 1, limits.connections_per_origin)
        elif not answered or took > limits.slow_seconds:
            self.cap = min(self.cap, max(self.cap // 2, limits.least_per_origin))
        self._is_patient = answered and took <= limits.patience_seconds
        return is_fast

    def _next(self) -> Turn | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    # connections

    def warm(self, addresses: Collection[Address], now: float) -> Connection | None:
        """The connection used last, if its address is still one that was vetted."""
        while self._idle:
            connection = self._idle.pop()
            is_young = now - connection.opened_at < self._limits.age_seconds
            if connection.is_reusable and connection.address in addresses and is_young:
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection, now: float) -> None:
        """Keep it warm, or close it if it cannot be used again."""
        if connection.is_reusable and now - connection.opened_at < self._limits.age_seconds:
            self._idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: Connection) -> None:
        """A connection was lost."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close_old(self, now: float) -> None:
        """Close what is idle and too old to be used again."""
        for connection in [each for each in self._idle if now - each.opened_at >= self._limits.age_seconds]:
            self.forget(connection)
            connection.abort()
