"""A client of the gateway that is cut off at random, and what it must be able to say of itself at the end."""

from __future__ import annotations

import asyncio
from random import Random

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from qhronos.clock import SystemClock
from tests.service.sockets import Peer, connect

WINDOW = 100  # messages on their way to one client
MOST_LEFT = 25  # frames until it is cut off
AWAY = 0.05  # seconds until it tries again where nobody answers


class Flighty:
    """Acknowledges what it gets, some of it later than the rest, and is cut off in the middle of things."""

    def __init__(self, name: str, seed: str, urls: list[str], wanted: int, token: str) -> None:
        self.name = name
        self.connections = 0
        self.again = 0
        self.got: dict[str, int] = {}  # occurrence → the number under which it came first
        self.numbers: set[int] = set()
        self.disordered = 0
        self._urls = urls
        self._wanted = wanted
        self._token = token
        self._newest = 0
        self._clock, self._never = SystemClock(), asyncio.Event()
        self._random = Random(seed)  # noqa: S311 - a seed

    async def live(self) -> None:
        """Until it has got all that it wants."""
        while len(self.got) < self._wanted:
            try:
                async with connect(self._random.choice(self._urls), compression=None) as connection:
                    self.connections += 1
                    await self._listen(Peer(connection))
                    connection.transport.abort()
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await self._clock.wait(self._never, AWAY)

    async def finish(self) -> None:
        """Acknowledge what is left, wherever somebody answers."""
        while True:
            try:
                async with connect(self._random.choice(self._urls), compression=None) as connection:
                    await self._acknowledge_all(Peer(connection))
                    return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await self._clock.wait(self._never, AWAY)

    @property
    def missing(self) -> int:
        """Numbers up to the newest that never came."""
        return self._newest - len(self.numbers)

    async def _listen(self, peer: Peer) -> None:
        await peer.say(type="client-hook", client_name=self.name, token=self._token)
        left = self._random.randrange(1, MOST_LEFT)
        while left and len(self.got) < self._wanted:
            frame = await peer.hear()
            if frame["type"] != "event":
                continue
            left -= 1
            self._take(frame)
            if self._random.random() < 0.5:
                await peer.say(type="ack", seq=frame["seq"])
            elif self._random.random() < 0.5:
                await peer.say(type="ack", occurrence_id=frame["occurrence_id"])

    def _take(self, frame: dict) -> None:
        self.again += frame["redelivered"]
        self.numbers.add(frame["seq"])
        if frame["occurrence_id"] not in self.got:
            self.disordered += frame["seq"] < self._newest
            self.got[frame["occurrence_id"]] = frame["seq"]
        self._newest = max(self._newest, frame["seq"])

    async def _acknowledge_all(self, peer: Peer) -> None:
        await peer.say(type="client-hook", client_name=self.name, token=self._token)
        await peer.hear()
        await peer.say(type="ack", seq=self._newest)
        while (await peer.hear()).get("message") != "acknowledged":
            pass
