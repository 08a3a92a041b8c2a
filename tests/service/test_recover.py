from __future__ import annotations

import pytest

from qhronos import metrics
from qhronos.config import Scheduler
from qhronos.core.occurrence import Identity
from qhronos.engine.recover import GRACE, Reaper, Rebuilder, Standby, Sweeper
from qhronos.errors import Unavailable
from qhronos.store import pending
from tests.rows import plant_event, plant_open, rows, seconds


async def open_one(engine, due_at):
    """Open in Postgres, unknown to the plan."""
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, due_at)
        await plant_open(conn, event_id, due_at)
    return Identity(event_id, due_at)


async def planned(engine, until):
    return (await engine.plan.pop(until, until, 1000)).identities


async def test_the_reaper_alone_brings_back_what_a_dead_worker_held(engine, clock):
    identity = await open_one(engine, clock.now())
    async with engine.database.connection() as conn:
        worker = await pending.register_worker(conn, "dead", clock.now())
        lease_until = clock.now() + seconds(3600)
        await pending.claim(conn, [identity], horizon=clock.now(), lease_until=lease_until, worker=worker)
    clock.advance(6)
    reaper = Reaper(engine, clock)

    rest = await reaper.tick()
    early = await planned(engine, clock.now())
    clock.advance(rest)
    await reaper.tick()

    assert GRACE == rest
    assert [] == early
    assert [identity] == await planned(engine, clock.now())


async def test_the_reaper_waits_anew_after_an_outage(engine, clock):
    reaper = Reaper(engine, clock)
    await reaper.tick()
    clock.advance(GRACE)
    await reaper.tick()
    reaper._stores = engine._replace(database=Gone())
    with pytest.raises(Unavailable):
        await reaper.tick()
    reaper._stores = engine

    assert GRACE == await reaper.tick()


class Gone:
    def connection(self):
        raise Unavailable("postgres", "gone")


async def test_the_rebuilder_alone_restores_a_lost_plan(engine, clock):
    identities = [await open_one(engine, clock.now() + seconds(i)) for i in range(5)]
    async for key in engine.plan.redis.scan_iter(f"{engine.plan.prefix}*"):
        await engine.plan.redis.delete(key)

    await Rebuilder(engine, clock).tick()

    assert [] == (await engine.plan.lost()).shards
    assert set(identities) == set(await planned(engine, clock.now() + seconds(10)))


async def test_the_sweeper_alone_finds_what_is_overdue_and_leaves_the_rest(engine, clock):
    overdue = await open_one(engine, clock.now() - seconds(2))
    await open_one(engine, clock.now() + seconds(2))

    await Sweeper(engine, clock).tick()

    assert [overdue] == await planned(engine, clock.now())
    assert 2 == metrics.OVERDUE_SECONDS_MAX._value.get()

    clock.advance(-1)
    await Sweeper(engine, clock).tick()
    assert 0 == metrics.OVERDUE_SECONDS_MAX._value.get()


async def test_paused_rows_are_never_swept(engine, clock):
    await open_one(engine, clock.now() - seconds(2))
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE pending SET blocked_on = 'paused'")

    await Sweeper(engine, clock).tick()

    assert [] == await planned(engine, clock.now())
    async with engine.database.connection() as conn:
        assert [("paused",)] == await rows(conn, "SELECT blocked_on FROM pending")


async def test_without_expanders_what_falls_due_is_expanded_in_their_place(engine, clock):
    now = clock.now()
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, now, rrule=["FREQ=MINUTELY;INTERVAL=20"], next_expand_at=now)
    clock.advance(60)

    rest = await Standby(engine, clock, Scheduler()).tick()

    dues = [now + seconds(1200 * n) for n in range(4)]
    async with engine.database.connection() as conn:
        opened = await rows(conn, "SELECT event_id, due_at FROM pending ORDER BY due_at")
    assert 0.0 == rest
    assert [(event_id, due_at) for due_at in dues] == opened
    assert dues == sorted(one.due_at for one in await planned(engine, dues[-1]))


@pytest.mark.parametrize(("look_ahead", "patience"), [(3600, 30), (8, 2)])
async def test_expanders_are_given_time(engine, clock, look_ahead, patience):
    now = clock.now()
    async with engine.database.connection() as conn:
        await plant_event(conn, now, rrule=["FREQ=MINUTELY"], next_expand_at=now)
    standby = Standby(engine, clock, Scheduler(look_ahead_duration=seconds(look_ahead)))
    clock.advance(patience - 0.5)
    early = await standby.tick()
    clock.advance(0.5)

    assert 0.5 == pytest.approx(early)
    assert 0.0 == await standby.tick()


async def test_with_nothing_to_expand_it_rests(engine, clock):
    assert 10.0 == await Standby(engine, clock, Scheduler()).tick()


async def test_what_expanders_are_at_is_left_to_them(engine, clock):
    now = clock.now()
    async with engine.database.connection() as conn:
        await plant_event(conn, now, rrule=["FREQ=MINUTELY"], next_expand_at=now)
    clock.advance(60)
    async with engine.database.transaction() as conn:
        await conn.execute("SELECT FROM events FOR UPDATE")

        assert 10.0 == await Standby(engine, clock, Scheduler()).tick()
