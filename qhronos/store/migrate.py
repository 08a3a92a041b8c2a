"""Apply `migrations/` in order, forward only, under one advisory lock; refuse a schema that this code does not know."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import psycopg

from qhronos.errors import ConfigError, Unavailable
from qhronos.store import Connection, load_sql

SQL = load_sql("migrate")
REMEDY = "run `qhronos migrate`"


class Migration(NamedTuple):
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def known() -> list[Migration]:
    """The migrations that came with this code: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "migrations", package.parent / "migrations"):
        if folder.is_dir():
            return [Migration(path.stem, path.read_text()) for path in sorted(folder.glob("*.sql"))]
    raise ConfigError("the migrations are missing from this installation; install it again")


async def migrate(database_url: str) -> list[str]:
    """Bring the schema up to date; the names of what was applied. Any number may run at once: one does the work."""
    async with await _connect(database_url) as conn:
        await conn.execute(SQL["lock"])
        await conn.execute(SQL["create_ledger"])
        missing = missing_from(known(), await _applied(conn))
        for migration in missing:
            async with conn.transaction():
                # Ships with the package; several statements at once, so no parameters.
                await conn.execute(migration.text)
                await conn.execute(SQL["record"], {"name": migration.name, "checksum": migration.checksum})
        return [migration.name for migration in missing]


async def check(database_url: str) -> list[str]:
    """The names of what `migrate` would apply. Raises ConfigError on a schema from elsewhere."""
    async with await _connect(database_url) as conn:
        return [migration.name for migration in missing_from(known(), await _applied(conn))]


async def ensure_current(conn: Connection) -> None:
    """Services start only on the schema they were written for."""
    missing = missing_from(known(), await _applied(conn))
    if missing:
        raise ConfigError(f"the database schema is {len(missing)} migrations behind ({missing[0].name} …); {REMEDY}")


def missing_from(ours: list[Migration], applied: dict[str, str]) -> list[Migration]:
    """What is left to apply. Raises ConfigError when what was applied is not what we know."""
    strange = sorted(applied.keys() - {migration.name for migration in ours})
    if strange:
        raise ConfigError(f"the database schema is newer than this version of Qhronos ({strange[0]}); upgrade Qhronos")
    for migration in ours:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise ConfigError(f"migration {migration.name} was changed after it was applied; restore the released file")
    return [migration for migration in ours if migration.name not in applied]


async def _applied(conn: Connection) -> dict[str, str]:
    """Name to checksum; empty on a new database."""
    exists = await (await conn.execute(SQL["find_ledger"])).fetchone()
    if exists is None or exists[0] is None:
        return {}
    return dict(await (await conn.execute(SQL["list_applied"])).fetchall())


async def _connect(database_url: str) -> Connection:
    try:
        return await psycopg.AsyncConnection.connect(database_url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise Unavailable("postgres", str(error).strip().splitlines()[0]) from error
