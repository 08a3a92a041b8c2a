"""What every test may ask for.

The stores are real: those that `QHRONOS_TEST_DATABASE_URL` and `QHRONOS_TEST_REDIS_URL` name, else our own embedded ones, else,
with `QHRONOS_TEST_BACKEND=docker`, containers. All workers of a run share them; a test has a database made from a migrated
template, and a prefix for its keys in Redis. Tests that ask for neither start no server.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.fakes import FakeClock, Receiver
from tests.stores import Shelf, Stores, make_template, open_stores

OPENED = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OPENED] = ExitStack()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller, once for each worker: workers come and go, the stores stay."""
    config = node.config
    if not hasattr(config, "stores"):
        config.stores = open_stores(config.stash[OPENED])
    node.workerinput["stores"] = tuple(config.stores)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[OPENED].close()


@pytest.fixture(scope="session")
def stores(pytestconfig: pytest.Config) -> Stores:
    given = getattr(pytestconfig, "workerinput", {}).get("stores")
    return Stores(*given) if given else open_stores(pytestconfig.stash[OPENED])


@pytest.fixture(scope="session")
def admin(stores: Stores) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        make_template(connection, stores)
        yield connection


@pytest.fixture(scope="session")
def shelf(admin: psycopg.Connection, stores: Stores) -> Iterator[Shelf]:
    shelf = Shelf(admin, stores)
    yield shelf
    shelf.clear()


@pytest.fixture
def database(shelf: Shelf) -> Iterator[str]:
    """The URL of an empty database with the current schema."""
    with shelf.database() as url:
        yield url


@pytest.fixture
def redis_url(stores: Stores) -> str:
    return stores.redis_url


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """A prefix that no other test has; what is under it is removed afterwards."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    yield prefix
    with redis.from_url(redis_url) as client:
        left = list(client.scan_iter(f"{prefix}*", count=1000))
        if left:
            client.unlink(*left)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """As pytest's own, but short enough for sockets, and such that the user who is Postgres when we are root can pass."""
    folder = Path(tempfile.mkdtemp(prefix="qhronos-test-"))
    folder.chmod(0o711)
    yield folder
    # Servers that lost their holder may still be writing their last.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
