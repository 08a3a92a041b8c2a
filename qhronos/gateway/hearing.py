"""Hearing of what is told, as long as somebody here listens, and for a while after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qhronos.broadcast import Broadcast, Told
from qhronos.clock import Clock
from qhronos.errors import Unavailable
from qhronos.gateway import frames
from qhronos.gateway.frames import Registered
from qhronos.gateway.listener import Audience, Listener

HEARD_FOR = 300.0  # seconds for which it is listened on after the last listener has left
SETTLING = 0.05  # seconds in which whoever tells hears of it, and gives numbers to what was left out before
UNREAD_REST = 0.02  # seconds until it is looked again whether what was sent has been read
PATIENCE = 2.0  # seconds to hear that the subscription lives
NOWHERE = ("", 0)  # what was told since then nobody knows


class Hearing:
    def __init__(self, broadcast: Broadcast, clock: Clock) -> None:
        self.audience = Audience()
        self.subscribed = asyncio.Event()
        self._broadcast = broadcast
        self._clock = clock
        self._hears = False
        self._is_behind = False  # something may have been told that did not come here
        self._heard_at = float("-inf")  # when there was a listener

    async def begin(self, listener: Listener) -> None:
        """From here on what is told is heard here, if that is what it wants. Raises Unavailable."""
        if not listener.told_in:
            return
        if not await self._clock.wait(self.subscribed, PATIENCE):
            raise Unavailable("redis", "nobody can be heard")
        self.stay()
        if self._hears:
            return
        await self._broadcast.hearing()
        await self._clock.wait(asyncio.Event(), SETTLING)
        epoch, offset = await self._broadcast.told()
        if not self._hears:
            self._hears = True
            self.audience.begin(epoch, offset)

    @asynccontextmanager
    async def listening(self, listener: Listener, resume: tuple[str, int] | None) -> AsyncIterator[None]:
        """Once it has begun. The answer comes first, then what was told since `resume`: an epoch and an offset."""
        if not listener.told_in:
            listener.peer.say(Registered(message=frames.REGISTERED))
            yield
            return
        audience = self.audience
        if resume and not await self._is_place(*resume):
            resume = NOWHERE
        offset = audience.goes_on(*resume) if resume else audience.offset
        listener.peer.say(Registered(message=frames.REGISTERED, epoch=audience.epoch, offset=offset))
        if resume:
            await self._repeat(listener, *resume)
        audience.add(listener)  # in the same breath: from here on nothing is missed
        try:
            yield
        finally:
            audience.remove(listener)
            self.stay()

    async def _is_place(self, epoch: str, offset: int) -> bool:
        """False: the number was never given. Redis has lost that it was, or somebody has made it up."""
        if epoch != self.audience.epoch or offset <= self.audience.offset:
            return True
        try:
            now, last = await self._broadcast.told()
        except Unavailable:
            return True
        return epoch != now or offset <= last

    async def _repeat(self, listener: Listener, epoch: str, offset: int) -> None:
        """What was told since, as fast as it is read, and what is told meanwhile."""
        audience, peer, never = self.audience, listener.peer, asyncio.Event()
        while peer.is_open:
            self.stay()
            offset, epoch = audience.repeat(listener, epoch, offset), audience.epoch
            if offset >= audience.offset:
                return
            while peer.is_open and peer.unsent:
                await self._clock.wait(never, UNREAD_REST)
            peer.full_since = None  # it reads

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
