"""Become a server: never root in its own eyes, and never outliving the process that wants it.

    python -I -S launcher.py PARENT MODE UID GID program [argument…]

`plain` stays who we are. `userns` opens a user namespace in which we are called UID: Postgres is content, while to the
kernel we are who we were, so no file changes hands. `setuid` really becomes UID and GID.

A script of its own, because Python code must not run between fork and exec in a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, mode, uid, gid = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if mode == "userns":
        enter_namespace(uid, gid)
    elif mode == "setuid":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        die_with(parent)
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606 - becoming the program we are given is the whole point


def enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    # Without this the kernel lets nobody but root map a group.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def die_with(parent: int) -> None:
    """SIGINT asks both servers for an orderly end. Set after setuid, which clears it."""
    call("prctl", PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before the server was started")


def call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


if __name__ == "__main__":
    main()
