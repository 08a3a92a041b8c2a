"""`qhronos secrets rotate`, over a database with secrets of every age."""

from __future__ import annotations

import asyncio
import base64

import psycopg
import pytest

from qhronos.core.vault import RANDOM_BYTES, Vault, place_of
from tests.fakes import FakeClock
from tests.rows import plant_event

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def run(qhronos, monkeypatch, database):
    def run(*keys):
        monkeypatch.setenv("DATABASE_URL", database)
        monkeypatch.setenv("QHRONOS_SECRETS__KEYS", ",".join(base64.b64encode(key).decode() for key in keys))
        return qhronos("secrets", "rotate")

    return run


def plant(database, **columns):
    """An event whose secret columns hold these."""
    return asyncio.run(_plant(database, columns))


async def _plant(database, columns):
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        row = await plant_event(conn, FakeClock().now())
        for name, value in columns.items():
            sealed = (
                value
                if isinstance(value, str)
                else value.seal("s3cret", place_of("events", "hmac_secret", row), b"r" * RANDOM_BYTES)
            )
            await conn.execute(f"UPDATE events SET {name} = %s WHERE id = %s", (sealed, row))  # noqa: S608 - names from here
        return row


def test_everything_is_put_under_the_newest_key(run, database):
    events = [
        plant(database),
        plant(database, hmac_secret="s3cret"),
        plant(database, hmac_sealed=Vault([OLD])),
        plant(database, hmac_sealed=Vault([NEW])),
    ]

    assert (
        0,
        "events put under the newest key: 2\neverything is under the newest key; older ones can be removed\n",
    ) == run(NEW, OLD)[:2]
    assert run(NEW)[:2] == (
        0,
        "events put under the newest key: 0\neverything is under the newest key; older ones can be removed\n",
    )
    with psycopg.connect(database) as conn:
        rows = conn.execute("SELECT id, hmac_secret, hmac_sealed FROM events ORDER BY id").fetchall()
    found = {
        row: (plain, sealed and Vault([NEW]).open(sealed, place_of("events", "hmac_secret", row)))
        for row, plain, sealed in rows
    }
    assert dict(zip(events, [(None, None), *[(None, "s3cret")] * 3], strict=True)) == found


def test_what_cannot_be_opened_is_named_and_does_not_stop_the_others(run, database):
    lost = plant(database, hmac_sealed=Vault([OLD]))
    plant(database, hmac_secret="s3cret")

    code, out, err = run(NEW)

    assert (1, "events put under the newest key: 1\n") == (code, out)
    assert f"the secrets of event {lost} cannot be opened: it was sealed with key" in err


def test_what_is_being_edited_is_left_for_another_time(run, database):
    row = plant(database, hmac_secret="s3cret")
    with psycopg.connect(database) as conn:
        conn.execute("SELECT FROM events WHERE id = %s FOR UPDATE", (row,))
        code, _, err = run(NEW)

    assert (1, "events that were being edited meanwhile: 1; run it again\n") == (code, err)


def test_without_a_key_it_says_how_to_make_one(run):
    code, _, err = run()

    assert 1 == code
    assert "secrets.keys is not set (make one: openssl rand -base64 32)" in err
