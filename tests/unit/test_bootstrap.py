"""What a fresh checkout installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED_FOR = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["test"],
    *PROJECT["build-system"]["requires"],
    "editables",  # hatchling needs it for an editable install
]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    entries = [Requirement(line.removesuffix("\\")) for line in LOCK.splitlines() if line[0] not in "# "]
    return {normal(entry.name): str(entry.specifier).removeprefix("==") for entry in entries}


@pytest.mark.parametrize("text", ASKED_FOR)
def test_the_lock_holds_what_is_asked_for_in_a_version_that_will_do(text):
    requirement = Requirement(text)

    assert requirement.specifier.contains(locked()[normal(requirement.name)])


def test_each_package_is_locked_to_one_version_and_hashed():
    blocks = re.split(r"\n(?=\S)", LOCK)[2:]

    assert len(locked()) == len(blocks)
    assert all(re.match(r"\S+==\S+ .*\n    --hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_the_lock_is_whole_since_nothing_else_is_installed():
    """What is locked for another machine is not here to be asked."""
    here = [dist for dist in distributions() if normal(dist.name) in locked()]
    lacking = [
        f"{dist.name} needs {wanted}"
        for dist in here
        for wanted in map(Requirement, dist.requires or ())
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if not wanted.specifier.contains(locked().get(normal(wanted.name), "0"), prereleases=True)
    ]

    assert (True, []) == (len(here) > 40, lacking)


def test_the_lock_names_no_place_that_packages_come_from():
    assert not re.search(r"https?:|file:|--index|--find-links|/", LOCK)


# Takes the terminal as its own, as a shell does, and runs make there.
IN_TERMINAL = "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp('make', ['make', 'run'])"
SERVER = f"""
import signal, sys

sys.path.insert(0, {str(ROOT)!r})
import dev

dev.leave_make()
signal.signal(signal.SIGINT, lambda *_: sys.exit(print("bye")))
print("up", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_ctrl_c_in_a_terminal_ends_make_without_a_complaint(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "Makefile").write_text(f"run:\n\t@exec {sys.executable} server.py\n")
    keyboard, terminal = os.openpty()
    # Within `make test` we would be told more.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL],
        cwd=tmp_path,
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as make:
        assert b"up\n" == make.stdout.readline()
        os.write(keyboard, b"\x1a\x03")  # Ctrl-Z does nothing; Ctrl-C ends
        said, _ = make.communicate(timeout=20)
    os.close(keyboard)
    os.close(terminal)

    assert (b"bye\n", 0) == (said, make.returncode)
