"""Install the peers into build/bench-peers: `make bench-peers`, or with the groups that are wanted as arguments.

    client    aiohttp alone, for the limit that is measured beside us
    python    the peers on Python, but for
    celery    which wants another driver of Redis than they
    node      the peers on Node

Each is installed from its lock, checked by hash, and nothing is done where that has not changed. A group that cannot be
installed is said, and left out; the benchmark does without it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parents[2] / "build" / "bench-peers"
GROUPS = ("client", "python", "celery", "node")
LOCKED = ("--quiet", "--require-hashes", "--no-deps")


def main(groups: list[str]) -> int:
    failed = [group for group in groups or GROUPS if not install(group)]
    for group in failed:
        print(f"bench-peers: {group} could not be installed", flush=True)
    return bool(failed)


def install(group: str) -> bool:
    """Whether it is there."""
    place = PLACE / group
    stamp = place / "stamp"
    lock = HERE / ("package-lock.json" if group == "node" else f"{group}.lock")
    digest = hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return True
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if not (node(place) if group == "node" else python(place, lock)):
        return False
    stamp.write_text(digest)
    return True


def python(place: Path, lock: Path) -> bool:
    """With pip, or where there is none with uv."""
    interpreter = place / "bin" / "python"
    if runs(sys.executable, "-m", "venv", place):
        return runs(interpreter, "-m", "pip", "install", *LOCKED, "--disable-pip-version-check", "-r", lock)
    uv = shutil.which("uv") or "uv"
    return runs(uv, "venv", "--quiet", "--clear", "--python", sys.executable, place) and runs(
        uv, "pip", "install", "--python", interpreter, *LOCKED, "-r", lock
    )


def node(place: Path) -> bool:
    """Our programs lie beside what they import, as Node wants it."""
    if not shutil.which("npm"):
        print("bench-peers: there is no npm", flush=True)
        return False
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, place)
    return runs("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=place)


def runs(*argv: object, cwd: Path = HERE) -> bool:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        return subprocess.run([str(word) for word in argv], cwd=cwd, env=environment, check=False).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
