"""Who Postgres runs as. It refuses root, and its initdb refuses a user without an entry in the password file."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from qhronos.embedded.binaries import Programs
from qhronos.embedded.processes import Account, Mode, run
from qhronos.errors import ConfigError


def choose() -> Account:
    """Ourselves if Postgres takes us; else another name in a namespace; else, as root, another user."""
    if os.geteuid() != 0 and is_listed(os.geteuid()):
        return ourselves()
    renamed = borrowed(Mode.USERNS)
    works, _ = run(renamed, [program("true")])
    if works:
        return renamed
    if os.geteuid() != 0:
        raise ConfigError(
            f"user {os.geteuid()} has no entry in /etc/passwd, which Postgres needs; add one or set DATABASE_URL"
        )
    return borrowed(Mode.SETUID)


def ourselves() -> Account:
    return Account(Mode.PLAIN, os.geteuid(), os.getegid())


def borrowed(mode: Mode) -> Account:
    """The unprivileged user of this machine, in the given mode."""
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(mode, user.pw_uid, user.pw_gid)
    raise ConfigError(
        "Postgres does not run as root and there is no user postgres or nobody; create one or set DATABASE_URL"
    )


def is_listed(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def own(account: Account, folder: Path) -> None:
    """Give `folder` to the account, with all that is in it if it was another's."""
    if folder.stat().st_uid == account.owner[0]:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *account.owner, follow_symlinks=False)


def let_pass(account: Account, folder: Path) -> None:
    """Let the account through `folder`, and nobody else."""
    os.chown(folder, os.geteuid(), account.gid)
    folder.chmod(0o710)
    passed, _ = run(account, [program("test"), "-x", folder])
    if not passed:
        raise ConfigError(
            f"{folder} is out of reach for the user that Postgres must run as here; choose a data directory such as /var/lib/qhronos"
        )


def within_reach(account: Account, programs: Programs, folder: Path) -> Programs:
    """The programs, copied into `folder` if they are where the account cannot go, such as a closed home."""
    works, _ = run(account, [programs.postgres, "--version"])
    if works:
        return programs
    # postgres finds its share/ and lib/ from its own place, and the wheel's libraries beside the package.
    package, site = programs.bindir.parents[1], programs.bindir.parents[2]
    copy = folder / f"programs-{programs.major}"
    if not copy.exists():
        draft = copy.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        draft.chmod(0o755)
        for part in (package, site / f"{package.name}.libs"):
            if part.exists():
                shutil.copytree(part, draft / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        draft.rename(copy)
    return programs._replace(bindir=copy / programs.bindir.relative_to(site))


def program(name: str) -> str:
    return shutil.which(name) or f"/usr/bin/{name}"
