"""A socket that sends what a test has written by hand, and says what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

from qhronos.gateway.frames import NOT_FOR_LISTENERS
from tests.service.sockets import MASTER, WITHIN
from tests.wires import CLOSE, PONG, Frame, Unframer, text, upgrade

LAST = text(type="ack", seq=1)  # answered, in its turn, by what no other frame is answered by
Answer: TypeAlias = int | str | bytes


class Raw(asyncio.Protocol):
    """What is heard is kept, also when the connection ends in the middle of it."""

    def __init__(self) -> None:
        self.answer = b""  # to the upgrade
        self.answered = asyncio.Event()
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._unframer: Unframer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._unframer is None:
            self.answer += data
            answer, end, data = self.answer.partition(b"\r\n\r\n")
            if not end:
                return
            self.answer, self._unframer = answer, Unframer()
            self.answered.set()
        for one in self._unframer.feed(data):
            self._frames.put_nowait(one)

    def connection_lost(self, _: Exception | None) -> None:
        self._frames.put_nowait(None)

    async def next(self) -> Frame | None:
        """None: the connection has ended."""
        async with asyncio.timeout(WITHIN):
            return await self._frames.get()

    async def say(self, pieces: Iterable[bytes]) -> None:
        """Each as a segment of its own."""
        for piece in pieces:
            self.transport.write(piece)
            for _ in range(2):
                await asyncio.sleep(0)  # noqa: TID251 - the gateway has its turn

    async def answers(self) -> list[Answer]:
        """Until it is closed, or has answered a last word: payloads of pongs, what is said, and how it stands."""
        found: list[Answer] = []
        self.transport.write(LAST)
        while (one := await self.next()) is not None:
            if one.opcode == PONG:
                found.append(one.payload)
            elif one.opcode == CLOSE:
                return [*found, *await self._closed(one)]
            elif (said := one.json()).get("message") == NOT_FOR_LISTENERS.format("tag-listener"):
                return [*found, "open"]
            else:
                found.append(said.get("message", said["type"]))
        return [*found, "cut off"]

    async def _closed(self, one: Frame) -> list[Answer]:
        """The code, 1005 if there is none; and that nothing comes after it but the end."""
        code = int.from_bytes(one.payload[:2], "big") if one.payload else 1005
        after = await self.next()
        return [code] if after is None else [code, f"and after it {after}"]


@asynccontextmanager
async def dialled(url: str, request: bytes | None = None) -> AsyncIterator[Raw]:
    parts = urlsplit(url)
    transport, raw = await asyncio.get_running_loop().create_connection(Raw, parts.hostname, parts.port)
    try:
        raw.transport.write(request or upgrade(parts.netloc))
        async with asyncio.timeout(WITHIN):
            await raw.answered.wait()
        yield raw
    finally:
        transport.abort()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Raw]:
    """Registered."""
    async with dialled(url) as raw:
        raw.transport.write(text(type="tag-listener", tags=["tea"], token=MASTER))
        said = await raw.next()
        assert said is not None
        assert said.json()["type"] == "ack"
        yield raw
