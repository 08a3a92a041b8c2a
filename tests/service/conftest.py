from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qhronos.api.deps import Deps
from tests.fakes import FakeClock
from tests.service.api import Api, open_api, open_deps


@pytest.fixture
async def deps(database: str, redis_url: str, redis_prefix: str, clock: FakeClock) -> AsyncIterator[Deps]:
    async with open_deps(database, redis_url, redis_prefix, clock) as opened:
        yield opened


@pytest.fixture
async def api(deps: Deps) -> AsyncIterator[Api]:
    async with open_api(deps) as opened:
        yield opened
