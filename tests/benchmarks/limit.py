"""What the machine and the language allow, in the same run: the bare engine, and bare aiohttp, with no scheduler at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from tests.benchmarks import usage
from tests.benchmarks.bed import Bed, environment
from tests.benchmarks.peers.install import PLACE

ROOT = Path(__file__).parents[2]
ENGINE = ("-m", "tests.benchmarks.limit_engine")
AIOHTTP = (str(Path(__file__).with_name("limit_aiohttp.py")),)


class Limit(Struct, frozen=True):
    """Requests a second from the first arrival to the last, and microseconds of processor time for each."""

    count: int
    rate: float
    cpu_us: float
    receiver_us: float  # of the receiver, for each: what it could take is known from it


def engine(bed: Bed, count: int) -> Limit:
    return run(bed, count, sys.executable, *ENGINE)


def aiohttp(bed: Bed, count: int) -> Limit | None:
    """None: it is not installed."""
    python = PLACE / "client" / "bin" / "python"
    return run(bed, count, str(python), *AIOHTTP) if python.exists() else None


def run(bed: Bed, count: int, *command: str) -> Limit:
    bed.sink.reset()
    env = environment(COUNT=str(count), URL=bed.sink.url, PYTHONPATH=str(ROOT))
    before = usage.cpu([bed.sink.pid])
    seconds = float(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    arrived = sorted(record.arrived for record in bed.sink.records())
    assert count == len(arrived), f"{len(arrived)} of {count} arrived"
    receiver = usage.cpu([bed.sink.pid]) - before
    return Limit(count, count / (arrived[-1] - arrived[0]) * 1e3, seconds / count * 1e6, receiver / count * 1e6)
