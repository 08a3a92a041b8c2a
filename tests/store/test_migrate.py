"""Migrations: applied once, in order, by whoever comes first; a schema from elsewhere is refused."""

import asyncio
import sys
import uuid

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from qhronos import cli
from qhronos.errors import ConfigError, Unavailable
from qhronos.store import migrate
from tests.stores import drop


@pytest.fixture
def empty(admin, stores):
    """The URL of a database without a schema."""
    name = f"{stores.run}_{uuid.uuid4().hex[:12]}"
    admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield stores.url(name)
    drop(admin, name)


async def ensure_current(url):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await migrate.ensure_current(conn)


async def execute(url, statement):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(statement)


NAMES = [migration.name for migration in migrate.known()]


async def test_what_is_missing_is_applied_once(empty):
    before = await migrate.check(empty)
    applied = await migrate.migrate(empty)

    assert (NAMES, NAMES, []) == (before, applied, await migrate.check(empty))
    assert [] == await migrate.migrate(empty)
    await ensure_current(empty)


async def test_of_many_at_once_one_does_the_work(empty):
    results = await asyncio.gather(*(migrate.migrate(empty) for _ in range(4)))

    assert [[], [], [], NAMES] == sorted(results)


async def test_checking_changes_nothing(empty):
    await migrate.check(empty)

    assert NAMES == await migrate.check(empty)


async def test_services_refuse_a_schema_that_is_behind(empty):
    with pytest.raises(ConfigError, match=r"migrations behind .*; run `qhronos migrate`"):
        await ensure_current(empty)


async def test_a_schema_that_is_newer_is_refused(database):
    await execute(database, "INSERT INTO schema_migrations (name, checksum) VALUES ('9999_future', '')")

    with pytest.raises(ConfigError, match=r"newer than this version of Qhronos \(9999_future\); upgrade"):
        await ensure_current(database)


async def test_a_migration_that_was_changed_afterwards_is_refused(database):
    await execute(database, "UPDATE schema_migrations SET checksum = 'another'")

    with pytest.raises(ConfigError, match="was changed after it was applied"):
        await migrate.migrate(database)


async def test_a_database_that_is_away_is_unavailable():
    with pytest.raises(Unavailable, match="postgres is unavailable"):
        await migrate.check("postgresql://127.0.0.1:1/nothing")


def test_the_command_checks_applies_and_is_harmless_to_repeat(empty, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", empty)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["qhronos", "migrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().out

    assert (1, "".join(f"to apply: {name}\n" for name in NAMES)) == run("--check")
    assert (0, "".join(f"applied: {name}\n" for name in NAMES)) == run()
    assert (0, "the schema is up to date\n") == run()
    assert (0, "the schema is up to date\n") == run("--check")
