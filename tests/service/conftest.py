from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qhronos.api.deps import Deps
from qhronos.dispatcher import Dispatcher
from qhronos.engine.stores import Stores
from tests.fakes import FakeClock
from tests.service.api import Api, open_api, open_deps
from tests.service.engine import Noting, make_dispatcher, open_stores


@pytest.fixture
async def deps(database: str, redis_url: str, redis_prefix: str, clock: FakeClock) -> AsyncIterator[Deps]:
    async with open_deps(database, redis_url, redis_prefix, clock) as opened:
        yield opened


@pytest.fixture
async def api(deps: Deps) -> AsyncIterator[Api]:
    async with open_api(deps) as opened:
        yield opened


@pytest.fixture
async def engine(database: str, redis_url: str, redis_prefix: str) -> AsyncIterator[Stores]:
    async with open_stores(database, redis_url, redis_prefix) as engine:
        yield engine


@pytest.fixture
def noting() -> Noting:
    return Noting()


@pytest.fixture
async def dispatcher(engine: Stores, clock: FakeClock, noting: Noting) -> AsyncIterator[Dispatcher]:
    dispatcher = make_dispatcher(engine, clock, noting)
    yield dispatcher
    noting.gate.set()
    await dispatcher.drain()
