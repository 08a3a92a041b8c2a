"""uvicorn's websocket, written to without waiting.

One socket that is not read must not hold up the others, and 10,000 need no task each to write to them: what is sent goes into
the buffer of the transport, and a buffer that is too full ends the connection.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

MOST_UNSENT = 1 << 20  # bytes
CLOSING = 5.0  # seconds for the peer to take its leave


class Wire(WebSocketsSansIOProtocol):
    """What the server makes for each socket. The application finds it in the state of its scope."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "wire": self}

    @property
    def unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        return self.conn.state is State.OPEN and not self.close_sent and not self.transport.is_closing()

    def push(self, text: bytes) -> bool:
        """Send a frame. False: it cannot be, for the socket is closed or too much is unsent."""
        if not self.is_open or self.unsent > MOST_UNSENT:
            return False
        self.conn.send_text(text)
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def cut(self, code: int, reason: str) -> None:
        """Close, and do not wait for ever: a peer that reads nothing does not answer either."""
        if not self.is_open:
            return
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = asyncio.get_running_loop().call_later(CLOSING, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """The peer is gone, or reads nothing; so it would not read to the end either."""
        super().keepalive_timeout()
        self.transport.abort()
