"""Everybody who is connected here: how many that may be, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from uuid import UUID

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.config import Gateway as Settings
from qhronos.errors import Denied, Unauthenticated, Unavailable
from qhronos.gateway import frames
from qhronos.gateway.frames import Code, Reconnect, Trouble
from qhronos.gateway.handshake import Door, Turned
from qhronos.gateway.socket import Caller, Socket
from qhronos.gateway.stream import Stream

RECHECK = 60.0  # seconds after which a token is read again
RECHECKED = 500  # tokens at once
SLOW = 10.0  # seconds for which something may be unsent
SPREAD_MS = 5_000  # within which those who are sent away come back


class Crowd:
    def __init__(self, settings: Settings, door: Door, clock: Clock) -> None:
        self.peers: set[Socket | Stream] = set()
        self.is_ending = False
        self._settings = settings
        self._door = door
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter, not a secret
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

    # tokens

    async def admit(self, peer: Socket | Stream) -> Caller:
        """Whose token it has. Raises Turned, and Unavailable when nobody knows."""
        peer.checked_at = self._clock.monotonic()
        try:
            return await self._door.admit(peer.token)
        except Unauthenticated as error:
            raise Turned(Code.UNAUTHENTICATED, str(error)) from error
        except Denied as error:
            raise Turned(Code.DENIED, str(error)) from error

    async def recheck(self) -> None:
        """Whether those who are here would still be let in."""
        now = self._clock.monotonic()
        due = [peer for peer in self.peers if peer.caller and now - peer.checked_at >= RECHECK]
        for peer in due[:RECHECKED]:
            try:
                peer.caller = await self.admit(peer)
            except Turned as turned:
                _turn_out(peer, turned.code, str(turned))

    def end_token(self, token_id: UUID) -> None:
        """It is revoked."""
        for peer in list(self.peers):
            if peer.caller and peer.caller.token_id == token_id:
                _turn_out(peer, Code.UNAUTHENTICATED, frames.REVOKED)

    def end_expired(self) -> float:
        """Close those whose tokens have expired; in how many seconds the next one does."""
        now, rest = self._clock.now(), float("inf")
        for peer in list(self.peers):
            if peer.caller is None or peer.caller.expires_at is None:
                continue
            left = (peer.caller.expires_at - now).total_seconds()
            if left > 0:
                rest = min(rest, left)
            else:
                _turn_out(peer, Code.UNAUTHENTICATED, frames.EXPIRED)
        return rest

    # the slow, and the end

    def cut_slow(self) -> None:
        now = self._clock.monotonic()
        for peer in list(self.peers):
            if not peer.unsent:
                peer.full_since = None
            elif peer.full_since is None:
                peer.full_since = now
            elif now - peer.full_since > SLOW:
                peer.close(Code.TOO_SLOW, "too slow")

    def send_away(self) -> None:
        """Everybody, so that they do not come back all at once."""
        self.is_ending = True
        for peer in list(self.peers):
            peer.say(Reconnect(after_ms=self._random.randrange(SPREAD_MS)))
            peer.close(Code.ENDING, "this gateway ends")


def _turn_out(peer: Socket | Stream, code: Code, message: str) -> None:
    peer.say(Trouble(message=message))
    peer.close(code, message)
