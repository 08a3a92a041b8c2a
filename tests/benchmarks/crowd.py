"""A crowd of sockets in a process of its own, as cheap as Python can be: `python -m tests.benchmarks.crowd`.

It says in a line of JSON how long connecting took, and after each line of its standard input what was heard since the one
before. Every socket has a token of its own. PORT, COUNT, FIRST, KIND and SECRET are in its environment; with LATE listeners
note how late each message was, as clients do.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import uvloop

from qhronos.api.auth import Access, Grant, Keyring
from qhronos.config import Auth
from tests.wires import PING, PONG, TEXT, Frame, Unframer, frame, text, upgrade

AT_ONCE = 100  # handshakes; a gateway takes 200
TAG = "crowd"
LIFETIME = timedelta(hours=1)
DUE = re.compile(rb'"due_ms": ?([0-9.]+)')


class Heard(msgspec.Struct):
    """What came since it was asked the last time. Instants are seconds of the machine's clock."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    late: list[float] = []  # milliseconds after being due
    lost: int = 0  # sockets that were closed

    def note(self, count: int, now: float) -> None:
        if not self.count:
            self.first = now
        self.count += count
        self.last = now


class Crowd:
    def __init__(self, port: int, kind: str, secret: str, *, notes_late: bool = False) -> None:
        self.heard = Heard()
        self.notes_late = notes_late or kind == "client-hook"
        self.acknowledges = kind == "client-hook"
        self._port = port
        self._kind = kind
        self._keyring = Keyring.from_config(Auth(master_token=secret, jwt_secret=secret))
        self._free = asyncio.Semaphore(AT_ONCE)

    async def gather(self, first: int, count: int) -> float:
        """Connect all; the seconds that it took."""
        hellos = [self._hello(first + number) for number in range(count)]
        began = time.monotonic()
        await asyncio.gather(*map(self._join, hellos))
        return time.monotonic() - began

    async def _join(self, hello: bytes) -> None:
        async with self._free:
            loop = asyncio.get_running_loop()
            _, one = await loop.create_connection(lambda: One(self, hello), "127.0.0.1", self._port)
            await one.joined

    def _hello(self, number: int) -> bytes:
        now = datetime.now(UTC)
        subject, name = f"subject-{number}", f"client-{number}"
        scope = (TAG,) if self._kind == "tag-listener" else (f"client:{name}",)
        token = self._keyring.mint(Grant(uuid.uuid4(), subject, Access.READ, scope, now, now + LIFETIME))
        if self._kind == "tag-listener":
            return text(type=self._kind, tags=[TAG], token=token)
        return text(type=self._kind, client_name=name, token=token)


class One(asyncio.Protocol):
    """A socket of it."""

    def __init__(self, crowd: Crowd, hello: bytes) -> None:
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._hello = hello
        self._unframer: Unframer | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(upgrade())

    def data_received(self, data: bytes) -> None:
        if self._unframer is None:
            data = self._upgraded(data)
        events = 0
        for one in self._unframer.feed(data) if self._unframer else ():
            events += self._heed(one)
        if events:
            self._crowd.heard.note(events, time.time())

    def connection_lost(self, _: Exception | None) -> None:
        self._crowd.heard.lost += 1
        if not self.joined.done():
            self.joined.set_exception(ConnectionResetError(self._head[:200]))

    def _upgraded(self, data: bytes) -> bytes:
        """What came after the answer to the upgrade."""
        self._head += data
        answer, end, rest = self._head.partition(b"\r\n\r\n")
        if end and answer.startswith(b"HTTP/1.1 101 "):
            self._unframer = Unframer()
            self._transport.write(self._hello)
        return rest

    def _heed(self, one: Frame) -> bool:
        """Whether it is an event."""
        if one.opcode == PING:
            self._transport.write(frame(PONG, one.payload))
        if one.opcode != TEXT:
            return False
        if not self.joined.done():
            assert b"subscription registered" in one.payload, one
            self.joined.set_result(None)
            return False
        if not one.payload.startswith(b'{"type":"event"'):
            return False
        if self._crowd.notes_late and (due := DUE.search(one.payload)):
            self._crowd.heard.late.append(time.time() * 1e3 - float(due[1]))
        if self._crowd.acknowledges:
            self._transport.write(text(type="ack", seq=msgspec.json.decode(one.payload)["seq"]))
        return True


async def main() -> None:
    env = os.environ
    crowd = Crowd(int(env["PORT"]), env["KIND"], env["SECRET"], notes_late="LATE" in env)
    took = await crowd.gather(int(env["FIRST"]), int(env["COUNT"]))
    print(msgspec.json.encode(took).decode(), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        heard, crowd.heard = crowd.heard, Heard()
        print(msgspec.json.encode(heard).decode(), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
