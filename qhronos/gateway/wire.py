"""uvicorn's websocket, written to without waiting.

One socket that is not read must not hold up the others, and 10,000 need no task each to write to them: what is sent goes into
the buffer of the transport, and a buffer that is too full ends the connection.
"""

from __future__ import annotations

import asyncio
import codecs
import socket
from asyncio.transports import BaseTransport
from functools import lru_cache
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from qhronos.core.ratelimit import judge, limit_of
from qhronos.gateway.frames import Code

MOST_UNSENT = 1 << 20  # bytes
CLOSING = 5.0  # seconds for the peer to take its leave
MOST_UNSEEN = 64 * 1024  # bytes that the system may keep unsent, which nobody here sees
PIECE = 4096  # bytes that are read before it is looked whether that is too much
RATE = limit_of(200, 400)  # pings, pongs and further fragments a second, and at once

_decoder = codecs.getincrementaldecoder("utf-8")


@lru_cache(maxsize=1)
def _framed(text: bytes) -> bytes:
    """What is told to many is framed once, and held once, however many have not read it yet."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


def show_unsent(transport: BaseTransport) -> None:
    """Keep it here, where it is counted, as far as the system lets that be said."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # elsewhere it keeps more, and who does not read is found out later
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSEEN)


class Wire(WebSocketsSansIOProtocol):
    """What the server makes for each socket. The application finds it in the state of its scope."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "wire": self}
        self._tat = 0
        self._text: codecs.IncrementalDecoder | None = None  # of a text that comes in fragments
        self._held = b""  # what has come and waits until what came before it is heeded
        show_unsent(transport)
        self._is_deaf = False

    def forget_upgrade(self) -> None:
        """What its request said has been looked at, and would be a seventh of what a socket takes."""
        self.scope["headers"] = []
        del self.request, self.response

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
        self.transport.write(_framed(text))
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
        self._set_reading(is_on=True)
        if self._held:
            self.loop.call_soon(self._read_held)
        self.close_timer = asyncio.get_running_loop().call_later(CLOSING, self.transport.abort)

    # what comes in, and no more of it than it is worth

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._read_held()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.queue.empty() and (self._held or self.read_paused):
            self.loop.call_soon(self._read_held)  # others have their turn between
        return message

    def _read_held(self) -> None:
        """As much as makes a message or two: whoever sends many at once waits for what they ask for."""
        while self._held and self._may_read():
            piece, self._held = self._held[:PIECE], self._held[PIECE:]
            super().data_received(piece)
        if self._may_read():
            self._set_reading(is_on=True)
        elif self._held and not self.transport.is_closing():
            self._set_reading(is_on=False)

    def _may_read(self) -> bool:
        """Whoever is being sent away has to be heard for their answer to that."""
        return (self.close_sent or self.queue.empty()) and not (self._is_deaf or self.transport.is_closing())

    def _set_reading(self, *, is_on: bool) -> None:
        if self.read_paused is is_on:
            self.read_paused = not is_on
            (self.transport.resume_reading if is_on else self.transport.pause_reading)()

    def handle_ping(self) -> None:
        if self._is_within_rate():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._is_within_rate():
            super().handle_pong(event)

    def handle_text(self, event: Frame) -> None:
        if self.close_sent and not self._is_within_rate():  # the answer to that is all that is waited for
            return
        self._text = None if event.fin else _decoder()
        if self._is_text(event):
            super().handle_text(event)

    def handle_cont(self, event: Frame) -> None:
        if not self._is_within_rate() or (self.curr_msg_data_type == "text" and not self._is_text(event)):
            return
        if event.data:  # else it costs something and says nothing
            self.frames.append(bytes(event.data))
        if event.fin:
            self.send_receive_event_to_app()

    def _is_text(self, event: Frame) -> bool:
        """The first byte that is none ends the connection."""
        try:
            self._text.decode(event.data, final=event.fin) if self._text else bytes(event.data).decode()
        except UnicodeDecodeError:
            if not self.close_sent:
                self.conn.fail(CloseCode.INVALID_DATA, "not UTF-8")
                self.handle_parser_exception()
            return False
        return True

    def _is_within_rate(self) -> bool:
        """Whoever goes beyond it is not listened to any more: to read what they send is what it costs."""
        self._tat, judged = judge(self._tat, int(asyncio.get_running_loop().time() * 1_000_000), RATE)
        if judged.allowed:
            return True
        self.cut(Code.TOO_MANY, "too many frames")
        if not self._is_deaf:
            self._is_deaf, self._held = True, b""
            self._set_reading(is_on=False)
        return False

    def keepalive_timeout(self) -> None:
        """The peer is gone, or reads nothing; so it would not read to the end either."""
        super().keepalive_timeout()
        self.transport.abort()
