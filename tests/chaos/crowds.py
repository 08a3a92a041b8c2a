"""Sockets of a process of its own, so that many of them are cheap and note when they hear; and windows, with a fault or without."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tests.benchmarks.crowd import TAG, Heard
from tests.chaos import load
from tests.chaos.fleet import SETTINGS, Fleet
from tests.e2e.processes import clean_environment

LEAD = 3.0  # seconds between creating a window's events and the first
AFTER = 2.0  # seconds for the last of them


class Crowd:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> bytes:
        assert self._process.stdout is not None
        read = await self._process.stdout.readline()
        assert read, "the sockets are gone"
        return read

    async def heard(self) -> Heard:
        """Since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await self.line(), type=Heard)


@asynccontextmanager
async def connected(port: int, kind: str, count: int) -> AsyncIterator[Crowd]:
    secret = SETTINGS["QHRONOS_AUTH__JWT_SECRET"]
    given = {"PORT": str(port), "KIND": kind, "COUNT": str(count), "FIRST": "0", "SECRET": secret, "LATE": "1"}
    command = (sys.executable, "-m", "tests.benchmarks.crowd")
    process = await asyncio.create_subprocess_exec(
        *command, env=clean_environment() | given, stdin=PIPE, stdout=PIPE, limit=1 << 26
    )
    try:
        crowd = Crowd(process)
        await crowd.line()
        yield crowd
    finally:
        process.kill()
        await process.wait()


async def spread(fleet: Fleet, count: int, seconds: float, **more: Any) -> datetime:
    """So many events, each at its instant; the first of them."""
    first = (fleet.clock.now() + timedelta(seconds=LEAD + count / 1_000)).replace(microsecond=0)
    ats = [first + timedelta(milliseconds=round(number * seconds * 1e3 / count)) for number in range(count)]
    await load.create(fleet, [_event(number, at, more) for number, at in enumerate(ats)])
    assert fleet.clock.now() < first, "creating them took too long"
    return first


def _event(number: int, at: datetime, more: dict[str, Any]) -> dict[str, Any]:
    said = {key: value(number) if callable(value) else value for key, value in more.items()}
    metadata = {"due_ms": at.timestamp() * 1e3, **said.pop("metadata", {})}
    return {"name": "chaos", "start_time": at.isoformat(), "tags": [TAG], "metadata": metadata, **said}
