"""HTTP 410 from an endpoint: the occurrence has failed, and its event is paused."""

from __future__ import annotations

import pytest

from qhronos.core.attempt import Delivered, Refused
from qhronos.core.occurrence import Identity
from qhronos.engine.gone import REASON
from tests.rows import plant_event, plant_open, rows, seconds
from tests.service.engine import Noting, settled

GONE = Refused(reason="HTTP 410: the endpoint is gone for good", status_code=410, gone=True)


@pytest.fixture
def noting():
    noting = Noting()
    noting.answer = lambda _: GONE
    return noting


async def plant(engine, clock, *offsets, **event) -> Identity:
    """A daily event with something due at each offset from now, in seconds."""
    now = clock.now()
    fields = {"rrule": ["RRULE:FREQ=DAILY"], "next_expand_at": now + seconds(86_400)} | event
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, now, **fields)
        for offset in offsets:
            await plant_open(conn, event_id, now + seconds(offset))
    await engine.plan.add([(Identity(event_id, now + seconds(offset)), now + seconds(offset)) for offset in offsets])
    return Identity(event_id, now)


async def query(engine, text, *params):
    async with engine.database.connection() as conn:
        return await rows(conn, text, *params)


async def turns(dispatcher, count=2):
    for _ in range(count):
        await dispatcher.tick()
        await settled(dispatcher)
        await dispatcher._gone.idle()


async def test_an_event_whose_endpoint_is_gone_is_paused_and_says_why(engine, clock, dispatcher, noting):
    await plant(engine, clock, 0, 60)
    await turns(dispatcher)
    clock.advance(60)
    await turns(dispatcher)

    assert len(noting.deliveries) == 1
    assert [("failed", GONE.reason)] == await query(engine, "SELECT status, reason FROM occurrences")
    assert [("paused", REASON)] == await query(engine, "SELECT status, reason FROM events")
    assert [("paused",)] == await query(engine, "SELECT blocked_on FROM pending")
    assert [("qhronos", "event.paused")] == await query(engine, "SELECT actor, action FROM audit")


async def test_an_event_that_was_edited_meanwhile_goes_on(engine, clock, dispatcher, noting):
    await plant(engine, clock, 0)
    noting.gate.clear()
    await dispatcher.tick()
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE events SET version = 2")
    noting.gate.set()
    await settled(dispatcher)
    await turns(dispatcher)

    assert [("active",)] == await query(engine, "SELECT status FROM events")


async def test_an_event_that_was_deleted_meanwhile_stays_so(engine, clock, dispatcher, noting):
    await plant(engine, clock, 0)
    noting.gate.clear()
    await dispatcher.tick()
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE events SET status = 'deleted', deleted_at = now()")
    noting.gate.set()
    await turns(dispatcher)

    assert [("deleted",)] == await query(engine, "SELECT status FROM events")
    assert ("event.paused",) not in await query(engine, "SELECT action FROM audit")


async def test_an_event_with_nothing_left_is_completed(engine, clock, dispatcher):
    await plant(engine, clock, 0, rrule=(), next_expand_at=None)
    await turns(dispatcher)

    assert [("completed", None)] == await query(engine, "SELECT status, reason FROM events")


async def test_where_410_is_tried_again_it_pauses_nothing_before_the_last_attempt(engine, clock, dispatcher):
    await plant(engine, clock, 0, policies={"retry": {"max_attempts": 2, "backoff": [0], "retry_on": ["410"]}})
    await turns(dispatcher, 1)
    before = await query(engine, "SELECT status FROM events")
    await turns(dispatcher)

    assert [("active",)] == before
    assert [("paused",)] == await query(engine, "SELECT status FROM events")


async def test_an_event_that_cannot_be_paused_keeps_no_other_waiting(engine, clock, dispatcher, noting):
    """Such as one that has followed to zone rules newer than this process has."""
    await plant(engine, clock, 0)
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE events SET tzdata = '9999z'")
    await turns(dispatcher)
    noting.answer = lambda _: Delivered(status_code=200)
    healthy = await plant(engine, clock, 0)
    await turns(dispatcher)

    assert healthy.event_id == noting.deliveries[-1].event_id
    assert [("active",), ("active",)] == await query(engine, "SELECT status FROM events")
