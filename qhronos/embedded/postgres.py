"""Our own Postgres."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from signal import Signals
from urllib.parse import quote

from qhronos.embedded import account as accounts
from qhronos.embedded.binaries import Programs, find_postgres
from qhronos.embedded.home import Home
from qhronos.embedded.processes import Account, Argv, Mode, end_orphan, run
from qhronos.embedded.server import ENDED_WITHIN, Server

# Quiet and small when idle. Statements that fail are told to whoever sent them; the log must not repeat their contents.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "wal_buffers": "4MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "min_wal_size": "32MB",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}
SETTINGS_FROM_18 = {"io_method": "sync"}  # no resident I/O workers
SETTINGS_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The builtin locale asks nothing of the operating system and sorts the same everywhere; it came with 17.
LOCALE = ("--locale=C.UTF-8",)
LOCALE_FROM_17 = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")

# Says a Postgres whose predecessor was killed and has children that are only now noticing.
NOT_YET = "pre-existing shared memory block"
NOT_YET_TRIES = 50
NOT_YET_PAUSE = 0.2


class Postgres(Server):
    name = "postgres"
    goodbyes = (Signals.SIGINT, Signals.SIGQUIT)  # end the sessions and checkpoint; drop everything

    def __init__(self, home: Home, stopping: threading.Event, *, durable: bool, account: Account | None) -> None:
        super().__init__(home, stopping, durable=durable)
        self.pgdata = home.path / "pg"
        self._account = account

    @property
    def url(self) -> str:
        return f"postgresql://qhronos@/qhronos?host={quote(str(self.home.run))}"

    def start(self) -> None:
        account = self._account = self._account or accounts.choose()
        programs = find_postgres(self.pgdata)
        if account.mode is Mode.SETUID:
            accounts.let_pass(account, self.home.path)
            programs = accounts.within_reach(account, programs, self.home.path)
        if not (self.pgdata / "PG_VERSION").exists():
            self._make(account, programs)
        accounts.own(account, self.pgdata)
        accounts.own(account, self.home.run)
        self._end_orphan()
        self._launch(account, programs)

    def is_ready(self) -> bool:
        """The eighth line of its pid file says so, once it is its own."""
        try:
            lines = (self.pgdata / "postmaster.pid").read_text(errors="replace").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _make(self, account: Account, programs: Programs) -> None:
        """A cluster with our database appears whole or not at all: made beside its place, then renamed."""
        draft = self.home.path / "pg.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        accounts.own(account, draft)
        who = ("-U", "qhronos", "--auth=trust")
        locale = LOCALE_FROM_17 if programs.major >= 17 else LOCALE
        self._must(account, [programs.initdb, "-D", draft, *who, "-E", "UTF8", *locale, "--no-sync"])
        self._must(account, [programs.postgres, "--single", "-F", "-D", draft, "postgres"], "CREATE DATABASE qhronos")
        if self.durable:
            self._must(account, [programs.initdb, "-D", draft, "--sync-only"])
        draft.rename(self.pgdata)
        if self.durable:
            sync(self.home.path)

    def _must(self, account: Account, argv: Argv, text: str = "") -> None:
        succeeded, said = run(account, argv, text=text)
        # The single-user Postgres exits with 0 even when the statement failed.
        if not succeeded or "ERROR:  " in said:
            with self.log.open("a") as log:
                log.write(said)
            raise self.refusal(said)

    def _end_orphan(self) -> None:
        """We hold the lock, so a pid file is a dead server's, or that of one whose supervisor was killed."""
        pidfile = self.pgdata / "postmaster.pid"
        try:
            pid = int(pidfile.read_text(errors="replace").splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            pass
        else:
            end_orphan(pid, self.pgdata, (*self.goodbyes, Signals.SIGKILL), ENDED_WITHIN)
        pidfile.unlink(missing_ok=True)

    def _launch(self, account: Account, programs: Programs) -> None:
        argv: Argv = [programs.postgres, "-D", self.pgdata, *self._options(programs)]
        said = self.launch(account, argv)
        for _ in range(NOT_YET_TRIES):
            if said is None or NOT_YET not in said or self._stopping.wait(NOT_YET_PAUSE):
                break
            said = self.launch(account, argv)
        if said is not None:
            raise self.refusal(said)

    def _options(self, programs: Programs) -> Iterator[str]:
        settings = SETTINGS | {"unix_socket_directories": str(self.home.run)}
        if programs.major >= 18:
            settings |= SETTINGS_FROM_18
        if not self.durable:
            settings |= SETTINGS_NOT_DURABLE
        for name, value in settings.items():
            yield from ("-c", f"{name}={value}")


def sync(folder: Path) -> None:
    """Make a rename in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
