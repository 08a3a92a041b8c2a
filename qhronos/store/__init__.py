"""Postgres: the truth. The only importer of psycopg and the only home of SQL.

Functions take a connection, so the caller draws the transaction and several compose in it. Statements stand in `.sql`
files by noun. Time is a parameter. What the driver raises is translated here, once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, LiteralString, TypeAlias, cast

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from qhronos.errors import Contended, Invalid, Unavailable

Connection: TypeAlias = AsyncConnection[Any]

# A statement that takes longer is a fault, and a lock that is waited for longer is somebody else's.
OPTIONS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"
CHECKOUT_SECONDS = 5.0
# Of one connection; then its place is free, and whoever needs one tries at once. Left alone, the pool would wait twice as
# long each time: after an outage of minutes, one process would be back minutes before another.
RECONNECT_SECONDS = 1.0
STATES = {"open": "pool_size", "free": "pool_available", "waiting": "requests_waiting"}
# The statement lost to others; the connection is fine.
CONTENTION = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.SerializationFailure,
)


def load_sql(noun: str) -> dict[str, LiteralString]:
    """The statements of `<noun>.sql`, by name. Each is headed `-- name: verb_object`."""
    text = files("qhronos.store").joinpath(f"{noun}.sql").read_text()
    blocks = re.split(r"^-- name: *(\w+) *\n", text, flags=re.MULTILINE)[1:]
    # The cast is honest: the text ships with the package and nothing is ever interpolated into it.
    return {name: cast(LiteralString, body.strip()) for name, body in zip(blocks[::2], blocks[1::2], strict=True)}


class Database:
    """A pool of connections and the two ways to use one."""

    def __init__(self, url: str, size: int) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            max_idle=60,
            timeout=CHECKOUT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={"autocommit": True, "options": OPTIONS, "connect_timeout": 5, "application_name": "qhronos"},
            configure=_configure,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """For single statements, each its own transaction. Raises Unavailable, and Invalid for what no column can hold."""
        try:
            async with self._pool.connection() as conn:
                yield conn
        except CONTENTION as error:
            raise Contended("postgres", _first_line(error)) from error
        except psycopg.DataError as error:
            raise Invalid("a value is outside of what can be stored") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise Unavailable("postgres", _first_line(error)) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """For what must happen together or not at all. Raises Unavailable."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """For what reads a lot and wants it all as of one instant; nothing can be written. Raises Unavailable."""
        async with self.transaction() as conn:
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield conn

    def connections(self) -> dict[str, int]:
        """How many there are, how many of them are free, and how many callers wait for one."""
        stats = self._pool.get_stats()
        return {state: stats.get(name, 0) for state, name in STATES.items()}


async def _configure(conn: Connection) -> None:
    # JSON stays raw until its owner parses it.
    set_json_loads(_raw, conn)


def _raw(data: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(data if isinstance(data, bytes) else data.encode())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
