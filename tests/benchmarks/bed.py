"""What everyone is measured on: the same receiver, the same Postgres and Valkey, emptied before each run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import redis

from qhronos.embedded import Embedded
from tests.benchmarks import sink, usage

BUILD = Path(__file__).parents[2] / "build" / "bench"


class Used(NamedTuple):
    """Seconds of processor time since the bed was made."""

    workers: float
    postgres: float
    valkey: float

    def since(self, before: Used) -> Used:
        return Used(*(after - earlier for after, earlier in zip(self, before, strict=True)))


class Bed:
    def __init__(self, stack: ExitStack) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="qhronos-bench-"))
        stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.home.chmod(0o711)  # who is Postgres when we are root has to pass
        self._embedded = stack.enter_context(Embedded(self.home / "stores"))
        self.sink = stack.enter_context(sink.started(BUILD))
        self.socket = Path(urlsplit(self._embedded.redis_url).path)
        self._databases = 0

    @property
    def redis_url(self) -> str:
        return self._embedded.redis_url

    @contextmanager
    def emptied(self) -> Iterator[str]:
        """The URL of a new database. Valkey and the receiver are empty as well."""
        self._databases += 1
        name = f"bench_{self._databases}"
        self.sink.reset()
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()
        with psycopg.connect(self._embedded.database_url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
            try:
                yield urlsplit(self._embedded.database_url)._replace(path=f"/{name}").geturl()
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
                admin.execute("CHECKPOINT")  # whoever comes next does not pay for it

    def used(self, workers: list[int]) -> Used:
        stores = self._embedded.pids
        return Used(usage.cpu(workers), usage.cpu([stores["postgres"]]), usage.cpu([stores["valkey"]]))

    def store_versions(self, database_url: str) -> dict[str, str]:
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            server = client.info("server")
        assert row is not None
        return {"Postgres": row[0], "Valkey": server.get("valkey_version", server["redis_version"])}


@contextmanager
def made() -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(stack)


def rest_until(instant: float) -> None:
    """An instant of the machine's clock, in seconds."""
    while (left := instant - time.time()) > 0:
        time.sleep(min(left, 0.2))


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would configure anyone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QHRONOS_")}
    return {name: value for name, value in kept.items() if name not in ("DATABASE_URL", "REDIS_URL", "PORT")} | more
