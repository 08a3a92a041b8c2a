"""The receiver: an endpoint in a process of its own, whose log is the oracle.

    python -m tests.chaos.receiver LOG

It prints its port, and appends a line to LOG for every request, before it answers: instant of arrival, webhook-id, event,
scheduled instant, attempt, status of the answer, address, path. What it answers is in the path:

    /ok/MS        200 after up to MS milliseconds
    /flaky/MS     the same, but one in 30 occurrences is answered 503 the first time
    /later/NAME   404 until a POST to /open/NAME
    /pill/MS      200 after MS milliseconds
    /poison/N/M   one of the ways in which an endpoint is bad, at one of several such endpoints
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import zlib
from pathlib import Path
from typing import TextIO

import uvloop

from qhronos.clock import SystemClock
from tests.chaos.poisons import WAYS

READY = b"HTTP/1.1 %d Answer\r\ncontent-length: 0\r\n\r\n"
FLAKY = 30


class Receiver:
    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._clock = SystemClock()
        self._never = asyncio.Event()
        self._open: set[str] = set()
        self._refused: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                arrived_at = time.time()  # noqa: TID251 - the oracle has a clock of its own
                lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                _, kind, argument = lines[0].split(" ")[1].split("/", 2)
                await self._answer(writer, kind, argument, headers.get("webhook-id", ""), body, arrived_at)
        writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, kind: str, argument: str, webhook_id: str, body: bytes, arrived_at: float
    ) -> None:
        if kind == "open":
            self._open.add(argument)
            writer.write(READY % 200)
            return
        status = self._status(kind, argument, webhook_id)
        self._note(writer, f"{kind}/{argument}", webhook_id, body, status, arrived_at)
        if kind == "poison":
            await WAYS[int(argument.partition("/")[0])](writer)
            return
        if kind in ("ok", "flaky"):
            await self._pause(
                int(argument.split("/", maxsplit=1)[0]) / 1000 * (zlib.crc32(webhook_id.encode()) % 97) / 97
            )
        if kind == "pill":
            await self._pause(int(argument) / 1000)
        writer.write(READY % status)

    def _status(self, kind: str, argument: str, webhook_id: str) -> int:
        if kind == "later":
            return 200 if argument in self._open else 404
        unlucky = zlib.crc32(webhook_id.encode()) % FLAKY == 0 and webhook_id not in self._refused
        if kind == "flaky" and unlucky:
            self._refused.add(webhook_id)
            return 503
        return 0 if kind == "poison" else 200

    def _note(
        self, writer: asyncio.StreamWriter, path: str, webhook_id: str, body: bytes, status: int, arrived_at: float
    ) -> None:
        said = json.loads(body)
        address = writer.get_extra_info("sockname")[0]
        fields = (
            arrived_at,
            webhook_id,
            said["event_id"],
            said["scheduled_at"],
            said["attempt"],
            status,
            address,
            path,
        )
        self._log.write("\t".join(map(str, fields)) + "\n")
        self._log.flush()

    async def _pause(self, seconds: float) -> None:
        await self._clock.wait(self._never, seconds)


async def main(log: TextIO) -> None:
    server = await asyncio.start_server(Receiver(log).serve, "0.0.0.0", 0, backlog=4096)  # noqa: S104 - all of 127/8
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started us reads it
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as log, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(log))
