"""Qhronos as whoever installs it runs it: an API, an expander and dispatchers, each a process, with all that is default."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from tests.benchmarks.bed import Bed, environment
from tests.benchmarks.work import Enqueue, Work, Workers
from tests.e2e.processes import QHRONOS, free_port

TOKEN = "the-master-token-of-the-benchmarks-0123456789"
SETTINGS = {
    "QHRONOS_AUTH__MASTER_TOKEN": TOKEN,
    "QHRONOS_AUTH__JWT_SECRET": "the-jwt-secret-of-the-benchmarks-0123456789",
    "QHRONOS_HMAC__DEFAULT_SECRET": "the-hmac-secret-of-the-benchmarks-0123456789",  # deliveries are signed
    "QHRONOS_HTTP__EGRESS_ALLOW": "127.0.0.0/8",  # where the receiver is
    "QHRONOS_RATE_LIMIT__ENABLED": "false",  # of callers of the API
    "QHRONOS_LOGGING__FORMAT": "json",
}
BULK = 1_000
CALLERS = 2  # of bulk requests at once
STARTED_WITHIN = 60.0
INTAKE = 2_000  # events a second that bulk requests surely create


class Fleet:
    def __init__(self, bed: Bed, database_url: str, stack: ExitStack, settings: Mapping[str, str]) -> None:
        self.bed = bed
        self.database_url = database_url
        self.port = free_port()
        self.api_pid = 0
        self._stack = stack
        self._started = 0
        self._environment = environment(
            **SETTINGS, **settings, DATABASE_URL=database_url, REDIS_URL=bed.redis_url, PORT=str(self.port)
        )
        subprocess.run([*QHRONOS, "migrate"], env=self._environment, check=True, capture_output=True)

    def start(self, role: str, *options: str) -> subprocess.Popen[bytes]:
        """A process of it that is at work."""
        self._started += 1
        log = self.bed.home / f"{role}-{self._started}.log"
        with log.open("wb") as output:
            command = [*QHRONOS, role, *options]
            process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        self._stack.callback(ended, process)
        deadline = time.monotonic() + STARTED_WITHIN
        while b"process.started" not in log.read_bytes():
            assert process.poll() is None, f"{role} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{role} does not start"
            time.sleep(0.05)
        return process

    def call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        assert response.status < 300, (response.status, answer[:500])
        return msgspec.json.decode(answer) if answer else None

    def create(self, events: list[dict[str, Any]]) -> float:
        """Through the bulk API. How many a second."""
        began = time.monotonic()
        parts = [events[begin : begin + BULK] for begin in range(0, len(events), BULK)]
        with ThreadPoolExecutor(CALLERS) as callers:
            for answer in callers.map(lambda part: self.call("POST", "/events/bulk", {"events": part}), parts):
                assert not answer["failed"], [one for one in answer["results"] if one["status"] != 201][:3]
        return len(events) / (time.monotonic() - began)

    def event(self, work: Work, item: int) -> dict[str, Any]:
        """The item as an event that is due once."""
        due = work.due_us(item)
        start = datetime.fromtimestamp(due // 1_000_000, UTC).replace(microsecond=due % 1_000_000)
        return {
            "name": "bench",
            "webhook": self.bed.sink.url,
            "start_time": start.isoformat(),
            "metadata": {"item": item, "due_ms": due / 1e3},
        }

    def query(self, text: str, *params: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(text.encode(), params).fetchall()

    def execute(self, text: str) -> None:
        with psycopg.connect(self.database_url) as connection:
            connection.execute(text.encode())


@contextmanager
def started(bed: Bed, **settings: str) -> Iterator[Fleet]:
    """The stores emptied, the schema made, and the API up."""
    with bed.emptied() as database_url, ExitStack() as stack:
        fleet = Fleet(bed, database_url, stack, settings)
        fleet.api_pid = fleet.start("api").pid
        yield fleet


@contextmanager
def at_work(bed: Bed, *, dispatchers: int = 1) -> Iterator[Enqueue]:
    """With a dispatcher and an expander. At the end it waits until all is written down."""
    with started(bed) as fleet:
        pids = [fleet.start(role).pid for role in ("expander", *["dispatcher"] * dispatchers)]
        yield lambda work: Workers(pids, fleet.create([fleet.event(work, item) for item in range(work.count)]))
        settled(fleet)


def lead(work: Work) -> float:
    return 4 + work.count / INTAKE


def settled(fleet: Fleet, within: float = 60.0) -> None:
    """Until what was done is written down, and nothing is open."""
    deadline = time.monotonic() + within
    while fleet.query("SELECT FROM pending LIMIT 1"):
        assert time.monotonic() < deadline, "what was done is not written down"
        time.sleep(0.1)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
