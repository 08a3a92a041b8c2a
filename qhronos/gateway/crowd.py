"""Everybody who is connected here, and how many that may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from qhronos import metrics
from qhronos.config import Gateway as Settings
from qhronos.errors import Unavailable
from qhronos.gateway.frames import Code
from qhronos.gateway.handshake import Turned
from qhronos.gateway.socket import Caller, Socket
from qhronos.gateway.stream import Stream


class Crowd:
    def __init__(self, settings: Settings) -> None:
        self.peers: set[Socket | Stream] = set()
        self.is_ending = False
        self._settings = settings
        self._by_token: Counter[str] = Counter()

    def require_room(self) -> None:
        """For one more. Raises Turned, and Unavailable at the end."""
        if self.is_ending:
            raise Unavailable("gateway", "it is about to end")
        if len(self.peers) >= self._settings.max_connections:
            raise Turned(Code.TOO_MANY, "too many connections")

    @contextmanager
    def counted(self, caller: Caller, kind: str) -> Iterator[None]:
        """Raises Turned where there are too many of the same token."""
        if not caller.unrestricted and self._by_token[caller.subject] >= self._settings.connections_per_token:
            raise Turned(Code.TOO_MANY, "too many connections of this token")
        self._by_token[caller.subject] += 1
        try:
            with metrics.GATEWAY_CONNECTIONS.labels(kind).track_inprogress():
                yield
        finally:
            self._by_token[caller.subject] -= 1
