"""One socket, as the sessions see it: frames in, frames out, closed with a code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from qhronos.clock import Clock
from qhronos.core.ratelimit import judge, limit_of
from qhronos.gateway.frames import Code, Telling, encode
from qhronos.gateway.wire import Wire

RATE = limit_of(20, 100)  # frames a second, and at once
SHORT = 100  # bytes of a close reason; the protocol takes 123

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Caller(Protocol):
    """Who holds a token, as the API knows them."""

    @property
    def subject(self) -> str: ...
    @property
    def scope(self) -> frozenset[str]: ...
    @property
    def unrestricted(self) -> bool: ...
    @property
    def writes(self) -> bool: ...
    @property
    def token_id(self) -> UUID | None: ...
    @property
    def expires_at(self) -> datetime | None: ...


class Socket:
    """One that was accepted."""

    __slots__ = ("_clock", "_receive", "_tat", "_wire", "caller", "checked_at", "full_since", "kind", "token")

    def __init__(self, scope: Scope, receive: Receive, clock: Clock) -> None:
        self._wire: Wire = scope["state"]["wire"]
        self._wire.forget_upgrade()
        self._receive = receive
        self._clock = clock
        self._tat = 0
        self.token = ""
        self.kind = ""  # as its handshake says
        self.caller: Caller | None = None
        self.checked_at = 0.0
        self.full_since: float | None = None

    @property
    def is_open(self) -> bool:
        return self._wire.is_open

    @property
    def unsent(self) -> int:
        return self._wire.unsent

    async def next(self) -> bytes | None:
        """The next frame; None: the socket is closed."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        return text.encode() if text is not None else bytes(message["bytes"])

    def say(self, frame: object) -> None:
        self.push(encode(frame))

    def tell(self, telling: Telling) -> None:
        self.push(telling.frame)

    def push(self, frame: bytes) -> bool:
        """Send what is encoded. Whoever has not read what was sent before is cut off: it would be held here for them."""
        if self._wire.push(frame):
            return True
        self.close(Code.TOO_SLOW, "too slow")
        return False

    def close(self, code: Code, reason: str) -> None:
        self._wire.cut(code, reason.encode()[:SHORT].decode(errors="ignore"))

    def is_within_rate(self) -> bool:
        """Counts a frame."""
        self._tat, judged = judge(self._tat, int(self._clock.monotonic() * 1_000_000), RATE)
        return judged.allowed == 1
