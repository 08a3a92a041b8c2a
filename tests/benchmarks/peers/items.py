"""The items of the work, for the peers on Python, and the ways to deliver one. Everything comes by the environment."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

COUNT = int(os.environ["COUNT"])
FIRST_US = int(os.environ["FIRST_US"])
SPREAD_US = int(os.environ["SPREAD_US"])
URL = os.environ["URL"]
DATABASE_URL = os.environ["DATABASE_URL"]
REDIS_SOCKET = os.environ["REDIS_SOCKET"]
HEADERS = {"content-type": "application/json"}
CONNECTIONS = 128
own = threading.local()


class Item(NamedTuple):
    item: int
    due_ms: float

    @property
    def due(self) -> datetime:
        return datetime.fromtimestamp(self.due_ms / 1e3, UTC)


def items(begin: int = 0, step: int = 1) -> Iterator[Item]:
    for item in range(begin, COUNT, step):
        yield Item(item, (FIRST_US + item * SPREAD_US // COUNT) / 1e3)


def post(item: int, due_ms: float) -> None:
    """Over the thread's own connection: less work than any library for it does."""
    if not hasattr(own, "connection"):
        target = urlsplit(URL)
        own.connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)
    own.connection.request("POST", urlsplit(URL).path, json.dumps({"item": item, "due_ms": due_ms}), HEADERS)
    own.connection.getresponse().read()


async def post_async(item: int, due_ms: float) -> None:
    """By aiohttp, in one session."""
    import aiohttp  # noqa: PLC0415 - the peers on threads do without it

    if not hasattr(own, "session"):
        own.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS))
    async with own.session.post(URL, data=json.dumps({"item": item, "due_ms": due_ms}), headers=HEADERS) as response:
        await response.read()


def enqueued(began: float) -> None:
    """Said when all items wait."""
    print(json.dumps({"per_second": COUNT / (time.time() - began)}), flush=True)
