"""Real stores for a run of the tests, and a database of its own for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from qhronos.embedded import Embedded

# The oldest that we promise to run on; the embedded ones are the newest.
POSTGRES_IMAGE = "postgres:15-alpine"
REDIS_IMAGE = "redis:7.0-alpine"


class Stores(NamedTuple):
    database_url: str
    redis_url: str
    run: str  # begins the name of everything that this run makes in Postgres

    @property
    def template(self) -> str:
        return f"{self.run}_template"

    def url(self, database: str) -> str:
        return urlsplit(self.database_url)._replace(path=f"/{database}").geturl()


def open_stores(stack: ExitStack) -> Stores:
    """Those that the environment gives, else our own; containers if they are asked for. Closed with `stack`."""
    run = f"test_{uuid.uuid4().hex[:8]}"
    database_url = os.environ.get("QHRONOS_TEST_DATABASE_URL")
    redis_url = os.environ.get("QHRONOS_TEST_REDIS_URL")
    if database_url and redis_url:
        stores = Stores(database_url, redis_url, run)
        stack.callback(drop_all, stores)
        return stores
    if os.environ.get("QHRONOS_TEST_BACKEND") == "docker":
        return Stores(*containers(stack), run)
    folder = Path(tempfile.mkdtemp(prefix="qhronos-test-"))
    stack.callback(shutil.rmtree, folder)
    embedded = stack.enter_context(Embedded(folder, durable=False))
    return Stores(embedded.database_url, embedded.redis_url, run)


def containers(stack: ExitStack) -> tuple[str, str]:
    try:
        from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 - only who asks for containers needs it
        from testcontainers.redis import RedisContainer  # noqa: PLC0415 - the same
    except ImportError:
        pytest.exit("QHRONOS_TEST_BACKEND=docker needs `pip install testcontainers[postgres,redis]`", returncode=4)
    postgres = stack.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
    redis = stack.enter_context(RedisContainer(REDIS_IMAGE))
    redis_url = f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
    return postgres.get_connection_url(), redis_url


class Shelf:
    """Databases that are as good as new: to empty one takes a tenth of what it takes to make another."""

    def __init__(self, admin: psycopg.Connection, stores: Stores) -> None:
        self._admin = admin
        self._stores = stores
        self._names: list[str] = []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a migrated, empty database."""
        name = self._names.pop() if self._names else make_database(self._admin, self._stores)
        yield self._stores.url(name)
        if restored(self._stores.url(name)):
            self._names.append(name)
        else:
            drop(self._admin, name)

    def clear(self) -> None:
        for name in self._names:
            drop(self._admin, name)


# What a new database is like, kept in the template in a schema of its own. What a test has made is dropped; what it has
# changed otherwise, but for rows, makes the database unfit.
AS_NEW = """
    CREATE SCHEMA as_new;
    CREATE FUNCTION as_new.shape() RETURNS text LANGUAGE sql AS $$
        SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
            SELECT c.relname::text || c.relkind::text || coalesce(pg_get_expr(c.relpartbound, c.oid), '') || '.' || coalesce(a.attname::text, '')
                AS part
            FROM pg_class AS c LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'public'::regnamespace
            UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL SELECT conname::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        ) AS parts
    $$;
    CREATE TABLE as_new.remembered AS
        SELECT as_new.shape() AS shape, array_agg(relname::text) FILTER (WHERE relkind IN ('r', 'p')) AS tables
        FROM pg_class WHERE relnamespace = 'public'::regnamespace;
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('CREATE TABLE as_new.%I AS TABLE public.%I', name || '_rows', name);
        END LOOP;
    END
    $$;
    CREATE FUNCTION as_new.restore() RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        name text;
        is_filled boolean;
    BEGIN
        FOR name IN
            SELECT relname FROM pg_class, as_new.remembered
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relname = ANY(tables)
        LOOP
            EXECUTE format('DROP TABLE %I', name);
        END LOOP;
        IF as_new.shape() <> (SELECT shape FROM as_new.remembered) THEN
            RETURN false;
        END IF;
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO is_filled;
            IF is_filled THEN
                EXECUTE format('TRUNCATE %I', name);
            END IF;
            EXECUTE format('SELECT EXISTS (SELECT FROM as_new.%I)', name || '_rows') INTO is_filled;
            IF is_filled THEN
                EXECUTE format('INSERT INTO %I SELECT * FROM as_new.%I', name, name || '_rows');
            END IF;
        END LOOP;
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' LOOP
            EXECUTE format('ALTER SEQUENCE %I RESTART', name);
        END LOOP;
        RETURN true;
    END
    $$;
"""


def remember(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(AS_NEW)


def restored(database_url: str) -> bool:
    """Whether the database is as good as new. Whoever is still connected is put out."""
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            row = connection.execute("SELECT as_new.restore()").fetchone()
            return row is not None and row[0]
    except psycopg.Error:
        return False


def make_database(admin: psycopg.Connection, stores: Stores) -> str:
    name = f"{stores.run}_{uuid.uuid4().hex[:12]}"
    # Copying files is the quicker strategy where nothing is synced to disk.
    create = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
    admin.execute(SQL(create).format(Identifier(name), Identifier(stores.template)))
    return name


def make_template(admin: psycopg.Connection, stores: Stores) -> None:
    """Migrate once per run, whichever worker comes first; the lock keeps the others waiting until it is whole."""
    admin.execute("SELECT pg_advisory_lock(hashtext(%s))", [stores.run])
    try:
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [stores.template]).fetchone():
            draft = f"{stores.template}_draft"
            admin.execute(SQL("CREATE DATABASE {}").format(Identifier(draft)))
            migrate(stores.url(draft))
            remember(stores.url(draft))
            admin.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(draft), Identifier(stores.template)))
    finally:
        admin.execute("SELECT pg_advisory_unlock(hashtext(%s))", [stores.run])


def migrate(database_url: str) -> None:
    """In a thread, where no event loop of a test is in the way."""
    from qhronos.store.migrate import migrate as apply  # noqa: PLC0415 - tests without stores do not load the driver's half

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(apply(database_url))).result()


def drop_all(stores: Stores) -> None:
    """Leave nothing in a server that outlives the run."""
    with psycopg.connect(stores.database_url, autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [stores.run]):
            drop(admin, name)


def drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
