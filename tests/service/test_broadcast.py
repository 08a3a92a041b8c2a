from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import pytest
from structlog.testing import capture_logs

from qhronos import broadcast
from qhronos.broadcast import Broadcast, Lost
from qhronos.clock import SystemClock
from qhronos.redis_link import connect


@pytest.mark.parametrize("turns", range(60))
async def test_following_ends_when_it_is_told_to_whatever_it_is_at(redis_url, redis_prefix, turns):
    redis = connect(redis_url)
    following = asyncio.create_task(
        Broadcast(redis, redis_prefix).follow(SystemClock(), asyncio.Event(), lambda _: None)
    )
    for _ in range(turns):
        await asyncio.sleep(0)  # noqa: TID251 - lets it get a little further

    following.cancel()

    done, _ = await asyncio.wait([following], timeout=5)
    assert {following} == done
    await redis.aclose()


class Wire:
    """Between a client and Redis. A silent one carries nothing back, and closes nothing."""

    def __init__(self, url):
        self._there = urlsplit(url)
        self.carried = 0  # times that Redis said something
        self.is_silent = False

    @asynccontextmanager
    async def open(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        there = self._there
        if there.scheme == "unix":
            back, on = await asyncio.open_unix_connection(unquote(there.path))
        else:
            back, on = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(self._carry(reader, on), self._carry(back, writer, is_back=True))

    async def _carry(self, reader, writer, *, is_back=False):
        while data := await reader.read(65536):
            if is_back and not self.is_silent:
                self.carried += 1
            if not (is_back and self.is_silent):
                writer.write(data)
        writer.close()


@asynccontextmanager
async def followed(redis_url, prefix, monkeypatch):
    """A subscription over a wire, checked after a fifth of a second; what it says goes to the list."""
    monkeypatch.setattr(broadcast, "QUIET_SECONDS", 0.2)
    wire, subscribed, heard = Wire(redis_url), asyncio.Event(), []
    async with wire.open() as port:
        login, at, _ = urlsplit(redis_url).netloc.rpartition("@")
        redis = connect(f"redis://{login}{at}127.0.0.1:{port}/0")
        following = asyncio.create_task(Broadcast(redis, prefix).follow(SystemClock(), subscribed, heard.append))
        async with asyncio.timeout(10):
            await subscribed.wait()
        yield wire, subscribed, heard
        following.cancel()
        await asyncio.wait([following])
        await redis.aclose()


async def until(check):
    clock, never = SystemClock(), asyncio.Event()
    async with asyncio.timeout(10):
        while not check():
            await clock.wait(never, 0.02)


async def test_a_subscription_that_has_fallen_silent_is_lost(redis_url, redis_prefix, monkeypatch):
    with capture_logs() as logs:
        async with followed(redis_url, redis_prefix, monkeypatch) as (wire, subscribed, heard):
            wire.is_silent = True
            await until(lambda: heard)
            was_subscribed = subscribed.is_set()

    assert [Lost()] == heard[:1]
    assert not was_subscribed
    assert "the subscription has fallen silent" in logs[0]["error"]


async def test_a_subscription_on_which_nothing_is_said_lives_on_by_its_pings(redis_url, redis_prefix, monkeypatch):
    async with followed(redis_url, redis_prefix, monkeypatch) as (wire, subscribed, heard):
        before = wire.carried
        await until(lambda: wire.carried >= before + 6)

        assert subscribed.is_set()
        assert [] == heard
