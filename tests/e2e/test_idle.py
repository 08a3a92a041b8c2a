"""Idle is quiet, by what the stores themselves say of it."""

from __future__ import annotations

import asyncio
import re

import psycopg
from psycopg.conninfo import make_conninfo
from redis.asyncio import Redis

from qhronos.clock import SystemClock
from qhronos.config import Scheduler
from qhronos.engine.recover import REST
from tests.e2e.processes import up

ONE = {"QHRONOS_SCHEDULER__DISPATCHER_PROCESSES": "1", "QHRONOS_LOGGING__FORMAT": "json"}
OBSERVED = 20.0  # seconds; twice the longest rest but for that of the janitor, and less than that
MOST = 4.0  # round trips a second
# Two statements go in one round trip: those of the sweep, and those of the expander.
PAIRS = 1 / REST + 1 / Scheduler().expansion_interval.total_seconds()
STATEMENT = re.compile(r"LOG:  (?:execute [^:]*|statement): ")


async def reads(redis):
    return (await redis.info("stats"))["total_reads_processed"]


def statements(home):
    """Those that Postgres has logged."""
    (log,) = home.rglob("postgres.log")
    return len(STATEMENT.findall(log.read_text(errors="replace")))


async def test_an_idle_up_asks_its_stores_at_most_four_times_a_second(tmp_path):
    clock = SystemClock()
    async with up(tmp_path / "data", env=ONE) as running:
        await running.process.says("plan.rebuilt")
        env = await running.environment()
        async with Redis.from_url(env["REDIS_URL"]) as redis:
            async with await psycopg.AsyncConnection.connect(
                make_conninfo(env["DATABASE_URL"]), autocommit=True
            ) as conn:
                await conn.execute("ALTER SYSTEM SET log_statement = 'all'")
                await conn.execute("SELECT pg_reload_conf()")
            began, logged, read = clock.monotonic(), statements(tmp_path), await reads(redis)
            await clock.wait(asyncio.Event(), OBSERVED)
            asked = statements(tmp_path) - logged, await reads(redis) - read - 1  # the last look is ours
            seconds = clock.monotonic() - began

    rate = sum(asked) / seconds - PAIRS
    assert 0.5 * MOST < rate <= MOST
