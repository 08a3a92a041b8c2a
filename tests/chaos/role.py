"""A process of ours, as the scenarios handle it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from qhronos.clock import SystemClock

STARTED_WITHIN = 60.0


class Role:
    """One of our processes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.log = log
        self.is_ready = False
        self._process = process

    @property
    def worker(self) -> str:
        """As it calls itself in Postgres."""
        return f"{os.uname().nodename}:{self.pid}"

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    @property
    def memory(self) -> int:
        """Resident bytes."""
        (line,) = (one for one in Path(f"/proc/{self.pid}/status").read_text().splitlines() if "VmRSS" in one)
        return int(line.split()[1]) * 1024

    def signal(self, number: signal.Signals) -> None:
        if self.lives:
            self._process.send_signal(number)

    async def ended(self, within: float = 60.0) -> int:
        async with asyncio.timeout(within):
            return await self._process.wait()

    def said(self, text: str) -> int:
        """How many lines of its log have `text` in them."""
        return sum(text in line for line in self.log.read_text(errors="replace").splitlines())

    async def says(self, text: str, clock: SystemClock) -> bool:
        """Wait for it; false: it ended before."""
        never = asyncio.Event()
        async with asyncio.timeout(STARTED_WITHIN):
            while not self.said(text):
                if not self.lives:
                    return False
                await clock.wait(never, 0.05)
        return True
