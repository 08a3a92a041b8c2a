"""Several processes that do the same, started and ended as one.

They are forked before anything is opened. One that dies is replaced, unless it had not yet said that it was ready: another
would not get further. None outlives the parent: each is told of a pipe that ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from qhronos.log import get_logger

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)

log = get_logger()


class Place(NamedTuple):
    """What a copy knows of its being one."""

    number: int  # from 0; whoever replaces one has the same
    lifeline: int  # a file that can be read once the parent is gone
    says: int  # a file to write to

    def ready(self) -> None:
        os.write(self.says, b"!")


class Copy(NamedTuple):
    number: int
    hears: int

    @property
    def was_ready(self) -> bool:
        """Asked once, of one that has ended."""
        said = os.read(self.hears, 1)
        os.close(self.hears)
        return bool(said)


class Copies:
    """The parent's side. A copy leaves `run` when its work is done, or with what its work raises."""

    def __init__(self, work: Callable[[Place], None]) -> None:
        self._work = work
        self._running: dict[int, Copy] = {}
        self._code = 0
        self._ending = False

    def run(self, count: int) -> None:
        """Until a signal, or until one cannot start; then the exit code is that one's. Returns when all have ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        lifeline, held = os.pipe()
        for number in range(count):
            self._start(number, lifeline, held)
        while self._running:
            if signal.sigwait(HEEDED) is signal.SIGCHLD:
                for number in self._lost():
                    self._start(number, lifeline, held)
            else:
                self._end()
        sys.exit(self._code)

    def _start(self, number: int, lifeline: int, held: int) -> None:
        hears, says = os.pipe()
        pid = os.fork()
        if pid:
            os.close(says)
            self._running[pid] = Copy(number, hears)
            return
        os.close(held)
        os.close(hears)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        self._work(Place(number, lifeline, says))
        sys.exit(0)

    def _lost(self) -> list[int]:
        """The numbers of those that are to be replaced."""
        lost = []
        for pid, code in _ended(list(self._running)):
            copy = self._running.pop(pid)
            is_ready = copy.was_ready
            if self._ending:
                continue
            log.error("copy.died", number=copy.number, code=code, was_ready=is_ready)
            if is_ready:
                lost.append(copy.number)
            else:
                self._code = code if code > 0 else 1
                self._end()
        return lost if not self._ending else []

    def _end(self) -> None:
        self._ending = True
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)


def _ended(pids: list[int]) -> list[tuple[int, int]]:
    """Which of them have ended, and with which exit codes; below zero the signal that killed it."""
    waited = [os.waitpid(pid, os.WNOHANG) for pid in pids]
    return [(pid, os.waitstatus_to_exitcode(status)) for pid, status in waited if pid]
