#!/usr/bin/env python3
"""Everything from a fresh checkout, with Python 3.11 and nothing else: `python3 dev.py run`, `test`, …

    run [option…]     start Qhronos with stores of its own
    test [option…]    run the tests; with options of pytest, just those, without the coverage gate
    coverage          run the tests, and say which lines of the package none of them runs
    setup             make .venv and install what requirements.lock lists, checked by hash

The Makefile comes here for these; the rest of it are one-liners over .venv.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMP = VENV / "qhronos-setup"
VERSION = tuple(sys.version_info[:3])
INPUTS = ("dev.py", "pyproject.toml", "requirements.lock", "qhronos/__init__.py")

# Nothing comes in unchecked: no package is built here, which would fetch what builds it, but our own, and what builds
# that is in the lock. Nothing is resolved either: the lock is whole, and a resolver that meets a newer release of what
# one package asks for with an extra, which no lock line has, may insist on its hash.
LOCKED = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "requirements.lock")
ITSELF = ("--no-deps", "--no-build-isolation", "--editable", ".")

ENVIRONMENT = {
    **os.environ,
    "VIRTUAL_ENV": str(VENV),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_USER": "0",
    "DEBIAN_FRONTEND": "noninteractive",
    # Companies that look into TLS have their authority in the system's store only.
    "UV_SYSTEM_CERTS": "1",
}


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have any Python
        die("Python 3.11 or newer is needed, and this is {}.{}; name another with `make PYTHON=python3.13`".format(*sys.version_info))  # fmt: skip
    commands = {"run": run, "test": test, "coverage": coverage, "setup": setup}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    os.chdir(ROOT)
    commands[sys.argv[1]](*sys.argv[2:])


def run(*options: str) -> None:
    setup()
    leave_make()
    become("qhronos", "up", *options)


def test(*options: str) -> None:
    setup()
    if options:
        become("pytest", *options)
    # What measures coverage takes half as long again, and what has to be covered whole is what needs no stores. Tests with
    # random examples are not needed for it, so that it does not depend on chance.
    steps = (
        ("pytest", "-n", "2", "--cov", "--cov-report=", "tests/unit"),
        ("coverage", "report", "--fail-under=100", "--include=qhronos/core/*"),
        ("pytest", "-n", "2", *(f"tests/{part}" for part in ("contract", "store", "service", "e2e", "chaos"))),
    )
    for program, *arguments in steps:
        must(BIN / program, *arguments)


def coverage() -> None:
    """Of everything, by everything."""
    setup()
    must(BIN / "pytest", "-n", "2", "--cov", "--cov-report=")
    must(BIN / "coverage", "report", "--fail-under=90")


def setup(*_: str) -> None:
    """Idempotent, and nearly free when nothing changed. Of several at once, one does the work."""
    if is_current():
        return
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not is_current():
        install()
        STAMP.write_text(fingerprint())
    os.close(lock)


def is_current() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


def install() -> None:
    say("installing into .venv, which takes a minute the first time")
    uv = shutil.which("uv")
    if uv and install_with_uv(uv):
        return
    if uv:
        say("uv could not; trying pip")
    install_with_pip()


def fingerprint() -> str:
    digest = hashlib.sha256(f"{VERSION} {ROOT}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install_with_uv(uv: str) -> bool:
    """Whether it worked; uv may be old, or be kept from the network in a way that pip is not."""
    pip = (uv, "pip", "install", "--quiet", "--python", PYTHON)
    return (
        (is_sound() or succeeds(uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV))
        and succeeds(*pip, *LOCKED)
        and succeeds(*pip, *ITSELF)
    )


def install_with_pip() -> None:
    pip = (PYTHON, "-m", "pip")
    if not (is_sound() and succeeds(*pip, "--version", quiet=True)):
        make_venv()
    must(*pip, "install", "--quiet", *LOCKED)
    must(*pip, "install", "--quiet", *ITSELF)


def is_sound() -> bool:
    """Whether there is a .venv already, and it is of the Python that we run on."""
    same = f"import sys; sys.exit(sys.version_info[:3] != {VERSION})"
    return PYTHON.exists() and succeeds(PYTHON, "-c", same, quiet=True)


def make_venv() -> None:
    make = (sys.executable, "-m", "venv", "--clear", VENV)
    if succeeds(*make, quiet=True):
        return
    package = "python{}.{}-venv".format(*sys.version_info)
    if not shutil.which("apt-get"):
        die("this Python cannot make a virtual environment; install its venv module, or uv")
    if os.geteuid() != 0:
        die(f"this Python cannot make a virtual environment; run `sudo apt-get install {package}`, or install uv")
    say(f"installing {package}")
    must("apt-get", "update", "-qq")
    must("apt-get", "install", "-qq", "--no-install-recommends", package)
    must(*make)


def leave_make() -> None:
    """On a terminal, take it over from make, which would answer Ctrl-C with a failure although we end well."""
    if "MAKELEVEL" not in os.environ or not sys.stdin.isatty() or os.tcgetpgrp(0) != os.getpgrp():
        return
    # Ctrl-Z would leave a stopped process behind a shell that waits for make.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def become(program: str, *arguments: str) -> None:
    sys.stdout.flush()
    # With its full path, from which Python knows that it is in a virtual environment.
    os.execv(BIN / program, [str(BIN / program), *arguments])  # noqa: S606 - our own program, without a shell


def succeeds(*argv: object, quiet: bool = False) -> bool:
    output = subprocess.DEVNULL if quiet else None
    words = [str(word) for word in argv]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, stdout=output, stderr=output, check=False)  # noqa: S603 - our own commands
    return done.returncode == 0


def must(*argv: object) -> None:
    if not succeeds(*argv):
        sys.exit(1)


def say(text: str) -> None:
    print(f"qhronos: {text}", flush=True)  # noqa: T201 - this is a command


def die(text: str) -> None:
    sys.exit(f"qhronos: {text}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
