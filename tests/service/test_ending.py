"""When events that have nothing left are completed: behind what is due, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from qhronos.clock import SystemClock
from qhronos.core.occurrence import Identity
from qhronos.engine import ending
from qhronos.engine.ending import LONGEST, Endings
from tests.rows import plant_event, plant_open, rows
from tests.service.engine import make_dispatcher


@pytest.fixture
async def settler(dispatcher, noting):
    """Of a dispatcher whose deliveries are all at the gate."""
    noting.gate.clear()
    return dispatcher.settler


async def under_way(engine, clock, dispatcher, noting, count=1) -> None:
    """So many events that are due once, and that are being delivered."""
    before, now = len(noting.deliveries), clock.now()
    async with engine.database.connection() as conn:
        planted = [Identity(await plant_event(conn, now), now) for _ in range(count)]
        for identity in planted:
            await plant_open(conn, identity.event_id, now)
    await engine.plan.add((identity, now) for identity in planted)
    await dispatcher.tick()
    await noting.called(before + count)


async def finish(dispatcher, noting) -> None:
    """Until all is delivered and committed."""
    noting.gate.set()
    async with asyncio.timeout(15):
        await asyncio.gather(*dispatcher._in_flight)
        await dispatcher.settler.settled.wait()
    noting.gate.clear()


async def statuses(engine) -> list[str]:
    async with engine.database.connection() as conn:
        return [status for (status,) in await rows(conn, "SELECT status FROM events ORDER BY status")]


async def test_while_more_is_due_than_can_be_delivered_events_wait(engine, clock, dispatcher, noting, settler):
    await under_way(engine, clock, dispatcher, noting)
    settler.behind(True)
    await finish(dispatcher, noting)
    meanwhile = await statuses(engine)
    settler.behind(False)
    async with asyncio.timeout(15):
        await settler.idle.wait()

    assert ["active"] == meanwhile
    assert ["completed"] == await statuses(engine)


async def test_those_that_have_waited_long_have_their_turn(engine, clock):
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, clock.now())
    ended = asyncio.Event()
    endings = Endings(engine, clock, ended.set)
    endings.add([event_id])
    endings.hint(is_quiet=False)
    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(endings.run())
        meanwhile = await statuses(engine)
        clock.advance(LONGEST)
        endings.hint(is_quiet=False)
        await ended.wait()
        running.cancel()

    assert ["active"] == meanwhile
    assert ["completed"] == await statuses(engine)


async def test_many_are_completed_a_few_at_a_time(engine, clock, dispatcher, noting, settler, monkeypatch):
    monkeypatch.setattr(ending, "AT_ONCE", 2)
    await under_way(engine, clock, dispatcher, noting, count=5)
    await finish(dispatcher, noting)
    async with asyncio.timeout(15):
        await settler.idle.wait()

    assert ["completed"] * 5 == await statuses(engine)


async def test_whoever_is_stopped_completes_what_waits(engine, noting):
    clock = SystemClock()
    dispatcher = make_dispatcher(engine, clock, noting)
    noting.gate.clear()
    await under_way(engine, clock, dispatcher, noting)
    dispatcher.settler.behind(True)
    await finish(dispatcher, noting)
    await dispatcher.drain()

    assert ["completed"] == await statuses(engine)
