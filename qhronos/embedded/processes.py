"""Starting, finding and ending processes."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))
PAUSE = 0.005
PROC = Path("/proc/self").exists()

Argv = Sequence[str | Path]


class Mode(enum.StrEnum):
    """See launcher.py, which acts on it."""

    PLAIN = "plain"
    USERNS = "userns"
    SETUID = "setuid"


class Account(NamedTuple):
    """Who a server runs as."""

    mode: Mode
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """Whose its files are to the kernel."""
        if self.mode is Mode.SETUID:
            return self.uid, self.gid
        return os.geteuid(), os.getegid()


def command(account: Account, argv: Argv) -> list[str]:
    parent, mode, uid, gid = str(os.getpid()), str(account.mode), str(account.uid), str(account.gid)
    return [*LAUNCHER, parent, mode, uid, gid, *map(str, argv)]


def environment() -> dict[str, str]:
    """What a server needs and no more: our secrets are none of its business."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def spawn(account: Account, argv: Argv, log: Path) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C in the terminal is for us, and we end the servers in good order."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the programs we found, without a shell
            command(account, argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment(),
            start_new_session=True,
        )


def run(account: Account, argv: Argv, *, text: str = "") -> tuple[bool, str]:
    """Run a program to its end; whether it succeeded, and what it said."""
    done = subprocess.run(  # noqa: S603 - the programs we found, without a shell
        command(account, argv),
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment(),
        start_new_session=True,
        check=False,
    )
    return done.returncode == 0, done.stdout.decode(errors="replace")


def is_running_with(pid: int, argument: Path) -> bool:
    """Whether `pid` is alive and was started with `argument`.

    A number alone proves nothing: it may have been given to another process, or be a zombie that nobody reaps.
    """
    if PROC:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return state != "Z" and os.fsencode(argument) in arguments
    listed = subprocess.run(  # noqa: S603 - a fixed program, without a shell
        ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)],  # noqa: S607 - it is in every PATH
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return bool(listed) and not listed.startswith("Z") and str(argument) in listed


def end_orphan(pid: int, argument: Path, signals: Sequence[signal.Signals], patience: float) -> None:
    """End a server that outlived the process that started it, asking ever less kindly."""
    for number in signals:
        if not is_running_with(pid, argument):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_until(lambda: not is_running_with(pid, argument), patience)


def wait_until(holds: Callable[[], bool], seconds: float, stop: threading.Event | None = None) -> bool:
    """Look again and again until it holds, time is up, or we are told to stop."""
    stop = stop or threading.Event()
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        if stop.wait(PAUSE):
            break
    return held
