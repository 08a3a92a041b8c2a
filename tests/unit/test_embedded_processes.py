"""Telling our servers from others, and what they are told and say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qhronos.embedded import Embedded, processes
from qhronos.embedded.account import ourselves
from qhronos.embedded.processes import end_orphan, is_running_with, run, wait_until
from qhronos.embedded.server import BIGGEST_LOG, turn_over

# Says that it is up, then waits for a signal that it heeds or not.
WAIT = "import signal, sys; signal.signal(signal.SIGTERM, {}); print('up', flush=True); signal.pause()"


@pytest.fixture(params=[pytest.param(True, id="proc"), pytest.param(False, id="ps")])
def looks(request, monkeypatch):
    """Through /proc, and as where there is none."""
    if request.param and not processes.PROC:
        pytest.skip("there is no /proc here")
    if not request.param and not shutil.which("ps"):
        pytest.skip("there is no ps here")
    monkeypatch.setattr(processes, "PROC", request.param)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(heed: str) -> int:
        argv = [sys.executable, "-c", WAIT.format(heed), str(tmp_path)]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
        started[-1].stdout.readline()
        return started[-1].pid

    yield start
    for process in started:
        with process:
            process.kill()


def test_a_process_is_known_by_its_number_and_an_argument(looks, start, tmp_path):
    pid = start("signal.SIG_DFL")

    assert is_running_with(pid, tmp_path)
    assert not is_running_with(pid, tmp_path / "other")
    assert not is_running_with(2**22 + 1, tmp_path)


def test_a_zombie_is_dead(looks, start, tmp_path):
    pid = start("signal.SIG_DFL")
    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: not is_running_with(pid, tmp_path), 10)


@pytest.mark.parametrize("heed", ["signal.SIG_DFL", "signal.SIG_IGN"])
def test_an_orphan_is_asked_to_end_and_then_made_to(start, tmp_path, heed):
    pid = start(heed)
    end_orphan(pid, tmp_path, [signal.SIGTERM, signal.SIGKILL], 0.5)

    assert wait_until(lambda: not is_running_with(pid, tmp_path), 10)


def test_servers_are_told_none_of_our_secrets(monkeypatch):
    monkeypatch.setenv("QHRONOS_AUTH__MASTER_TOKEN", "a secret")
    succeeded, said = run(ourselves(), ["/usr/bin/env"])

    assert succeeded
    assert "a secret" not in said


def test_a_program_that_fails_is_heard():
    assert (False, "why\n") == run(ourselves(), ["/bin/sh", "-c", "echo why >&2; exit 3"])


def test_a_log_that_has_grown_big_becomes_the_previous_one(tmp_path):
    log = tmp_path / "postgres.log"
    sizes = [turn_over(log)]
    log.write_bytes(b"small")
    sizes.append(turn_over(log))
    log.write_bytes(b"x" * (BIGGEST_LOG + 1))
    sizes.append(turn_over(log))

    assert [0, 5, 0] == sizes
    assert ["postgres.log.1"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("LOG:  starting\nFATAL:  no room\nLOG:  shut down\n", "FATAL:  no room"),
        ("one\n\ntwo\n\n", "two"),
        ("", "it said nothing"),
    ],
)
def test_of_what_a_server_said_the_complaint_is_passed_on(tmp_path, said, sentence):
    postgres = Embedded(tmp_path)._postgres

    assert f"postgres does not start: {sentence}; see {tmp_path}/postgres.log" == str(postgres.refusal(said))


def test_urls_are_known_before_the_start_and_quoted():
    embedded = Embedded(Path("/srv/a b"))

    assert "postgresql://qhronos@/qhronos?host=/srv/a%20b/run" == embedded.database_url
    assert "unix:///srv/a%20b/run/valkey.sock?db=0" == embedded.redis_url


def test_before_the_start_there_is_nothing_to_check_or_stop(tmp_path):
    embedded = Embedded(tmp_path / "never")
    embedded.stop()

    assert [] == embedded.check()
    assert not (tmp_path / "never").exists()
