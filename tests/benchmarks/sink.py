"""The receiver of all that is measured: in C where there is a compiler, else on uvloop. It says which it is."""

from __future__ import annotations

import http.client
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
RECORD = struct.Struct("=qdd")


class Record(NamedTuple):
    item: int
    due: float  # both in milliseconds since 1970
    arrived: float


class Sink:
    def __init__(self, pid: int, port: int, kind: str) -> None:
        self.pid = pid
        self.port = port
        self.kind = kind
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def reset(self) -> None:
        self._get("/reset")

    def count(self) -> int:
        return int(self._get("/count"))

    def records(self) -> list[Record]:
        return [Record(*each) for each in RECORD.iter_unpack(self._get("/records"))]

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def started(build: Path) -> Iterator[Sink]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    command = [str(compiled(compiler, build))] if compiler else [sys.executable, str(HERE / "sink_uvloop.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Sink(process.pid, int(process.stdout.readline()), "C" if compiler else "Python on uvloop")
        finally:
            process.kill()


def compiled(compiler: str, build: Path) -> Path:
    source, program = HERE / "sink.c", build / "sink"
    build.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return program
