"""uvicorn's HTTP, written to without waiting where an answer has no end; as `wire.py` is for websockets."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from qhronos.gateway.wire import MOST_UNSENT

PATH = ["events", "stream"]
CLOSING = 3.0  # seconds for what is unsent to be read; less than the server has to drain
MOST_UNSEEN = 128 * 1024  # bytes that the system may keep unsent, which nobody here sees


class Outlet:
    """The rest of one answer, once it has begun. The application finds it in the state of its scope."""

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # elsewhere who does not read is found out later
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSEEN)

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

    def push(self, data: bytes) -> bool:
        """Send a piece. False: it cannot be, for the connection is closed or too much is unsent."""
        if not self.is_open or self.unsent > MOST_UNSENT:
            return False
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._cycle.chunked_encoding else data)
        return True

    def finish(self) -> None:
        """Whoever waits to receive is woken, to complete the answer; the connection goes no further, and not for ever."""
        self._cycle.keep_alive = False
        self._cycle.message_event.set()
        asyncio.get_running_loop().call_later(CLOSING, self._transport.abort)

    def cut(self) -> None:
        self._transport.abort()


class Pipe(HttpToolsProtocol):
    """What the server makes for each connection."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        path = self.scope.get("path", "")
        if "stream" in path and [part for part in path.split("/") if part] == PATH:  # as routes are found
            self.scope["state"]["outlet"] = Outlet(self.transport, self.cycle)
