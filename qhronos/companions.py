"""Service: keeps further dispatchers running beside the one of `qhronos up`, each a process of its own.

One that dies is started again. None outlives this process, however that ends: the standard input of each is a pipe whose
other end only this process holds. They are in sessions of their own, so that Ctrl-C in a terminal is for this process,
which tells them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from qhronos.clock import Clock
from qhronos.config import Config, environment, is_setting
from qhronos.log import get_logger

REST = 1.0
LONGEST_REST = 30.0  # where one dies again and again
STEADY = 30.0  # seconds; who dies later than that after its start did not die of starting
DRAIN_SECONDS = 27.0  # a dispatcher takes 25 at most
PAUSE = 0.05  # between two looks at those that are ending
MOST = 8  # unless more are asked for: each has connections to Postgres

log = get_logger()


class Companion(NamedTuple):
    process: subprocess.Popen[bytes]
    started_at: float


def dispatchers_for(cores: int) -> int:
    """How many dispatchers a machine is good for that also bears the stores and the API."""
    return min(MOST, max(1, cores // 2))


def cores() -> int:
    """Those that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Companions:
    name = "companions"

    def __init__(self, config: Config, count: int, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self._config = config
        self._count = count
        self._clock = clock
        self._running: dict[int, Companion] = {}
        self._rest = REST
        self._is_hurried = False
        self._lifeline, self._held = os.pipe()

    async def tick(self) -> float:
        """Start whoever is missing. For one that has just died that is the next tick."""
        if lost := self._lost():
            self._rest = REST if all(self._was_steady(one) for one in lost) else min(2 * self._rest, LONGEST_REST)
            return self._rest
        for number in range(1, self._count + 1):
            if number not in self._running:
                process = await asyncio.to_thread(self._start, number)
                self._running[number] = Companion(process, self._clock.monotonic())
        return REST

    async def drain(self) -> None:
        """Tell all to end in good order and wait for it. What takes too long is killed by `close`."""
        self._tell(signal.SIGTERM)
        deadline, never = self._clock.monotonic() + DRAIN_SECONDS, asyncio.Event()
        while self._alive() and self._clock.monotonic() < deadline:
            await self._clock.wait(never, PAUSE)
            if self._is_hurried:
                self._tell(signal.SIGTERM)

    def hurry(self) -> None:
        """Let them wait for nothing that is under way. A signal can be lost in another of its kind: `drain` repeats it."""
        self._is_hurried = True

    def close(self) -> None:
        """End at once whoever is left, for the stores go next."""
        self._tell(signal.SIGKILL)
        for companion in self._running.values():
            companion.process.wait()
        os.close(self._lifeline)
        os.close(self._held)

    def _lost(self) -> list[Companion]:
        ended = {number: one for number, one in self._running.items() if one.process.poll() is not None}
        for number, companion in ended.items():
            log.error("companion.died", number=number, pid=companion.process.pid, code=companion.process.returncode)
            del self._running[number]
        return list(ended.values())

    def _was_steady(self, companion: Companion) -> bool:
        return self._clock.monotonic() - companion.started_at >= STEADY

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [one.process for one in self._running.values() if one.process.poll() is None]

    def _tell(self, number: signal.Signals) -> None:
        for process in self._alive():
            process.send_signal(number)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "qhronos", "dispatcher", "--lifeline"],
            stdin=self._lifeline,
            env=companion_environment(self._config, number, os.environ),
            start_new_session=True,
        )


def companion_environment(config: Config, number: int, environ: Mapping[str, str]) -> dict[str, str]:
    """The same settings, wherever they came from, but for a port and a file for its log, which are to each its own."""
    health, logging = config.health, config.logging
    if health.port:
        health = replace(health, port=health.port + number - 1)
    if logging.file_path:
        path = Path(logging.file_path)
        logging = replace(logging, file_path=str(path.with_stem(f"{path.stem}-dispatcher-{number}")))
    kept = {name: value for name, value in environ.items() if not is_setting(name)}
    return kept | environment(replace(config, health=health, logging=logging))
