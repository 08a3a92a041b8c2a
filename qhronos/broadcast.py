"""Redis pub/sub between processes: a doorbell and a recall. What is lost here delays, and is never relied upon.

wake      something is due earlier than dispatchers may think; carries the instant
revoke    these events have changed; whoever holds occurrences of them gives them back, but for what was at hand
tokens    a token was revoked; look at once
lost      said by nobody: the subscription broke, and what is sent until it lives again is gone
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Never, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from qhronos.clock import Clock
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.redis_link import translated

QUIET_SECONDS = 20.0  # without traffic for so long, the subscription is checked with a ping; once more, and it is lost
OUTAGE_REST = 1.0

log = get_logger()


class Wake(Struct, frozen=True, tag="wake"):
    fire_at: datetime


class Revoke(Struct, frozen=True, tag="revoke"):
    event_ids: tuple[UUID, ...]
    at: datetime | None = None  # what was at hand then is spared; None: nothing is


class TokenRevoked(Struct, frozen=True, tag="tokens"):
    token_id: UUID


class Lost(Struct, frozen=True, tag="lost"):
    pass


Notice: TypeAlias = Wake | Revoke | TokenRevoked | Lost

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def _end_if_cancelled() -> None:
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

    async def wake(self, fire_at: datetime) -> None:
        await self._send(Wake(fire_at))

    async def revoke(self, event_ids: Iterable[UUID], at: datetime | None = None) -> None:
        await self._send(Revoke(tuple(event_ids), at))

    async def token_revoked(self, token_id: UUID) -> None:
        await self._send(TokenRevoked(token_id))

    async def follow(self, clock: Clock, subscribed: asyncio.Event, heed: Callable[[Notice], None]) -> Never:
        """Hand every notice to `heed`, for ever. `subscribed` is set while the subscription is known to live; what was
        sent while it is not is gone, and the caller must assume the worst."""
        never = asyncio.Event()
        while True:
            try:
                async for notice in self._listen(subscribed):
                    heed(notice)
            except Unavailable as error:
                _end_if_cancelled()
                log.warning("broadcast.lost", error=str(error))
                heed(Lost())
            await clock.wait(never, OUTAGE_REST)

    async def _listen(self, subscribed: asyncio.Event) -> AsyncIterator[Notice]:
        """Every notice from now on. Raises Unavailable when the subscription breaks."""
        async with translated(), self._redis.pubsub(ignore_subscribe_messages=False) as channel:
            await channel.subscribe(self._channel)
            is_asked = False
            try:
                while True:
                    _end_if_cancelled()
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

    async def _send(self, notice: Notice) -> None:
        async with translated():
            await self._redis.publish(self._channel, _encode(notice))
