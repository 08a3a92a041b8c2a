"""The data directory. Whoever holds its lock owns the servers in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from qhronos.errors import ConfigError

# The path of a socket has room for 104 bytes on macOS and 108 on Linux, with the name of the socket.
LONGEST = 80


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    def open(self) -> None:
        """Make the directory ours until `close`; ConfigError if it is somebody else's."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_uid != os.geteuid():
                raise ConfigError(
                    f"{self.path} belongs to another user; run as that user, or choose another data directory"
                )
            self._take_lock()
            self._make_run()
        except OSError as error:
            raise ConfigError(f"cannot use {self.path} as data directory: {error.strerror}; choose another") from error

    def close(self) -> None:
        if self._lock is not None:
            self._remove_run()
            os.close(self._lock)
            self._lock = None

    @property
    def run(self) -> Path:
        """Where the sockets are: in the directory, or, when its path is too long for one, where `run` points to."""
        return (self.path / "run").resolve()

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 20).decode() or "?"
            os.close(lock)
            raise ConfigError(
                f"another qhronos (process {holder}) holds {self.path}; stop it, or choose another data directory"
            ) from error
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def _make_run(self) -> None:
        run = self.path / "run"
        if run.is_symlink():
            run.unlink()  # where it points to may be another's by now
        shutil.rmtree(run, ignore_errors=True)
        # A comma separates hosts in a Postgres URL.
        if len(os.fsencode(run)) > LONGEST or "," in str(run):
            run.symlink_to(tempfile.mkdtemp(prefix="qhronos-"))
        else:
            run.mkdir(mode=0o700)

    def _remove_run(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        (self.path / "run").unlink(missing_ok=True)
