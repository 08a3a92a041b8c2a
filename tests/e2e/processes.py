"""Real processes of the product, started and ended by the tests."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from qhronos.clock import SystemClock
from qhronos.http import Client, Egress, Limits, Request

QHRONOS = (sys.executable, "-m", "qhronos")
STARTUP_SECONDS = 60.0


class Process:
    """A command of ours with its output at hand."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.lines: list[str] = []
        self._more = asyncio.Condition()
        self._open = 2  # streams that may still say something
        self._reading = [asyncio.create_task(self._read(s)) for s in (process.stdout, process.stderr)]

    async def says(self, text: str, within: float = STARTUP_SECONDS) -> str:
        """The first line with `text` in it."""
        async with asyncio.timeout(within), self._more:
            await self._more.wait_for(lambda: self._find(text) or not self._open)
        found = self._find(text)
        assert found, f"never said {text!r}:\n" + "\n".join(self.lines)
        return found

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = await self._process.wait()
        await asyncio.gather(*self._reading)
        return code

    async def end(self, number: signal.Signals = signal.SIGTERM, within: float = 30.0) -> int:
        """Ask it to end; its exit code."""
        if self._process.returncode is None:
            self.kill(number)
        async with asyncio.timeout(within):
            return await self.ended()

    def _find(self, text: str) -> str | None:
        return next((line for line in self.lines if text in line), None)

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        async for line in stream:
            async with self._more:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._more.notify_all()
        async with self._more:
            self._open -= 1
            self._more.notify_all()


@asynccontextmanager
async def started(*command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """The command, killed at the end if it still runs then."""
    process = Process(
        await asyncio.create_subprocess_exec(
            *command,
            env={**clean_environment(), **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)


class Up:
    """A running `qhronos up` and a way to talk to it."""

    def __init__(self, process: Process, port: int, home: Path) -> None:
        self.process = process
        self.home = home
        self.url = f"http://127.0.0.1:{port}"
        self.token = (home / "token").read_text().strip()
        limits = Limits(least_per_origin=128, patience_seconds=30)  # callers wait their turn
        self._client = Client(Egress(("127.0.0.0/8",)), SystemClock(), limits=limits)

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = (("Authorization", f"Bearer {self.token}"), ("Content-Type", "application/json"))
        encoded = b"" if body is None else msgspec.json.encode(body)
        response = await self._client.send(
            Request(method=method, url=self.url + path, headers=headers, body=encoded, timeout=30.0)
        )
        return response.status, msgspec.json.decode(response.body) if response.body else None

    async def environment(self) -> dict[str, str]:
        """What `qhronos env` exports, as a shell understands it."""
        async with started(*QHRONOS, "env", "--data-dir", str(self.home)) as process:
            assert 0 == await process.ended()
        words = [shlex.split(line.removeprefix("export ")) for line in process.lines if line.startswith("export ")]
        return dict(word.split("=", 1) for (word,) in words)

    async def violations(self, events: int = 1000) -> list[str]:
        """What `qhronos fsck` finds, also in the ledgers of so many events."""
        joining = await self.environment()
        async with started(*QHRONOS, "fsck", "--events", str(events), env=joining) as process:
            code = await process.ended()
        assert code in (0, 1), process.lines
        return process.lines if code else []

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def up(
    home: Path, *options: str, port: int | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Up]:
    port = port or free_port()
    command = (*QHRONOS, "up", "--data-dir", str(home), "--port", str(port), *options)
    async with started(*command, env=env) as process:
        await process.says("is up")
        running = Up(process, port, home)
        try:
            yield running
        finally:
            await running.close()
            await process.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def clean_environment() -> dict[str, str]:
    """Ours, without what would configure the product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QHRONOS_")}
    return {name: value for name, value in kept.items() if name not in ("DATABASE_URL", "REDIS_URL", "PORT")}
