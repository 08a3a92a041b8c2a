"""Redis pub/sub between processes: a doorbell and a recall. What is lost here delays, and is never relied upon.

wake      something is due earlier than dispatchers may think; carries the instant
revoke    these events have changed; whoever holds occurrences of them gives them back, but for what was at hand
tokens    a token was revoked; look at once. Gateways are told as well
hearing   from now on somebody listens to what becomes due; carries nothing
lost      said by nobody: the subscription broke, and what is sent until it lives again is gone

Gateways have a channel of their own, so that nobody else has to read what is meant for them:

ring      something waits for these clients
taken     a client has connected, there; whoever serves an older connection of that name lets go of it, unless it is shared
told      what is due or has ended, for those who listen, numbered
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from importlib.resources import files
from typing import Any, Never, TypeAlias
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from qhronos.clock import Clock
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.redis_link import translated

HEARD_SECONDS = 15
QUIET_SECONDS = 20.0  # without traffic for so long, the subscription is checked with a ping; once more, and it is lost
OUTAGE_REST = 1.0
SCRIPT = files("qhronos").joinpath("broadcast.lua").read_text()

log = get_logger()


class Wake(Struct, frozen=True, tag="wake"):
    fire_at: datetime


class Revoke(Struct, frozen=True, tag="revoke"):
    event_ids: tuple[UUID, ...]
    at: datetime | None = None  # what was at hand then is spared; None: nothing is


class TokenRevoked(Struct, frozen=True, tag="tokens"):
    token_id: UUID


class Hearing(Struct, frozen=True, tag="hearing"):
    pass


class Ring(Struct, frozen=True, tag="ring"):
    clients: tuple[str, ...]


class Taken(Struct, frozen=True, tag="taken"):
    client: str
    generation: int
    shared: bool = False


class Told(Struct, frozen=True, tag="told"):
    """`last` is the number of the last frame; those before have the numbers before it."""

    epoch: str
    last: int
    frames: list[msgspec.Raw]


class Lost(Struct, frozen=True, tag="lost"):
    pass


Notice: TypeAlias = Wake | Revoke | TokenRevoked | Hearing | Ring | Taken | Told | Lost

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def end_if_cancelled() -> None:
    """The driver swallows a cancellation that meets it at the wrong moment of connecting."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _read(data: bytes) -> Notice | None:
    """None: of another version, or not ours."""
    try:
        notice: Notice = _decode(data)
    except msgspec.DecodeError as error:
        log.warning("notice.unreadable", error=str(error))
        return None
    return notice


class Broadcast:
    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._channel = f"{prefix}:broadcast"
        self._gateways = f"{prefix}:gateways"
        self._numbers = f"{prefix}:{{listeners}}:told"  # one slot of a cluster has both
        self._heard = f"{prefix}:{{listeners}}:hearing"
        self._tell = redis.register_script(SCRIPT)

    async def wake(self, fire_at: datetime) -> None:
        await self._send(Wake(fire_at))

    async def revoke(self, event_ids: Iterable[UUID], at: datetime | None = None) -> None:
        await self._send(Revoke(tuple(event_ids), at))

    async def token_revoked(self, token_id: UUID) -> None:
        for channel in (self._channel, self._gateways):
            await self._send(TokenRevoked(token_id), channel)

    async def hearing(self) -> None:
        """From now on somebody listens: what becomes due is worth telling."""
        await self.keep_hearing()
        await self._send(Hearing())

    async def keep_hearing(self) -> None:
        """And somebody still does, for a while."""
        async with translated():
            await self._redis.set(self._heard, 1, ex=HEARD_SECONDS)

    async def ring(self, clients: Iterable[str]) -> None:
        await self._send(Ring(tuple(clients)), self._gateways)

    async def taken(self, client: str, generation: int, *, shared: bool) -> None:
        await self._send(Taken(client, generation, shared), self._gateways)

    async def tell(self, frames: list[bytes], left_out: int) -> bool:
        """Number and send them; whether somebody listens. `left_out` is how many were not sent since the last time."""
        is_heard, _, _ = await self._number(frames, left_out)
        return bool(is_heard)

    async def told(self) -> tuple[str, int]:
        """The epoch and the last of the numbers."""
        _, epoch, last = await self._number([], 0)
        return epoch.decode(), int(last)

    async def _number(self, frames: list[bytes], left_out: int) -> Any:
        told = b"[" + b",".join(frames) + b"]"
        args: list[bytes | int | str] = [uuid4().hex, left_out, len(frames), self._gateways, told]
        async with translated():
            return await self._tell(keys=[self._numbers, self._heard], args=args)

    async def follow_as_gateway(self, clock: Clock, subscribed: asyncio.Event, heed: Callable[[Notice], None]) -> Never:
        """As `follow`, what is meant for gateways."""
        await self._follow(self._gateways, clock, subscribed, heed)

    async def follow(self, clock: Clock, subscribed: asyncio.Event, heed: Callable[[Notice], None]) -> Never:
        """Hand every notice to `heed`, for ever. `subscribed` is set while the subscription is known to live; what was
        sent while it is not is gone, and the caller must assume the worst."""
        await self._follow(self._channel, clock, subscribed, heed)

    async def _follow(
        self, channel: str, clock: Clock, subscribed: asyncio.Event, heed: Callable[[Notice], None]
    ) -> Never:
        never = asyncio.Event()
        while True:
            try:
                async for notice in self._listen(channel, subscribed):
                    heed(notice)
            except Unavailable as error:
                end_if_cancelled()
                log.warning("broadcast.lost", error=str(error))
                heed(Lost())
            await clock.wait(never, OUTAGE_REST)

    async def _listen(self, name: str, subscribed: asyncio.Event) -> AsyncIterator[Notice]:
        """Every notice from now on. Raises Unavailable when the subscription breaks."""
        async with translated(), self._redis.pubsub(ignore_subscribe_messages=False) as channel:
            await channel.subscribe(name)
            is_asked = False
            try:
                while True:
                    end_if_cancelled()
                    message = await channel.get_message(timeout=QUIET_SECONDS)
                    if message is None and is_asked:
                        raise Unavailable("redis", "the subscription has fallen silent")
                    is_asked = message is None
                    if message is None:
                        await channel.ping()
                    elif message["type"] == "subscribe":
                        if subscribed.is_set():  # the driver has connected anew by itself
                            yield Lost()
                        subscribed.set()
                    elif message["type"] == "message" and (notice := _read(message["data"])):
                        yield notice
            finally:
                subscribed.clear()

    async def _send(self, notice: Notice, channel: str | None = None) -> None:
        async with translated():
            await self._redis.publish(channel or self._channel, _encode(notice))
