"""Stand-ins for what we do not own or cannot steer: time, and the receivers out in the world."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, unquote_plus

from qhronos.clock import SystemClock
from qhronos.errors import Unavailable
from qhronos.store import Connection, Database


class FakeClock:
    """Moves when it is told to, and when somebody waits."""

    def __init__(self, instant: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.skew = 0.0
        self._start = instant
        self._passed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if not event.is_set():
            self.advance(max(seconds, 0))
        await asyncio.sleep(0)  # noqa: TID251 - the others have their turn, which is not sleep
        return event.is_set()


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    arrived_at: datetime  # of its first line


class Answer(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    delay: float = 0.0  # seconds between the request and the answer


class Receiver:
    """An HTTP/1.1 endpoint on loopback. It records what comes and answers what `answer` says."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        self.url = ""
        self._clock = SystemClock()
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._sessions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._closing.set()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    async def wait_for(self, count: int, within: float = 15.0) -> list[Request]:
        """The requests, once there are `count` of them."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        self._sessions.add(session)
        self.connections += 1
        try:
            while request := await self._read(reader):
                await self._record(request)
                await self._write(writer, self.answer(request))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # a caller that went away, or we did
        finally:
            self._sessions.discard(session)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        first = await reader.readline()
        arrived_at = self._clock.now()
        if not first:
            return None
        method, path, _ = first.decode("latin-1").split(" ", 2)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, body, arrived_at)

    async def _record(self, request: Request) -> None:
        async with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        if answer.delay:
            await SystemClock().wait(self._closing, answer.delay)
        headers = {"content-length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Answer", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + answer.body)
        await writer.drain()


class CutDatabase:
    """A Postgres that is `away` when a test says so, or does what it is asked and is not `heard`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.heard = True
        self.unheard_once = False  # the next is not heard, those after it are
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None  # between what is done and its answer

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.asked += 1
        if self.away:
            raise Unavailable("postgres", "away")
        async with self._database.connection() as conn:
            yield conn
        self.meanwhile()
        if not self.heard or self.unheard_once:
            self.unheard_once = False
            raise Unavailable("postgres", "the reply was lost")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as conn, conn.transaction():
            yield conn


class Issuer(Receiver):
    """A token endpoint. What it issues for `ID` and `SECRET` is taken until it is revoked."""

    ID, SECRET = "client:1", "cl1ent s&cret/+%"

    def __init__(self) -> None:
        super().__init__()
        self.answer = self.issue
        self.issued: list[str] = []
        self.taken: set[str] = set()
        self.life: float | None = 3600

    def issue(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        login = request.headers.get("authorization", "").removeprefix("Basic ")
        pair = [unquote_plus(part) for part in b64decode(login).decode().split(":")] if login else []
        if (pair or [form.get("client_id"), form.get("client_secret")]) != [self.ID, self.SECRET]:
            return Answer(401, {}, b'{"error": "invalid_client", "error_description": "no such client"}')
        self.issued.append(f"t0ken-{len(self.issued)}-{form.get('scope', '').replace(' ', '+')}")
        self.taken.add(self.issued[-1])
        told = {"access_token": self.issued[-1], "token_type": "Bearer", "expires_in": self.life}
        return Answer(200, {"content-type": "application/json"}, dumps(told).encode())

    def guard(self, request: Request) -> Answer:
        """What an endpoint answers that believes in these tokens."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return Answer(200 if token in self.taken else 401, {}, f"you sent {token}".encode())
