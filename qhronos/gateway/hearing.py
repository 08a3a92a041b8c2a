"""Hearing of what is told, as long as somebody here listens, and for a while after."""

from __future__ import annotations

import asyncio

from qhronos.broadcast import Broadcast, Told
from qhronos.clock import Clock
from qhronos.errors import Unavailable
from qhronos.gateway.listener import Audience

HEARD_FOR = 300.0  # seconds for which it is listened on after the last listener has left
PATIENCE = 2.0  # seconds to hear that the subscription lives


class Hearing:
    def __init__(self, broadcast: Broadcast, clock: Clock) -> None:
        self.audience = Audience()
        self.subscribed = asyncio.Event()
        self._broadcast = broadcast
        self._clock = clock
        self._hears = False
        self._is_behind = False  # something may have been told that did not come here
        self._heard_at = float("-inf")  # when there was a listener

    async def begin(self) -> None:
        """From here on what is told is heard here. Raises Unavailable."""
        if not await self._clock.wait(self.subscribed, PATIENCE):
            raise Unavailable("redis", "nobody can be heard")
        self.stay()
        if self._hears:
            return
        await self._broadcast.hearing()
        epoch, offset = await self._broadcast.told()
        if not self._hears:
            self._hears = True
            self.audience.begin(epoch, offset)

    def stay(self) -> None:
        """There is a listener, or was until now."""
        self._heard_at = self._clock.monotonic()

    def hear(self, told: Told) -> None:
        if self._hears:
            self.audience.tell(told.epoch, told.last, told.frames, self._clock.monotonic())

    def lost(self) -> None:
        """The subscription broke."""
        self._is_behind = True

    async def keep(self) -> None:
        """Go on hearing, if there is any point in it. Raises Unavailable."""
        if not self._hears:
            return
        if not self.audience.count and self._clock.monotonic() - self._heard_at > HEARD_FOR:
            self._hears = False
            return
        await self._broadcast.keep_hearing()
        if self._is_behind and self.subscribed.is_set():
            self._is_behind = False
            self.audience.catch_up(*await self._broadcast.told())
