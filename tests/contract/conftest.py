"""On which event loops the suites run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

PLAIN = {"asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A module may name its own in `LOOPS`; all others run on the plain one."""
    return getattr(item.module, "LOOPS", PLAIN)
