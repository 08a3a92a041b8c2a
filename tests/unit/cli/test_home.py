"""The data directory, by which the commands find a running `up`."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qhronos.cli import home
from qhronos.cli.client import find
from qhronos.errors import ConfigError


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path):
    made = home.kept_secrets(tmp_path / "deep" / "data")

    assert made == home.kept_secrets(tmp_path / "deep" / "data")
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "data").iterdir()}
    assert 0o700 == stat.S_IMODE((tmp_path / "deep" / "data").stat().st_mode)
    assert made.hmac_secret.startswith("whsec_")
    assert min(map(len, made)) >= 32


def test_secrets_made_at_the_same_time_are_the_same(tmp_path):
    found, start = [], threading.Barrier(8)

    def look():
        start.wait()
        found.append(home.kept_secrets(tmp_path / "data"))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (8, 1) == (len(found), len(set(found)))


def test_damaged_secrets_are_named(tmp_path):
    home.kept_secrets(tmp_path)
    (tmp_path / "secrets.json").write_text("{")

    with pytest.raises(ConfigError, match=r"secrets.json is damaged; remove it"):
        home.kept_secrets(tmp_path)


def test_a_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"cannot use .*file/data as data directory: Not a directory"):
        home.kept_secrets(tmp_path / "file" / "data")


def test_the_data_directory_is_where_the_environment_says_or_in_the_home(monkeypatch):
    assert os.environ["QHRONOS_DATA_DIR"] == str(home.data_dir())

    monkeypatch.delenv("QHRONOS_DATA_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert Path("/var/lib/qhronos") == home.data_dir()

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/x")

    assert Path("/x/qhronos") == home.data_dir()


def test_a_running_up_is_found_until_it_ends(tmp_path):
    with home.published(tmp_path, "http://127.0.0.1:1", {"A": "b"}):
        assert {"A": "b"} == home.read_environment(tmp_path)
        assert "http://127.0.0.1:1\n" == (tmp_path / "url").read_text()
        assert 0o600 == stat.S_IMODE((tmp_path / "env.json").stat().st_mode)

    assert home.read_environment(tmp_path) is None
    assert [] == list(tmp_path.iterdir())


def test_what_a_killed_up_left_behind_is_not_taken_for_a_running_one(tmp_path):
    program = (
        "import os, pathlib, signal; from qhronos.cli.home import published\n"
        f"with published(pathlib.Path({str(tmp_path)!r}), 'http://x', {{}}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)

    assert (tmp_path / "env.json").exists()
    assert home.read_environment(tmp_path) is None


def test_env_can_be_evaluated_by_a_shell(qhronos, tmp_path):
    nasty = """postgresql://qhronos@/q?host=/a b/'c"$(d)`e`\\"""
    with home.published(tmp_path, None, {"DATABASE_URL": nasty}):
        _, out, _ = qhronos("env", "--data-dir", str(tmp_path))
    command = ["/bin/sh", "-c", f'{out}\nprintf %s "$DATABASE_URL"']
    shell = subprocess.run(command, check=True, capture_output=True, text=True)

    assert nasty == shell.stdout


def test_env_of_nothing_says_what_is_missing(qhronos, tmp_path):
    code, out, err = qhronos("env")

    assert (1, "") == (code, out)
    assert f"no `qhronos up` runs on {tmp_path / 'data'}" in err


def test_a_found_token_goes_nowhere_but_home(api, tmp_path, monkeypatch):
    monkeypatch.delenv("QHRONOS_TOKEN")
    (tmp_path / "data").mkdir()
    known = {"QHRONOS_URL": "http://127.0.0.1:1", "QHRONOS_TOKEN": "found"}
    with home.published(tmp_path / "data", None, known):
        assert find(tmp_path / "data", None, None).token is None  # QHRONOS_URL is another
        assert "found" == find(tmp_path / "data", "http://127.0.0.1:1", None).token

        monkeypatch.delenv("QHRONOS_URL")

        assert ("http://127.0.0.1:1", "found") == find(tmp_path / "data", None, None)
