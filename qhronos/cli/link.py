"""A connection to the gateway that comes back by itself, as long as that makes sense."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Protocol, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from qhronos import __version__
from qhronos.clock import Clock
from qhronos.errors import Conflict, Denied, Invalid, QhronosError, Unauthenticated, Unreachable

OPENING = 10.0  # seconds for connecting, and again for the answer to the handshake
PINGING = 15.0  # seconds between pings, and for their answers: so soon a machine that slept sees what it has lost
CLOSING = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_ASKED = 60.0  # seconds of pause that a gateway can ask for
# What a gateway answers that has too many handshakes or ends, and what stands before one that is not there just now.
BUSY = frozenset({403, 429, 502, 503, 504})
CALM = 10.0  # seconds after which a connection counts as one that worked

Frame: TypeAlias = dict[str, Any]
Say: TypeAlias = Callable[[Frame], Awaitable[None]]


class Hearer(Protocol):
    """Who is told what comes."""

    @property
    def name(self) -> str:
        """In a sentence, who it is to the gateway."""
        ...

    @property
    def denied(self) -> str:
        """The sentence for a token that is not enough."""
        ...

    def hello(self) -> Frame:
        """The handshake, but for the token."""
        ...

    async def registered(self, answer: Frame, say: Say) -> None: ...

    async def heed(self, frame: Frame, text: str, say: Say) -> bool:
        """`text` is the frame as it came. Whether that was enough."""
        ...


class Lost(Exception):
    """The connection is gone, and another one may be better. `pause` is in how many seconds the gateway asks for it."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class Direct(connect):
    """The token goes where the user said, and not on to where an answer says."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Session:
    """One connection. What is heard on it, and said, raises Lost or why it is of no use to come back."""

    def __init__(self, connection: ClientConnection, hearer: Hearer) -> None:
        self._connection = connection
        self._hearer = hearer
        self._trouble: Frame = {}
        self._after: float | None = None

    async def hear(self) -> tuple[Frame, str]:
        try:
            text = await self._connection.recv(decode=True)
        except ConnectionClosed as closed:
            raise self._end(closed) from closed
        frame = _read(text)
        if frame.get("type") == "error":
            self._trouble = frame
        elif frame.get("type") == "reconnect":
            self._after = frame["after_ms"] / 1000
        return frame, text

    async def say(self, frame: Frame) -> None:
        try:
            await self._connection.send(json.dumps(frame))
        except ConnectionClosed as closed:
            raise self._end(closed) from closed

    def _end(self, closed: ConnectionClosed) -> Exception:
        code = closed.rcvd.code if closed.rcvd else None
        said = ": ".join(str(self._trouble[key]) for key in ("message", "detail") if self._trouble.get(key))
        match code:
            case 4400:
                return Invalid(f"the gateway does not take this: {said}")
            case 4401:
                return Unauthenticated(f"the gateway does not take the token: {said}")
            case 4403:
                return Denied(f"{self._hearer.denied} ({said})")
            case 4409:
                return Conflict(f"another connection of {self._hearer.name} is served now, so this one has ended")
        return Lost(said or _words_for(closed), self._after)


class Link:
    def __init__(self, url: str, token: str | None, clock: Clock, note: Callable[[str], None]) -> None:
        """`note` says to the user what becomes of the connection."""
        self._url = url
        self._address = url.rstrip("/").replace("http", "ws", 1) + "/ws"
        self._token = token
        self._clock = clock
        self._note = note
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._failures = 0
        self._was_ready = False
        self._lost_at: float | None = None
        self._never = asyncio.Event()

    async def follow(self, hearer: Hearer, ready: str) -> None:
        """Until the hearer has enough. Raises a Refusal for what coming back does not mend, and Unreachable if not even the
        first connection can be made."""
        while True:
            began = self._clock.monotonic()
            try:
                await self._live(hearer, ready)
            except Lost as lost:
                if self._clock.monotonic() - began > CALM:
                    self._failures = 0
                self._tell_lost(lost)
                await self._clock.wait(self._never, self._pause(lost))
            else:
                return

    async def _live(self, hearer: Hearer, ready: str) -> None:
        async with self._connected() as connection:
            session = Session(connection, hearer)
            await hearer.registered(await self._register(session, hearer), session.say)
            self._tell_ready(ready)
            while not await hearer.heed(*await session.hear(), session.say):
                pass

    async def _register(self, session: Session, hearer: Hearer) -> Frame:
        hello = hearer.hello() | ({"token": self._token} if self._token else {})
        try:
            async with asyncio.timeout(OPENING):
                await session.say(hello)
                while True:
                    answer, _ = await session.hear()
                    if answer["type"] == "ack":
                        return answer
        except TimeoutError as error:
            raise Lost("the gateway does not answer") from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        connecting = Direct(
            self._address,
            compression=None,
            proxy=None,  # as the other commands
            max_size=None,  # it is our own server
            open_timeout=OPENING,
            ping_interval=PINGING,
            ping_timeout=PINGING,
            close_timeout=CLOSING,
            user_agent_header=f"Qhronos/{__version__}",
        )
        try:
            connection = await connecting
        except (OSError, WebSocketException, ValueError) as error:
            if isinstance(error, InvalidStatus) and error.response.status_code in BUSY:
                raise Lost(self._busy(error.response.status_code)) from error
            if self._was_ready:
                raise Lost(str(error)) from error
            raise self._unreachable(error) from error
        try:
            yield connection
        finally:
            await connection.close()

    def _busy(self, status: int) -> str:
        return f"the gateway at {self._address} is busy or about to end (HTTP {status})"

    def _unreachable(self, error: Exception) -> QhronosError:
        if isinstance(error, TimeoutError):
            return Unreachable("timeout", f"{self._url} does not answer within {OPENING:g} s")
        if isinstance(error, ssl.SSLError):
            return Unreachable("tls", f"{self._url}: {error.reason}")
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            return Unreachable(
                "connect", f"no gateway answers at {self._address} (HTTP {status}); --api says where one is"
            )
        return Unreachable("connect", f"cannot reach {self._url} ({error}); does it run?")

    def _tell_ready(self, ready: str) -> None:
        if not self._was_ready:
            self._note(f"Ready at {self._url}. {ready}")
        elif self._lost_at is not None:
            self._note(f"Back after {self._clock.monotonic() - self._lost_at:.0f} s.")
        self._was_ready, self._lost_at = True, None

    def _tell_lost(self, lost: Lost) -> None:
        if self._lost_at is not None:
            return
        self._lost_at = self._clock.monotonic()
        what = "The connection is lost" if self._was_ready else "Not ready yet"
        self._note(f"{what} ({lost}); trying again until it is there.")

    def _pause(self, lost: Lost) -> float:
        if lost.pause is not None:
            return min(LONGEST_ASKED, lost.pause)
        step = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return step * self._random.uniform(0.5, 1)


def _read(text: str) -> Frame:
    try:
        frame = json.loads(text)
        if isinstance(frame, dict) and isinstance(frame.get("type"), str):
            return frame
    except ValueError:
        pass
    raise Unreachable("protocol", "what answers there does not speak as a gateway does; --api says where one is")


def _words_for(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        return "nobody answers there any more"
    return closed.rcvd.reason or f"closed with {closed.rcvd.code}"
