"""A short run of the chaos suite; the whole of it is `make chaos`. QHRONOS_TEST_SEED repeats a run."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from qhronos.clock import SystemClock
from qhronos.errors import Unavailable
from qhronos.store import Database
from tests.chaos.fleet import Size
from tests.chaos.proxy import Proxy
from tests.chaos.run import run

SEED = int(os.environ.get("QHRONOS_TEST_SEED", secrets.randbelow(2**31)))
SHORT = Size(occurrences=300, seconds=8, share=0.1)


@pytest.mark.parametrize("name", ["N2", "R22"])
async def test_faults_lose_nothing(name):
    done = await run(name, SEED, SHORT)

    assert not done.row.missed, f"seed {SEED}: {done.row}"


@pytest.fixture
async def echo(tmp_path):
    """A store that answers what it is asked, behind a proxy, and all that it was asked."""
    asked = []

    async def serve(reader, writer):
        while data := await reader.read(100):
            asked.append(data)
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "socket")
    async with Proxy(str(tmp_path / "socket"), seed=1) as proxy:
        yield proxy, asked
    server.close()


async def ask(proxy):
    """What comes back; nothing if the connection ends before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(b"hello")
        async with asyncio.timeout(15):
            return await reader.read(100)
    except OSError:
        return b""
    finally:
        writer.transport.abort()


async def test_the_proxy_forwards_with_latency(echo):
    proxy, _ = echo
    clock = SystemClock()
    began = clock.monotonic()
    proxy.latency = 0.05

    assert b"hello" == await ask(proxy)
    assert clock.monotonic() - began >= 0.05


async def test_the_proxy_drops_the_reply_to_what_was_carried_out(echo):
    proxy, asked = echo
    proxy.reply_loss = 1.0

    assert b"" == await ask(proxy)
    assert ([b"hello"], 1) == (asked, proxy.dropped)


async def test_the_proxy_refuses_while_it_is_down(echo):
    proxy, asked = echo
    proxy.down()
    refused = await ask(proxy)
    proxy.up()

    assert (b"", b"hello") == (refused, await ask(proxy))
    assert [b"hello"] == asked


async def test_the_proxy_holds_what_is_under_way_until_it_is_released_or_cut(echo):
    proxy, asked = echo
    proxy.hold()
    held, cut = asyncio.create_task(ask(proxy)), asyncio.create_task(ask(proxy))
    while len(proxy._links) < 2:
        await SystemClock().wait(asyncio.Event(), 0)
    cut.cancel()
    before = list(asked)
    proxy.release()

    assert b"hello" == await held
    assert [] == before


async def test_after_a_longer_outage_of_postgres_a_process_is_back_at_once(stores):
    """Which one is back first must not matter to what the others have to settle."""
    (folder,) = parse_qs(urlsplit(stores.database_url).query).get("host", [""])
    if not folder.startswith("/"):
        pytest.skip("Postgres is not ours")
    clock, never = SystemClock(), asyncio.Event()
    async with Proxy(f"{folder}/.s.PGSQL.5432", seed=1) as proxy:
        database = Database(f"postgresql://qhronos@127.0.0.1:{proxy.port}/qhronos?sslmode=disable", 4)
        await database.open()
        async with database.connection() as conn:
            await conn.execute("SELECT 1")
        proxy.down()
        with pytest.raises(Unavailable):
            async with database.connection() as conn:
                await conn.execute("SELECT 1")
        await clock.wait(never, 4)

        proxy.up()
        began, is_back = clock.monotonic(), False
        while not is_back:
            with suppress(Unavailable):  # of a connection that was begun before
                async with database.connection() as conn:
                    await conn.execute("SELECT 1")
                is_back = True

        assert clock.monotonic() - began < 2
        await database.close()
