"""The service: who is let in, who is rung, who is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from qhronos.background import Background, end, in_turn
from qhronos.broadcast import Lost, Notice, Ring, Taken, TokenRevoked, Told
from qhronos.clock import Clock
from qhronos.config import Gateway as Settings
from qhronos.engine.change import Changes
from qhronos.engine.deliver import Defaults
from qhronos.engine.forward import Signer
from qhronos.engine.gone import Gone
from qhronos.engine.outbox import Words
from qhronos.engine.parking import Parking
from qhronos.engine.settle import Settler
from qhronos.engine.stats import count
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.gateway import frames
from qhronos.gateway.client import Client
from qhronos.gateway.crowd import Crowd
from qhronos.gateway.frames import Code, Hello, Registered, Trouble, Word
from qhronos.gateway.handshake import Door, Turned, check_scope, is_from_here, read_hello
from qhronos.gateway.hearing import Hearing
from qhronos.gateway.listener import Listener, Wanted
from qhronos.gateway.names import Names
from qhronos.gateway.socket import Caller, Receive, Scope, Send, Socket
from qhronos.gateway.statistics import Statistics
from qhronos.gateway.stream import Stream
from qhronos.gateway.streams import Streams
from qhronos.log import get_logger
from qhronos.store import outbox
from qhronos.store.outbox import Connected

PATH = "/ws"
HANDSHAKE = 5.0  # seconds
MOST_STRANGERS = 200  # sockets without a handshake
REST = 1.0  # so often it is looked whether a doorbell was lost
STAY = 3600.0  # seconds after which it is noted again who is connected
DRAIN_SECONDS = 5.0

log = get_logger()


class Gateway:
    """A service, and the ASGI application behind `/ws`."""

    name = "gateway"

    def __init__(
        self, stores: Stores, defaults: Defaults, door: Door, clock: Clock, settings: Settings, changes: Changes
    ) -> None:
        self.wake = asyncio.Event()
        self._stores = stores
        self._settler = Settler(stores, clock, Parking(lambda: None), Gone(changes))
        self._words = Words(self._settler, defaults.retry, clock)
        self._signer = Signer(stores.database, defaults, clock)
        self._clock = clock
        self._settings = settings
        self._crowd = Crowd(settings, door, clock)
        self._sockets = self._crowd.peers
        self._strangers = 0
        self._names = Names()
        self._stayed_at = float("-inf")
        self._hearing = Hearing(stores.broadcast, clock)
        grace = changes.scheduler.grace_period
        self._statistics = Statistics(lambda scope: count(stores.database, scope, clock.now(), grace), clock)
        self._streams = Streams(self._crowd, self._hearing, self._statistics, clock)
        self._background = Background(self.name, self._settler.run, self._statistics.run, self._follow)

    # sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if (
            self._crowd.is_ending
            or not is_from_here(scope, self._settings.origins)
            or self._strangers >= MOST_STRANGERS
        ):
            await send({"type": "websocket.close"})
            return
        self._background.start()
        await send({"type": "websocket.accept"})
        socket = Socket(scope, receive, self._clock)
        self._sockets.add(socket)
        try:
            await self._serve(socket)
        except Turned as turned:
            socket.say(Trouble(message=str(turned), detail=turned.detail))
            socket.close(turned.code, str(turned))
        except Unavailable as error:
            log.warning("socket.unserved", error=str(error))
            socket.say(Trouble(message=frames.UNAVAILABLE))
            socket.close(Code.UNAVAILABLE, "a store is away")
        finally:
            self._sockets.discard(socket)

    async def _serve(self, socket: Socket) -> None:
        hello = await self._greet(socket)
        if hello is None:
            return
        caller = socket.caller
        assert caller is not None  # noqa: S101 - it was let in
        with self._crowd.counted(caller, hello.type):
            await (self._serve_client if hello.type == "client-hook" else self._serve_listener)(socket, hello)

    async def _greet(self, socket: Socket) -> Hello | None:
        """The handshake. None: it went away before. Raises Turned."""
        if len(self._sockets) > self._settings.max_connections:
            raise Turned(Code.TOO_MANY, "too many connections")
        self._strangers += 1
        try:
            async with asyncio.timeout(HANDSHAKE):
                frame = await socket.next()
        except TimeoutError:
            raise Turned(Code.TOO_SLOW, "handshake timeout") from None
        finally:
            self._strangers -= 1
        if frame is None:
            return None
        hello = read_hello(frame)
        socket.token, socket.kind = hello.token or "", hello.type
        socket.caller = await self._crowd.admit(socket)
        check_scope(hello, socket.caller)
        return hello

    async def _serve_client(self, socket: Socket, hello: Hello) -> None:
        name, signer = hello.client_name or "", self._signer if hello.forward else None
        if signer and not signer.can_sign:
            raise Turned(Code.UNREADABLE, frames.CANNOT_SIGN)
        async with self._stores.database.connection() as conn:
            connected = await outbox.connect(conn, name, self._clock.now())
        store, window = self._stores.database, hello.window
        client = Client(socket, name, connected, store, self._words, self._clock, window, signer)
        if not self._names.add(client):
            return
        try:
            await self._serve_named(client, connected, hello)
        finally:
            self._names.remove(client)
            await self._quietly_tell(self._leave(client))

    async def _serve_named(self, client: Client, connected: Connected, hello: Hello) -> None:
        taken = self._stores.broadcast.taken(client.name, connected.generation, shared=connected.shared)
        await self._quietly_tell(taken)
        epoch = str(connected.epoch)
        has_gap = hello.resume is not None and hello.resume.epoch != epoch
        if hello.resume and not has_gap:
            await client.resume(hello.resume.seq)
        client.socket.say(Registered(message=frames.REGISTERED, epoch=epoch, seq=connected.last_seq, gap=has_gap))
        pump = asyncio.create_task(client.pump())
        pump.add_done_callback(lambda _: client.socket.close(Code.UNAVAILABLE, "nothing can be sent"))
        try:
            await self._heed_words(client.socket, client)
        finally:
            await end(pump)

    async def _leave(self, client: Client) -> None:
        """What it was lent is for the others; should that not come about, they have it when the loan ends."""
        if await client.leave():
            await self._stores.broadcast.ring([client.name])

    async def _serve_listener(self, socket: Socket, hello: Hello) -> None:
        assert socket.caller is not None  # noqa: S101 - it was let in
        listener = Listener(socket, socket.caller, hello)
        await self._hearing.begin(listener)
        resume = (hello.resume.epoch, hello.resume.offset) if hello.resume else None
        async with self._hearing.listening(listener, resume):
            with self._statistics.shown_to(listener):
                await self._heed_words(socket, None)

    # streams

    async def stream(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        caller: Caller,
        token: str,
        wanted: Wanted,
        resume: tuple[str, int] | None,
    ) -> None:
        """Answer a request with what happens, until the reader goes or is sent away; or raise what `Streams.serve` does."""
        self._background.start()
        stream = Stream(scope["state"]["outlet"], caller, token, self._clock)
        await self._streams.serve(stream, Listener(stream, caller, wanted), resume, receive, send)

    async def _heed_words(self, socket: Socket, client: Client | None) -> None:
        while (frame := await socket.next()) is not None:
            if not await self._heed_word(socket, client, frame) and not socket.is_within_rate():
                socket.close(Code.TOO_MANY, "too many frames")
                return

    async def _heed_word(self, socket: Socket, client: Client | None, frame: bytes) -> bool:
        """Whether it was a word on a message; all else is counted against the rate."""
        try:
            word = frames.read_word(frame)
        except (msgspec.DecodeError, UnicodeError):
            socket.say(Trouble(message=frames.INVALID_MESSAGE))
            return False
        if word.type == "ping":
            socket.say(frames.Pong())
            return False
        if word.type == "pong":
            return False
        if client is None:
            not_here = frames.NOT_FOR_LISTENERS.format(socket.kind)
            socket.say(Trouble(message=not_here if word.type in {"ack", "nack"} else frames.UNEXPECTED))
            return False
        return await self._heed_client(client, word)

    async def _heed_client(self, client: Client, word: Word) -> bool:
        try:
            return await client.heed(word)
        except Unavailable as error:
            log.warning("socket.unserved", error=str(error))
            client.socket.say(Trouble(message=frames.UNAVAILABLE))
            return False

    # what others say

    async def _follow(self) -> None:
        try:
            await self._stores.broadcast.follow_as_gateway(self._clock, self._hearing.subscribed, self._heed_safely)
        finally:
            self._hearing.lost()

    def _heed_safely(self, notice: Notice) -> None:
        """One that cannot be heeded must not keep the others from being heard."""
        try:
            self._heed(notice)
        except Exception:  # a bug; logged here once
            log.exception("notice.failed", notice=type(notice).__name__)
            self._hearing.lost()

    def _heed(self, notice: Notice) -> None:
        match notice:
            case Ring(clients=names):
                self._names.ring(names)
            case Taken(client=name, generation=generation, shared=shared):
                self._names.taken(name, generation, is_shared=shared)
            case Told():
                self._hearing.hear(notice)
            case TokenRevoked(token_id=token_id):
                self._crowd.end_token(token_id)
            case Lost():
                self._hearing.lost()
                self.wake.set()
            case _:
                pass

    async def _quietly_tell(self, saying: Awaitable[None]) -> None:
        """What is not heard is seen by the next look."""
        try:
            await saying
        except Unavailable as error:
            log.warning("broadcast.lost", error=str(error))

    # what is looked after

    async def tick(self) -> float:
        self._background.keep()
        self._crowd.cut_slow()
        self._streams.keep_alive()
        rest = min(REST, self._crowd.end_expired())
        await in_turn(self._hearing.keep, self._crowd.recheck, self._look)
        return rest

    async def _look(self) -> None:
        """Whether there is something for somebody here, or somebody is served elsewhere."""
        if not self._names:
            return
        now, asked = self._clock.monotonic(), self._names.asked()
        async with self._stores.database.connection() as conn:
            looks = await outbox.look(conn, asked)
            if now - self._stayed_at > STAY:
                self._stayed_at = now
                await outbox.stay(conn, asked, self._clock.now())
        self._names.look(asked, looks)

    # the end

    async def drain(self) -> None:
        """Send everybody away, so that they do not come back all at once, and settle what they said."""
        self._crowd.send_away()
        settled = await self._clock.wait(self._settler.idle, DRAIN_SECONDS)
        await self._background.end()
        log.info("gateway.drained", settled=settled)


Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def beside(application: Any, gateway: Gateway) -> Application:
    """The gateway at `/ws`, the application for everything else."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await application(scope, receive, send)
        elif scope["path"] == PATH:
            await gateway(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    return serve
