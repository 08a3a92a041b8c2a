"""Several processes that do the same, started and ended as one.

They are forked before anything is opened. One that dies is replaced, after a rest that grows where that happens again and
again. All end if one dies that has never been ready in its place: another would not get further. None outlives the parent:
each is told of a pipe that ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from qhronos.clock import SystemClock
from qhronos.log import get_logger

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)  # the last: somebody is due to be replaced
REST = 1.0
LONGEST_REST = 30.0
STEADY = 30.0  # seconds; who was ready and dies later than that after its start is replaced at once

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
    started_at: float

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
        self._clock = SystemClock()
        self._running: dict[int, Copy] = {}
        self._missing: dict[int, float] = {}  # by number, from when on they are to be replaced
        self._rests: dict[int, float] = {}  # the last one before a replacement; of all that have been ready once
        self._code = 0
        self._ending = False

    def run(self, count: int) -> None:
        """Until a signal, or until one cannot start; then the exit code is that one's. Returns when all have ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        lifeline, held = os.pipe()
        self._missing = dict.fromkeys(range(count), self._clock.monotonic())
        self._start_due(lifeline, held)
        while self._running or self._missing:
            heard = signal.sigwait(HEEDED)
            if heard in (signal.SIGINT, signal.SIGTERM):
                self._end()
            elif heard == signal.SIGCHLD:
                self._see_who_ended()
            self._start_due(lifeline, held)
        sys.exit(self._code)

    def _start_due(self, lifeline: int, held: int) -> None:
        """And have the clock ring for the next."""
        now = self._clock.monotonic()
        for number in [number for number, due in self._missing.items() if due <= now]:
            del self._missing[number]
            self._start(number, lifeline, held)
        if self._missing:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, min(self._missing.values()) - self._clock.monotonic()))

    def _start(self, number: int, lifeline: int, held: int) -> None:
        hears, says = os.pipe()
        pid = os.fork()
        if pid:
            os.close(says)
            self._running[pid] = Copy(number, hears, self._clock.monotonic())
            return
        os.close(held)
        os.close(hears)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        self._work(Place(number, lifeline, says))
        sys.exit(0)

    def _see_who_ended(self) -> None:
        for pid, code in _ended(list(self._running)):
            copy = self._running.pop(pid)
            is_ready = copy.was_ready
            if self._ending:
                continue
            log.error("copy.died", number=copy.number, code=code, was_ready=is_ready)
            if is_ready or copy.number in self._rests:
                self._replace_later(copy, is_ready=is_ready)
            else:
                self._code = code if code > 0 else 1
                self._end()

    def _replace_later(self, copy: Copy, *, is_ready: bool) -> None:
        now = self._clock.monotonic()
        is_steady = is_ready and now - copy.started_at >= STEADY
        rest = 0.0 if is_steady else min(max(REST, 2 * self._rests.get(copy.number, 0.0)), LONGEST_REST)
        self._rests[copy.number] = rest
        self._missing[copy.number] = now + rest

    def _end(self) -> None:
        self._ending = True
        self._missing.clear()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)


def _ended(pids: list[int]) -> list[tuple[int, int]]:
    """Which of them have ended, and with which exit codes; below zero the signal that killed it."""
    waited = [os.waitpid(pid, os.WNOHANG) for pid in pids]
    return [(pid, os.waitstatus_to_exitcode(status)) for pid, status in waited if pid]
