"""A TCP port in front of a store's socket, with faults that can be switched on."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Self

from qhronos.clock import SystemClock

CHUNK = 64 * 1024


class Link:
    """One connection through the proxy: both of its ends."""

    def __init__(self, client: asyncio.StreamWriter, store: asyncio.StreamWriter) -> None:
        self._ends = (client, store)

    def cut(self) -> None:
        """At once, whatever is still under way."""
        for end in self._ends:
            end.transport.abort()


class Proxy:
    """Forwards, as long as no fault is on. Every fault holds until it is taken back.

    refusing      nobody is let in
    latency       seconds that every piece takes longer, each way, give or take a half
    reply_loss    the probability that a request is forwarded, and its reply dropped together with the connection
    slow_close    seconds between the end of one side and that of the other
    hold, release nothing gets through meanwhile; connections stay, and what was sent arrives with `release`
    """

    def __init__(self, socket: str, seed: int) -> None:
        self.refusing = False
        self.latency = 0.0
        self.reply_loss = 0.0
        self.slow_close = 0.0
        self.dropped = 0  # replies
        self.port = 0
        self._socket = socket
        self._random = Random(seed)  # noqa: S311 - the same seed drops the same replies
        self._clock = SystemClock()
        self._never = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def down(self) -> None:
        """As if the store had gone: what is connected is cut, and nobody is let in."""
        self.refusing = True
        self.cut()

    def up(self) -> None:
        self.refusing = False

    def cut(self) -> None:
        """Every connection; new ones are welcome."""
        for link in list(self._links):
            link.cut()

    def hold(self) -> None:
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the end of either, or ours
            if not self.refusing:
                await self._connect(reader, writer)
        writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_unix_connection(self._socket)
        link = Link(writer, store_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._forward(reader, store_writer), self._forward(store_reader, writer, replies_of=link)
            )
        finally:
            self._links.discard(link)
            link.cut()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies_of: Link | None = None
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the latter is what uvloop says of an end that has closed
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if self.latency:
                    await self._clock.wait(self._never, self.latency * self._random.uniform(0.5, 1.5))
                if replies_of and self._random.random() < self.reply_loss:
                    self.dropped += 1
                    replies_of.cut()
                    return
                writer.write(data)
                await writer.drain()
        if self.slow_close:
            await self._clock.wait(self._never, self.slow_close)
        writer.close()
