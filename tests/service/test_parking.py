"""No room at a destination: what is due there waits without a slot and without an attempt, and holds up nobody."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from qhronos import actions
from qhronos.clock import SystemClock
from qhronos.core.attempt import Delivered, Parked
from qhronos.core.occurrence import Identity
from qhronos.engine.stores import Stores
from qhronos.engine.worker import Worker
from qhronos.http import Client, Egress
from qhronos.service import run
from qhronos.store import changes
from tests.contract.servers import Endpoint, is_silent
from tests.rows import plant_event, plant_open, rows
from tests.service.engine import DEFAULTS, Dispatcher, Scheduler, settled

PLACE = "https://example.com"
FULL = Parked(cause="full", place=PLACE)


async def plan(engine: Stores, url: str, due_ats: list, now, **event) -> list[Identity]:
    """An event with these instants, all of them planned."""
    async with engine.database.connection() as conn, conn.transaction():
        action = {"type": "webhook", "params": {"url": url}}
        event_id = await plant_event(conn, now, action=action, next_expand_at=now + timedelta(days=1), **event)
        for due_at in due_ats:
            await plant_open(conn, event_id, due_at)
    identities = [Identity(event_id, due_at) for due_at in due_ats]
    await engine.plan.add([(identity, identity.due_at) for identity in identities])
    return identities


async def query(engine, text, *params):
    async with engine.database.connection() as conn:
        return await rows(conn, text, *params)


async def turn(dispatcher):
    await dispatcher.tick()
    await settled(dispatcher)


async def test_what_there_is_no_room_for_is_put_off_and_uses_up_no_attempt(engine, clock, dispatcher, noting):
    await plan(engine, PLACE, [clock.now()], clock.now())
    noting.answer = lambda _: FULL

    await turn(dispatcher)

    ((attempt, starts, lease, fire_at),) = await query(
        engine, "SELECT attempt, starts, lease_until, fire_at FROM pending"
    )
    assert (0, 0, None) == (attempt, starts, lease)
    assert timedelta(seconds=5) <= fire_at - clock.now() <= timedelta(seconds=10)
    assert [] == await query(engine, "SELECT FROM attempts")
    assert [] == await query(engine, "SELECT FROM tallies")

    noting.answer = lambda _: Delivered(status_code=200)
    clock.advance(11)
    await turn(dispatcher)

    assert [1, 1] == [delivery.attempt for delivery in noting.deliveries]
    assert [("completed", 1)] == await query(engine, "SELECT status, attempt FROM occurrences")


async def test_a_rest_that_is_asked_for_is_kept_whatever_room_there_is(engine, clock, dispatcher, noting):
    await plan(engine, PLACE, [clock.now()], clock.now())
    noting.answer = lambda _: Parked(cause="breaker", place=PLACE, pause=timedelta(seconds=30))
    await turn(dispatcher)
    dispatcher.parking.room(PLACE, 1)
    clock.advance(29)
    await turn(dispatcher)

    assert len(noting.deliveries) == 1
    clock.advance(5)
    await turn(dispatcher)

    assert len(noting.deliveries) == 2


async def test_when_there_is_room_the_next_that_waits_comes_at_once(engine, clock, dispatcher, noting):
    now = clock.now()
    await plan(engine, PLACE, [now - timedelta(seconds=number) for number in range(3)], now)
    noting.answer = lambda _: FULL
    await turn(dispatcher)
    noting.answer = lambda _: Delivered(status_code=200)
    dispatcher.wake.clear()

    dispatcher.parking.room(PLACE, 2)
    woken = dispatcher.wake.is_set()
    await turn(dispatcher)

    assert woken
    assert (5, 1) == (len(noting.deliveries), (await query(engine, "SELECT count(*) FROM pending"))[0][0])


async def test_what_was_moved_meanwhile_is_not_called_back(engine, clock, dispatcher, noting):
    (identity,) = await plan(engine, PLACE, [clock.now()], clock.now())
    noting.answer = lambda _: FULL
    await turn(dispatcher)
    async with engine.database.connection() as conn:
        await changes.move(conn, identity, clock.now() + timedelta(hours=1), clock.now())
    dispatcher.parking.room(PLACE, 1)
    await turn(dispatcher)

    assert len(noting.deliveries) == 1


async def test_what_is_put_off_keeps_its_turn(engine, clock, dispatcher, noting):
    now = clock.now()
    first, second = await plan(engine, PLACE, [now - timedelta(seconds=2), now], now, policies={"ordering_key": "x"})
    noting.answer = lambda _: FULL
    await turn(dispatcher)
    noting.answer = lambda _: Delivered(status_code=200)
    await turn(dispatcher)
    before = [delivery.due_at for delivery in noting.deliveries]
    dispatcher.parking.room(PLACE, 1)
    for _ in range(3):
        await turn(dispatcher)

    assert [first.due_at] == before
    assert [first.due_at, first.due_at, second.due_at] == [delivery.due_at for delivery in noting.deliveries]


async def test_what_is_put_off_is_as_late_as_it_is(engine, clock, dispatcher, noting):
    await plan(engine, PLACE, [clock.now()], clock.now(), policies={"misfire": {"policy": "skip"}})
    noting.answer = lambda _: FULL
    for _ in range(13):
        await turn(dispatcher)
        clock.advance(11)

    assert [("skipped", "missed: misfire policy skip")] == await query(engine, "SELECT status, reason FROM occurrences")


async def test_what_is_put_off_is_overdue_to_an_edit_and_stays(engine, clock, dispatcher, noting):
    (identity,) = await plan(engine, PLACE, [clock.now()], clock.now())
    noting.answer = lambda _: FULL
    await turn(dispatcher)
    clock.advance(1)
    async with engine.database.connection() as conn:
        removed = await changes.remove_future(conn, identity.event_id, clock.now(), clock.now())

    assert [] == removed


async def test_an_origin_that_never_answers_delays_no_other(engine, receiver):
    """500 occurrences due at once at an origin that is silent for a minute, and fewer hands than that."""
    clock = SystemClock()
    client = Client(Egress(["127.0.0.0/8"]), clock)
    worker = Worker("test", engine.database, clock)
    settings = Scheduler(dispatch_worker_count=50)
    dispatcher = Dispatcher(engine, worker, actions.Performer(client), DEFAULTS, clock, settings)
    client.on_room = dispatcher.parking.room
    stop = asyncio.Event()
    async with Endpoint(is_silent) as silent:
        now = clock.now()
        await plan(engine, silent.url, [now - timedelta(milliseconds=number) for number in range(500)], now)
        running = asyncio.create_task(run(dispatcher, clock, stop))
        due_at = clock.now() + timedelta(seconds=1)
        await plan(engine, receiver.url, [due_at + timedelta(microseconds=number) for number in range(50)], now)
        requests = await receiver.wait_for(50)

        assert max(request.arrived_at for request in requests) - due_at < timedelta(seconds=0.5)
        assert (10, 10) == (silent.most_open, silent.accepted)
        await client.close()  # or draining would wait for the silent ones
        stop.set()
        dispatcher.wake.set()
        await running

    assert [(0,)] == await query(engine, "SELECT count(*) FROM pending WHERE lease_until IS NOT NULL")
