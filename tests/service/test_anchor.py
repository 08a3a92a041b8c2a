from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from qhronos import metrics
from qhronos.clock import MOST_SKEW, SystemClock
from qhronos.engine.anchor import DISPUTED_REST, REST, Anchor
from qhronos.plan import Plan
from qhronos.redis_link import connect
from qhronos.store import Database
from qhronos.store.clock import read

HOUR = 3600.0


class WrongNode(SystemClock):
    """A node whose own clock is an hour ahead."""

    def wall(self):
        return super().wall() + timedelta(hours=1)


@pytest.fixture
async def store(database):
    """One connection, so that what a test sets in its session stays."""
    store = Database(database, 1)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def plan(redis_url, redis_prefix):
    redis = connect(redis_url)
    yield Plan(redis, redis_prefix, shards=1)
    await redis.aclose()


@asynccontextmanager
async def postgres_ahead(store, by):
    """Its clock, as everybody on this connection sees it."""
    async with store.connection() as conn:
        await conn.execute("CREATE SCHEMA wrong")
        await conn.execute(
            "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            f" AS $$ SELECT pg_catalog.clock_timestamp() + interval '{by} seconds' $$"
        )
        await conn.execute("SET search_path = wrong, pg_catalog, public")
    try:
        yield
    finally:
        async with store.connection() as conn:
            await conn.execute("RESET search_path")
            await conn.execute("DROP SCHEMA wrong CASCADE")


async def test_a_clock_that_was_wrong_is_set_by_postgres(store, plan):
    clock = SystemClock()
    clock.anchor(clock.now() + timedelta(hours=1), clock.monotonic())

    await Anchor(store, plan, clock).tick()
    async with store.connection() as conn:
        before = clock.now()
        instant = await read(conn)
        after = clock.now()

    doubt = timedelta(milliseconds=50)  # of a machine that others use, too
    assert before - doubt <= instant <= after + doubt
    assert abs(clock.wall_offset()) < 1
    assert metrics.DB_POOL.labels("open")._value.get() >= 1


async def test_a_postgres_whose_clock_jumps_is_disputed_and_not_followed_until_it_comes_back(store, plan):
    clock = SystemClock()
    anchor = Anchor(store, plan, clock)
    rests = [await anchor.tick()]
    with capture_logs() as logs:
        async with postgres_ahead(store, HOUR):
            rests.append(await anchor.tick())
            rests.append(await anchor.tick())
            disputed, offset, shown = clock.skew, clock.wall_offset(), metrics.CLOCK_SKEW_SECONDS._value.get()
        rests.append(await anchor.tick())

    assert [REST, DISPUTED_REST, DISPUTED_REST, REST] == rests
    assert (disputed == shown, abs(disputed - HOUR) < 1, abs(offset) < 1) == (True, True, True)
    assert clock.skew < 1
    assert ["clock.disputed", "clock.confirmed"] == [line["event"] for line in logs]
    assert [-HOUR, -HOUR] == [round(logs[0]["node"]), round(logs[0]["redis"])]


async def test_who_starts_while_postgres_is_disputed_stands_on_the_clock_of_the_others(store, plan):
    clock = SystemClock()
    anchor = Anchor(store, plan, clock)
    async with postgres_ahead(store, HOUR):
        await anchor.tick()
        disputed, offset = clock.skew, clock.wall_offset()
    await anchor.tick()

    assert (True, True) == (abs(disputed - HOUR) < 1, abs(offset) < 1)
    assert clock.skew < 1


async def test_where_no_clock_agrees_with_another_that_of_postgres_decides_and_nothing_is_claimed(store, plan):
    clock = WrongNode()
    async with postgres_ahead(store, 2 * HOUR):
        await Anchor(store, plan, clock).tick()

    assert abs(clock.wall_offset() + HOUR) < 1
    assert clock.skew > MOST_SKEW


async def test_a_jump_that_the_node_makes_too_is_followed(store, plan):
    """As on a single machine, whose one clock was wrong until somebody set it."""
    clock = WrongNode()
    anchor = Anchor(store, plan, clock)
    await anchor.tick()
    async with postgres_ahead(store, HOUR):
        await anchor.tick()

        assert abs(clock.wall_offset()) < 1
        assert clock.skew < 1


async def test_a_node_whose_own_clock_is_wrong_goes_by_that_of_postgres_as_redis_confirms_it(store, plan):
    clock = WrongNode()

    await Anchor(store, plan, clock).tick()

    assert abs(clock.wall_offset() - HOUR) < 1
    assert clock.skew < 1


async def test_without_redis_the_node_alone_confirms_or_disputes(store):
    nowhere = connect("redis://127.0.0.1:1/0")
    right, wrong = SystemClock(), WrongNode()
    for clock in (right, wrong):
        await Anchor(store, Plan(nowhere, "x", shards=1), clock).tick()

    assert (True, True) == (right.skew < 1, abs(wrong.skew - HOUR) < 1)
    await nowhere.aclose()
