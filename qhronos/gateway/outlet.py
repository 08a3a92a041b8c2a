"""uvicorn's HTTP, written to without waiting where an answer has no end; as `wire.py` is for websockets."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from qhronos.gateway.wire import MOST_UNSENT, show_unsent

PATH = ["events", "stream"]
CLOSING = 3.0  # seconds for what is unsent to be read; less than the server has to drain


@lru_cache(maxsize=1)
def _chunk(data: bytes) -> bytes:
    """Once for all who are sent it, as `wire.py` frames."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Outlet:
    """The rest of one answer, once it has begun. The application finds it in the state of its scope."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._transport = pipe.transport
        self._cycle = pipe.cycle
        show_unsent(pipe.transport)

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        cycle = self._cycle
        return not (cycle.disconnected or cycle.response_complete or self._transport.is_closing())

    @property
    def is_headless(self) -> bool:
        """What was asked for is the head alone."""
        return self._cycle.scope["method"] == "HEAD"

    def begin(self) -> None:
        """From here on nothing else is answered on this connection; on one of which only the head was asked for, the next is."""
        if not self.is_headless:
            self._pipe.outlet = self

    def push(self, data: bytes) -> bool:
        """Send a piece. False: it cannot be, for the connection is closed or too much is unsent."""
        if not self.is_open or self.unsent > MOST_UNSENT:
            return False
        self._transport.write(_chunk(data) if self._cycle.chunked_encoding else data)
        return True

    def finish(self) -> None:
        """Whoever waits to receive is woken, to complete the answer; the connection goes no further, and not for ever."""
        self._cycle.keep_alive = False
        self._cycle.message_event.set()
        asyncio.get_running_loop().call_later(CLOSING, self._transport.abort)

    def cut(self) -> None:
        self._transport.abort()

    def lost(self) -> None:
        """The connection is. The server tells only the request that came last, which may be another."""
        self._cycle.disconnected = True
        self._cycle.message_event.set()


class Pipe(HttpToolsProtocol):
    """What the server makes for each connection."""

    outlet: Outlet | None = None  # once it has begun

    def data_received(self, data: bytes) -> None:
        """What is sent while a stream lasts would never be answered. It is read, for so is the end, and not kept."""
        if self.outlet is None:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.outlet is not None:
            self.outlet.lost()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        path = self.scope.get("path", "")
        if "stream" in path and [part for part in path.split("/") if part] == PATH:  # as routes are found
            self.scope["state"]["outlet"] = Outlet(self)
