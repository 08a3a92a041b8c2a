"""The live streams of a gateway: listeners over HTTP, who hear what sockets hear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from qhronos.clock import Clock
from qhronos.errors import Denied, Refusal, Throttled, Unauthenticated, Unavailable
from qhronos.gateway.crowd import Crowd
from qhronos.gateway.frames import Code
from qhronos.gateway.handshake import Turned
from qhronos.gateway.hearing import Hearing
from qhronos.gateway.listener import Listener
from qhronos.gateway.socket import Receive, Send
from qhronos.gateway.statistics import Statistics
from qhronos.gateway.stream import Stream

BREATH = 15.0  # seconds of silence, at the most
CROWDED = 5  # seconds after which another may find room


class Streams:
    def __init__(self, crowd: Crowd, hearing: Hearing, statistics: Statistics, clock: Clock) -> None:
        self.open: dict[Stream, Listener] = {}
        self._crowd = crowd
        self._hearing = hearing
        self._statistics = statistics
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter, not a secret

    async def serve(
        self, stream: Stream, listener: Listener, resume: tuple[str, int] | None, receive: Receive, send: Send
    ) -> None:
        """Until the reader goes or is sent away. Before anything is sent, raises Unauthenticated, Denied, Throttled and
        Unavailable."""
        try:
            self._crowd.require_room()
            await self._hearing.begin(listener)
            with self._crowd.counted(listener.caller, "stream"), self._held(stream, listener):
                await self._let_in(stream)
                await stream.begin(send, self._random)
                async with self._hearing.listening(listener, resume):
                    with self._statistics.shown_to(listener):
                        await stream.last(receive, send)
        except Turned as turned:
            raise _refusal(turned) from turned

    async def _let_in(self, stream: Stream) -> None:
        """By the door of sockets, where an end is an end; and anew, as its token may have been revoked before it was held."""
        stream.caller = await self._crowd.admit(stream)
        if stream.is_over:
            raise Unavailable("gateway", "it has sent away who was about to come in")

    def keep_alive(self) -> None:
        now, audience = self._clock.monotonic(), self._hearing.audience
        for stream, listener in list(self.open.items()):
            if now - stream.said_at >= BREATH:
                stream.breathe(*audience.place_of(listener))

    @contextmanager
    def _held(self, stream: Stream, listener: Listener) -> Iterator[None]:
        """Among all who are connected. Raises as `require_room`: others may have come meanwhile."""
        self._crowd.require_room()
        self._crowd.peers.add(stream)
        self.open[stream] = listener
        try:
            yield
        finally:
            self.open.pop(stream, None)
            self._crowd.peers.discard(stream)


def _refusal(turned: Turned) -> Refusal:
    match turned.code:
        case Code.UNAUTHENTICATED:
            return Unauthenticated(str(turned))
        case Code.DENIED:
            return Denied(str(turned))
        case _:
            return Throttled(str(turned), retry_after=CROWDED)
