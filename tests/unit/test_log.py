"""Logs: one shape for everything, and no secret in any of it."""

import json
import logging
import os
import warnings

import pytest
import structlog

from qhronos import log
from qhronos.errors import ConfigError


@pytest.fixture(autouse=True)
def _put_back():
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in log.QUIET}
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, quiet in levels.items():
        logging.getLogger(name).setLevel(quiet)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stderr(capsys):
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_line_of_json_off_a_terminal(stderr):
    log.configure()
    log.get_logger().info("occurrence.claimed", attempt=1)

    (line,) = stderr()

    assert ["timestamp", "level", "event", "attempt"] == list(line)
    assert ("info", "occurrence.claimed", 1) == (line["level"], line["event"], line["attempt"])
    assert line["timestamp"].endswith("Z")


def test_what_libraries_log_has_the_same_shape(stderr):
    log.configure()
    logging.getLogger("psycopg.pool").warning("lost %s", "it")

    (line,) = stderr()

    assert ("warning", "lost it", "psycopg.pool") == (line["level"], line["event"], line["logger"])


def test_warnings_become_lines(stderr):
    log.configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("getting old", stacklevel=1)

    (line,) = stderr()

    assert ("warning", "py.warnings") == (line["level"], line["logger"])
    assert "getting old" in line["event"]


def test_a_failure_carries_its_traceback_in_the_same_line(stderr):
    log.configure()
    try:
        raise ValueError("a bug")
    except ValueError:
        log.get_logger().exception("service.failed", service="expander")

    (line,) = stderr()

    assert "ValueError: a bug" in line["exception"]


@pytest.mark.parametrize("key", ["jwt_secret", "Authorization", "db_password", "token", "QHRONOS_TOKEN", "private_key"])
def test_secrets_are_masked_by_the_name_of_their_key(stderr, key):
    log.configure()
    log.get_logger().info("config.read", **{key: "s3cret"}, deep={"list": [{key: "s3cret"}]}, token_id="kept")

    (line,) = stderr()

    assert "s3cret" not in json.dumps(line)
    assert "kept" == line["token_id"]


def test_what_json_cannot_hold_is_written_as_text(stderr):
    log.configure()
    log.get_logger().info("window.expanded", error=ValueError("x"), kinds={"b"})

    (line,) = stderr()

    assert ("x", ["b"]) == (line["error"], line["kinds"])


def test_below_the_level_nothing_is_written_and_libraries_stay_quiet(stderr):
    log.configure(level="warning")
    log.get_logger().info("occurrence.claimed")
    logging.getLogger("uvicorn.error").info("Started")

    assert [] == stderr()


def test_the_lines_of_uvicorn_do_not_double_ours(stderr):
    log.configure(level="debug")
    logging.getLogger("uvicorn.access").info("GET /")

    assert [] == stderr()


def test_people_get_text(capsys):
    log.configure(format="text")
    log.get_logger().info("occurrence.claimed", attempt=1, config={"server.port": 8080})

    text = capsys.readouterr().err

    assert "occurrence.claimed" in text
    assert "attempt=1" in text
    assert "\x1b" not in text
    assert "server.port" not in text


def test_a_file_gets_json_as_well(stderr, tmp_path):
    log.configure(file_path=str(tmp_path / "q.log"))
    log.get_logger().info("occurrence.claimed")

    assert stderr() == [json.loads((tmp_path / "q.log").read_text())]


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"logging.file_path: cannot write .*: No such file"):
        log.configure(file_path=str(tmp_path / "no" / "q.log"))


def test_a_big_file_is_rotated_and_old_ones_are_removed(stderr, tmp_path):
    old = tmp_path / "q.log.1"
    old.write_text("from long ago")
    os.utime(old, (0, 0))
    log.configure(file_path=str(tmp_path / "q.log"), max_size=1, max_backups=3, max_age=7)
    for _ in range(3):
        log.get_logger().info("event.created", filler="x" * 600_000)

    assert {"q.log", "q.log.1", "q.log.2"} == {path.name for path in tmp_path.iterdir()}
    assert len(stderr()) == 3
