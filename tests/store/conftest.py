from collections.abc import AsyncIterator

import pytest

from qhronos.store import Connection, Database


@pytest.fixture
async def store(database: str) -> AsyncIterator[Database]:
    """The pool that services use, on a database of this test's own."""
    pool = Database(database, 4)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def conn(store: Database) -> AsyncIterator[Connection]:
    async with store.connection() as connection:
        yield connection
