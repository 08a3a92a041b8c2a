"""A crowd of sockets, as whoever measures them handles it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack

import msgspec

from tests.benchmarks import ours
from tests.benchmarks.bed import environment
from tests.benchmarks.crowd import Heard
from tests.benchmarks.limit import ROOT

HEARD_WITHIN = 60.0


class Crowd:
    """Sockets in another process; see tests/benchmarks/crowd.py."""

    def __init__(self, stack: ExitStack, port: int, kind: str, count: int, first: int = 0) -> None:
        given = {"PORT": str(port), "KIND": kind, "COUNT": str(count), "FIRST": str(first)}
        secret = ours.SETTINGS["QHRONOS_AUTH__JWT_SECRET"]
        env = environment(**given, SECRET=secret, PYTHONPATH=str(ROOT))
        command = (sys.executable, "-m", "tests.benchmarks.crowd")
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(ours.ended, self._process)
        self.pid = self._process.pid

    def joined(self) -> float:
        """Once all are connected: the seconds that it took."""
        return msgspec.json.decode(self._line(), type=float)

    def heard(self) -> Heard:
        """Since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._line(), type=Heard)

    def all_heard(self, count: int) -> Heard:
        """Until so much has come, or too long has passed."""
        deadline, heard = time.monotonic() + HEARD_WITHIN, Heard()
        while heard.count < count and time.monotonic() < deadline:
            time.sleep(0.1)
            more = self.heard()
            heard = Heard(
                heard.count + more.count,
                heard.first or more.first,
                more.last or heard.last,
                heard.late + more.late,
                heard.lost + more.lost,
            )
        return heard

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the sockets are gone"
        return line
