"""One stream of Server-Sent Events, as listeners see it: the frames of a socket, each with the number to resume from."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import msgspec

from qhronos.clock import Clock
from qhronos.gateway.frames import Code, Gap, Reconnect, Registered, Telling, encode
from qhronos.gateway.outlet import Outlet
from qhronos.gateway.socket import Caller, Receive, Send

COME_BACK_MS = 3_000, 6_000  # after which a reader whose connection broke comes back
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects would hold it back
    (b"x-content-type-options", b"nosniff"),
]


class Stream:
    def __init__(self, outlet: Outlet, caller: Caller, token: str, clock: Clock) -> None:
        self._outlet = outlet
        self._clock = clock
        self._has_begun = False
        self.is_over = False  # it was sent away
        self.token = token
        self.caller: Caller | None = caller
        self.checked_at = self.said_at = clock.monotonic()
        self.full_since: float | None = None

    @property
    def is_open(self) -> bool:
        return not self.is_over and self._outlet.is_open

    @property
    def unsent(self) -> int:
        return self._outlet.unsent

    async def begin(self, send: Send, random: Random) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        self._has_begun = True
        self._outlet.begin()
        self._push(b"retry: %d\n\n" % random.randint(*COME_BACK_MS))

    async def last(self, receive: Receive, send: Send) -> None:
        """Until the reader is gone, or is sent away; then it is completed, if that can be."""
        while self.is_open and not self._outlet.is_headless:
            await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def tell(self, telling: Telling) -> None:
        self._write(telling.head.type, telling.frame, _place(telling.epoch, telling.offset))

    def say(self, frame: msgspec.Struct) -> None:
        place = b""
        if isinstance(frame, Registered | Gap) and frame.epoch and frame.offset is not None:
            place = _place(frame.epoch, frame.offset)
        if isinstance(frame, Reconnect):
            place = b"retry: %d\n" % frame.after_ms
        self._write(str(frame.__struct_config__.tag), encode(frame), place)

    def breathe(self, epoch: str, offset: int) -> None:
        """Show that it lives, and how far it has come."""
        self._push(b":\n" + (_place(epoch, offset) if epoch else b"") + b"\n")

    def close(self, code: Code, _reason: str) -> None:
        """Whoever reads too slowly is cut off: it would have to be waited for."""
        if not self.is_open:
            return
        self.is_over = True
        if code is Code.TOO_SLOW:
            self._outlet.cut()
        else:
            self._outlet.finish()

    def _write(self, name: str, frame: bytes, place: bytes) -> None:
        self._push(_event(name, frame, place))

    def _push(self, data: bytes) -> None:
        self.said_at = self._clock.monotonic()
        if not self._has_begun or not self.is_open or self._outlet.is_headless:
            return
        if not self._outlet.push(data):
            self.close(Code.TOO_SLOW, "")


# What is told to many is made once, and held once, however many have not read it yet.


@lru_cache(maxsize=1)
def _event(name: str, frame: bytes, place: bytes) -> bytes:
    return b"%bevent: %b\ndata: %b\n\n" % (place, name.encode(), frame)


@lru_cache(maxsize=1)
def _place(epoch: str, offset: int) -> bytes:
    return b"id: %b-%d\n" % (epoch.encode(), offset)
