"""What `up` says, and what it hands to those that join it."""

import shlex
import sys

from qhronos.cli import home, up


def test_a_joining_process_gets_urls_and_keys_but_neither_port_nor_logging_nor_how_many_up_runs():
    environment = {
        "QHRONOS_DATABASE__URL": "postgresql://qhronos@/qhronos?host=/run",
        "QHRONOS_REDIS__URL": "unix:///run/s?db=0",
        "QHRONOS_REDIS__PREFIX": "p",
        "QHRONOS_SERVER__PORT": "9999",
        "QHRONOS_LOGGING__LEVEL": "debug",
        "QHRONOS_SCHEDULER__DISPATCHER_PROCESSES": "4",
        "QHRONOS_AUTH__MASTER_TOKEN": "m",
    }

    assert up.joining(environment, "http://127.0.0.1:9999") == {
        "DATABASE_URL": "postgresql://qhronos@/qhronos?host=/run",
        "REDIS_URL": "unix:///run/s?db=0",
        "QHRONOS_REDIS__PREFIX": "p",
        "QHRONOS_AUTH__MASTER_TOKEN": "m",
        "QHRONOS_URL": "http://127.0.0.1:9999",
        "QHRONOS_TOKEN": "m",
    }


def test_stores_given_in_parts_are_joined_by_url():
    joined = up.joining({"QHRONOS_DATABASE__HOST": "db", "QHRONOS_REDIS__HOST": "cache"}, None)

    assert "host='db'" in joined["DATABASE_URL"]
    assert "redis://cache:6379/0" == joined["REDIS_URL"]


def test_the_commands_of_the_banner_can_be_pasted(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "my venv" / "bin" / "qhronos")])
    text = up.banner(tmp_path / "my data", "http://127.0.0.1:8080", kept_token=True)
    pasted = [shlex.split(line) for line in text.splitlines() if "bin/qhronos" in line and "Token" not in line]

    assert [[str(tmp_path / "my venv" / "bin" / "qhronos")]] * 3 == [words[:1] for words in pasted]
    assert all("--data-dir" in words and str(tmp_path / "my data") in words for words in pasted)
    assert str(tmp_path / "my data" / "token") in text


def test_the_banner_names_the_directory_only_if_it_is_not_the_usual_one(tmp_path):
    assert "--data-dir" not in up.banner(tmp_path / "data", "http://x", kept_token=True)


def test_a_program_below_the_current_directory_is_named_from_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv/bin/qhronos")])

    assert ".venv/bin/qhronos" == up.program()


def test_a_program_on_the_path_is_named_by_its_name(monkeypatch, tmp_path):
    (tmp_path / "qhronos").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "qhronos")])

    assert "qhronos" == up.program()


def test_a_second_up_on_a_directory_is_refused(qhronos, tmp_path):
    (tmp_path / "data").mkdir()
    with home.published(tmp_path / "data", None, {}):
        code, _, err = qhronos("up")

    assert 1 == code
    assert "another `qhronos up` runs on" in err


def test_running_nothing_is_wrong_usage(qhronos):
    code, _, err = qhronos("up", "--roles", ",")

    assert 2 == code
    assert "--roles names no role" in err


def test_a_role_that_is_none_is_named(qhronos):
    code, _, err = qhronos("up", "--roles", "api,herald")

    assert 1 == code
    assert "there is no role 'herald'; the roles are api, expander, dispatcher, janitor" in err
