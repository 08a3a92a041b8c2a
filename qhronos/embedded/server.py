"""What our two servers have in common: a child process that is started, watched and ended."""

from __future__ import annotations

import subprocess
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from signal import Signals
from typing import ClassVar

from qhronos.embedded.home import Home
from qhronos.embedded.processes import Account, Argv, spawn, wait_until
from qhronos.errors import ConfigError

# Crash recovery replays what was written since the last checkpoint; on a slow disk that takes a while.
READY_WITHIN = 120.0
ENDED_WITHIN = 15.0
BIGGEST_LOG = 4 << 20


class Server(ABC):
    """A direct child, never a daemon: we learn of its end at once and reap it, so it cannot linger as a zombie."""

    name: ClassVar[str]
    goodbyes: ClassVar[tuple[Signals, ...]]  # each less kind than the one before

    def __init__(self, home: Home, stopping: threading.Event, *, durable: bool) -> None:
        self.home = home
        self.log = home.path / f"{self.name}.log"
        self.durable = durable
        self._stopping = stopping
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it serves; first end what an earlier life left running."""

    @abstractmethod
    def is_ready(self) -> bool: ...

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.send_signal(self.goodbyes[0])

    def end(self) -> None:
        """Wait for the end that was asked for, and insist."""
        if self._process is None:
            return
        for goodbye in (*self.goodbyes[1:], Signals.SIGKILL):
            try:
                self._process.wait(ENDED_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.send_signal(goodbye)
        self._process.wait()

    def launch(self, account: Account, argv: Argv) -> str | None:
        """Spawn it and wait until it serves. If it would not, what it said last."""
        already_said = turn_over(self.log)
        self._process = spawn(account, argv, self.log)
        wait_until(lambda: not self.is_alive or self.is_ready(), READY_WITHIN, self._stopping)
        if self.is_alive and self.is_ready():
            return None
        self.ask_to_end()
        self.end()
        return self.log.read_bytes()[already_said:].decode(errors="replace")

    def refusal(self, said: str) -> ConfigError:
        """One sentence out of what it said: the line that complains, else the last."""
        lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
        complaint = next((line for line in lines if "FATAL" in line or "PANIC" in line), lines[-1])
        return ConfigError(f"{self.name} does not start: {complaint.strip()}; see {self.log}")


def turn_over(log: Path) -> int:
    """A log that has grown big becomes the previous one. Returns the size of the present one."""
    size = log.stat().st_size if log.exists() else 0
    if size <= BIGGEST_LOG:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0
