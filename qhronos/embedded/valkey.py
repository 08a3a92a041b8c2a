"""Our own Valkey (or Redis)."""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path
from signal import Signals
from urllib.parse import quote

from qhronos.embedded import account as accounts
from qhronos.embedded.binaries import find_valkey
from qhronos.embedded.processes import Argv, end_orphan
from qhronos.embedded.server import ENDED_WITHIN, Server

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "set-proc-title": "no",  # our folder stays in the command line, by which we know an orphan
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
    "activedefrag": "no",
    "io-threads": "1",
    "hz": "5",
    "loglevel": "warning",
}
ANSWERED_WITHIN = 1.0
UNREADABLE = "append only file"  # it says so of files that it cannot load, and then gives up


class Valkey(Server):
    name = "valkey"
    goodbyes = (Signals.SIGTERM,)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def socket(self) -> Path:
        return self.home.run / "valkey.sock"

    @property
    def folder(self) -> Path:
        return self.home.path / "valkey"

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._end_orphan()
        said = self.launch(accounts.ourselves(), self._argv())
        if said is not None and UNREADABLE in said:
            self._set_aside()
            said = self.launch(accounts.ourselves(), self._argv())
        if said is not None:
            raise self.refusal(said)

    def is_ready(self) -> bool:
        """It answers PING, and not that it is still loading."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWERED_WITHIN)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def _end_orphan(self) -> None:
        """Two writers on one append-only file would ruin it."""
        pidfile = self.folder / "pid"
        try:
            pid = int(pidfile.read_text())
        except (FileNotFoundError, ValueError):
            return
        end_orphan(pid, self.folder, (*self.goodbyes, Signals.SIGKILL), ENDED_WITHIN)
        pidfile.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        """Files that it cannot read must not keep us from starting: the plan is rebuilt from Postgres."""
        unreadable = self.folder.with_suffix(".unreadable")
        shutil.rmtree(unreadable, ignore_errors=True)
        self.folder.rename(unreadable)
        self.folder.mkdir(mode=0o700)

    def _argv(self) -> Argv:
        places = {"unixsocket": self.socket, "dir": self.folder, "pidfile": self.folder / "pid"}
        settings = SETTINGS | places | {"appendonly": "yes" if self.durable else "no"}
        argv: list[str | Path] = [find_valkey()]
        for name, value in settings.items():
            argv += [f"--{name}", value]
        return argv
