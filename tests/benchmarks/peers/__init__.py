"""The peers, each at its best settings that we found: one process for all its work unless said, and no signatures.

A peer is a program in this folder that is told what to do: make the `schema`, `enqueue` the items, `work`, or `both`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.benchmarks.bed import Bed, environment
from tests.benchmarks.peers.install import PLACE
from tests.benchmarks.work import Enqueue, Work, Workers

HERE = Path(__file__).parent
ENQUEUED_WITHIN = 180


class Peer(Struct, frozen=True, kw_only=True):
    name: str
    group: str  # as installed
    program: str
    workers: tuple[str, ...] = ("{program} work",)  # the commands; {} is filled in
    has_schema: bool = False
    enqueues_first: bool = True  # before its workers are started
    env: dict[str, str] = {}
    durable: str  # in words: what becomes of what a worker had that died
    is_durable: bool = False  # whether that is: it is done by another
    settings: str
    is_tuned: bool = False  # with a client that users of it seldom take, chosen for speed
    is_quick: bool = False  # enough to have a turn in every round; the others have one, in the first
    burst: int = 10_000  # items of a burst; less where it would take too long
    intake: float = 1_000  # items a second that it surely takes in

    @property
    def is_installed(self) -> bool:
        return (PLACE / self.group / "stamp").exists()

    def lead(self, work: Work) -> float:
        return 4 + work.count / self.intake

    @contextmanager
    def begin(self, bed: Bed) -> Iterator[Enqueue]:
        with bed.emptied() as database_url, ExitStack() as stack:
            run = Running(self, bed, database_url, stack)
            if self.has_schema:
                run.must("schema")
            yield run.enqueue


class Running:
    def __init__(self, peer: Peer, bed: Bed, database_url: str, stack: ExitStack) -> None:
        self._peer = peer
        self._stack = stack
        self._place = PLACE / peer.group
        self._folder = self._place if peer.group == "node" else HERE
        if peer.group == "node":  # where it finds what it imports
            for program in HERE.glob("*.mjs"):
                shutil.copy(program, self._place)
        given = {"DATABASE_URL": database_url, "REDIS_SOCKET": str(bed.socket), "URL": bed.sink.url}
        idle = {"COUNT": "1", "FIRST_US": "0", "SPREAD_US": "0", "PYTHONPATH": str(HERE)}
        self._environment = environment(**given, **idle, **peer.env)
        self._log = (bed.home / f"{peer.program}.log").open("ab")
        stack.callback(self._log.close)

    def must(self, what: str) -> bytes:
        done = subprocess.run(
            self._command(f"{{program}} {what}"),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            timeout=ENQUEUED_WITHIN,
            check=True,
        )
        return done.stdout

    def enqueue(self, work: Work) -> Workers:
        first, spread = round(work.first * 1e6), round(work.spread * 1e6)
        self._environment |= {"COUNT": str(work.count), "FIRST_US": str(first), "SPREAD_US": str(spread)}
        if not self._peer.workers:
            process = self._start("{program} both", subprocess.PIPE)
            assert process.stdout is not None
            return Workers([process.pid], rate_of(process.stdout.readline()))
        if self._peer.enqueues_first:
            rate = rate_of(self.must("enqueue"))
        pids = [self._start(command).pid for command in self._peer.workers]
        if not self._peer.enqueues_first:
            rate = rate_of(self.must("enqueue"))
        return Workers(pids, rate)

    def _start(self, command: str, output: int | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command(command),
            cwd=self._folder,
            env=self._environment,
            stdout=self._log if output is None else output,
            stderr=self._log,
            start_new_session=True,
        )
        self._stack.callback(ended, process)
        return process

    def _command(self, words: str) -> list[str]:
        """A word {program} becomes the interpreter and the program; {bin}, the folder of the commands."""
        program = ["node", f"{self._peer.program}.mjs"]
        if self._peer.group != "node":
            program = [str(self._place / "bin" / "python"), f"{self._peer.program}.py"]
        places = {"bin": str(self._place / "bin"), "socket": self._environment["REDIS_SOCKET"]}
        return [
            part for word in words.split() for part in (program if word == "{program}" else [word.format(**places)])
        ]


def rate_of(said: bytes) -> float:
    return msgspec.json.decode(said.splitlines()[-1], type=dict[str, float])["per_second"]


def ended(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: it leads a session of its own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
