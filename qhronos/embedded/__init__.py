"""Postgres and Valkey of our own: real servers from wheels, for `qhronos up` and the tests.

They listen on Unix sockets in a directory that nobody else can enter, so there is neither a port to clash nor a password.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from qhronos.embedded.home import Home
from qhronos.embedded.postgres import Postgres
from qhronos.embedded.processes import Account
from qhronos.embedded.server import Server
from qhronos.embedded.valkey import Valkey
from qhronos.errors import ConfigError

__all__ = ["Embedded"]


class Embedded:
    """The servers that are wanted, in one data directory, from `start` to `stop`.

    What goes wrong is a ConfigError of one sentence. On Linux the servers end with this process, however it ends; what
    was committed survives either way, unless `durable` is false.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        postgres: bool = True,
        valkey: bool = True,
        account: Account | None = None,
    ) -> None:
        self._home = Home(data_dir)
        self._stopping = threading.Event()
        self._postgres = Postgres(self._home, self._stopping, durable=durable, account=account)
        self._valkey = Valkey(self._home, self._stopping, durable=durable)
        self._servers: list[Server] = [*[self._postgres] * postgres, *[self._valkey] * valkey]
        self._keeper: ThreadPoolExecutor | None = None

    @property
    def database_url(self) -> str:
        """For psycopg; right before the start, too, if the directory's path is short enough for a socket."""
        return self._postgres.url

    @property
    def redis_url(self) -> str:
        return self._valkey.url

    def start(self) -> None:
        """Returns when both serve: after a second the first time, a fifth of one later on."""
        self._home.open()
        self._stopping.clear()
        # The kernel ends a server when the thread that started it ends: so one thread starts them all, and stays.
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="embedded")
        try:
            for server in self._servers:
                self._keeper.submit(start, server).result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End what runs, in good order. Harmless if nothing does."""
        if self._keeper is None:
            return
        self._stopping.set()
        self._keeper.submit(self._end_all).result()
        self._keeper.shutdown()
        self._keeper = None
        self._home.close()

    def check(self) -> list[str]:
        """Start again whatever died, and return its names. Nearly free while all is well; a failed try can be repeated."""
        if self._keeper is None:
            return []
        dead = [server for server in self._servers if not server.is_alive]
        for started in [self._keeper.submit(start, server) for server in dead]:
            started.result()
        return [server.name for server in dead]

    @property
    def pids(self) -> dict[str, int]:
        return {server.name: server.pid for server in self._servers if server.pid is not None}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end_all(self) -> None:
        for server in reversed(self._servers):
            server.ask_to_end()
        for server in self._servers:
            server.end()


def start(server: Server) -> None:
    """What the system refuses, such as room on the disk, is a ConfigError as well."""
    try:
        server.start()
    except OSError as error:
        raise ConfigError(f"{server.name} does not start: {error}") from error
