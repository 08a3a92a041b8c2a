"""`qhronos fsck`, against real stores."""

import json

import psycopg
import pytest


@pytest.fixture
def at_home(monkeypatch, database, redis_url, redis_prefix):
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("QHRONOS_REDIS__PREFIX", redis_prefix)
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def plant_orphan(connection):
    connection.execute(
        "INSERT INTO pending (event_id, due_at, fire_at, version, origin)"
        " VALUES ('00000000-0000-4000-8000-000000000007', '2040-01-01T00:00Z', '2040-01-01T00:00Z', 1, 'rule')"
    )


def test_nothing_is_wrong_with_a_new_installation(qhronos, at_home):
    code, out, err = qhronos("fsck")

    assert (0, "", "all checks passed; the ledger was read of 0 events\n") == (code, out, err)


def test_what_is_wrong_is_told_to_people(qhronos, at_home):
    plant_orphan(at_home)
    code, out, err = qhronos("fsck")

    assert 1 == code
    assert [
        "unknown_event: 1 open occurrences whose event does not exist",
        "    event 00000000-0000-4000-8000-000000000007  2040-01-01 00:00:00Z",
    ] == out.splitlines()
    assert err.startswith("1 of ")


def test_what_is_wrong_is_told_to_programs(qhronos, at_home):
    plant_orphan(at_home)
    code, out, _ = qhronos("fsck", "-o", "json", "--events", "0")
    report = json.loads(out)

    assert (1, False, ["unknown_event"]) == (code, report["clean"], [one["check"] for one in report["violations"]])


def test_many_are_cut_short(qhronos, at_home):
    at_home.execute(
        "INSERT INTO pending (event_id, due_at, fire_at, version, origin)"
        " SELECT gen_random_uuid(), '2040-01-01T00:00Z', '2040-01-01T00:00Z', 1, 'rule' FROM generate_series(1, 11)"
    )
    _, out, _ = qhronos("fsck")

    assert (12, "    …") == (len(out.splitlines()), out.splitlines()[-1])


def test_a_store_that_is_away_is_no_answer(qhronos, at_home, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    code, out, err = qhronos("fsck")

    assert (2, "") == (code, out)
    assert "redis is unavailable" in err


def test_a_configuration_that_cannot_be_read_is_no_answer(qhronos, monkeypatch):
    monkeypatch.setenv("QHRONOS_SCHEDULER__LEASE", "1s")

    assert (2, "") == qhronos("fsck")[:2]
