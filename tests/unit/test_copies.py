"""Several processes of one work: who is replaced, and when."""

from __future__ import annotations

import subprocess
import sys

# What each start of a copy does, by its number and how often that has started before; the parent is told in the end.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from qhronos.copies import Copies

seen = Path(sys.argv[1])

def work(place):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    starts = len(list(seen.glob(f"{place.number}-*")))
    (seen / f"{place.number}-{starts}").touch()
    for does in PLAN[place.number][starts].split():
        if does == "ready":
            place.ready()
        elif does == "die":
            sys.exit(3)
        elif does == "end":
            os.kill(os.getppid(), signal.SIGTERM)
        else:
            signal.sigwait([signal.SIGTERM])
            os.write(1, f"served {place.number}\\n".encode())  # in one piece: the others write to the same pipe

Copies(work).run(len(PLAN))
"""


def run(tmp_path, *plan):
    program = f"PLAN = {plan!r}\n{PROGRAM}"
    return subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )


def said(ended, word):
    return sorted(line for line in ended.stdout.splitlines() if word in line)


def test_a_replacement_that_cannot_start_just_now_ends_no_other_and_is_tried_again(tmp_path):
    ended = run(tmp_path, ["ready die", "die", "ready end serve"], ["ready serve"])

    assert ["served 0", "served 1"] == said(ended, "served")
    assert (0, 2) == (ended.returncode, len(said(ended, "copy.died")))


def test_one_that_was_never_ready_ends_all_with_its_exit_code(tmp_path):
    ended = run(tmp_path, ["ready serve"], ["die"])

    assert 3 == ended.returncode
    assert ["1-0"] == [path.name for path in tmp_path.glob("1-*")]


def test_a_signal_ends_those_that_wait_to_be_replaced(tmp_path):
    ended = run(tmp_path, ["ready die", "die", "die", "ready"], ["ready serve"], ["ready die", "end die"])

    assert 0 == ended.returncode
    assert ["served 1"] == said(ended, "served")
