"""Expanders that die at every statement, that run beside each other, and that are gone: the rows are the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier
from structlog.testing import capture_logs

from qhronos.config import Scheduler
from qhronos.core import occurrence
from qhronos.engine.recover import Standby, Sweeper
from qhronos.expander import Expander
from qhronos.store import Database
from tests.fakes import FakeClock
from tests.rows import plant_event, plant_open, rows, seconds
from tests.service.engine import make_dispatcher, settled
from tests.service.mortal import Fate, Killed, mortal

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTINGS = Scheduler(max_open=40)
# All that an expander writes. TRUNCATE takes ten times as long, as the ledger has many partitions.
EMPTY = ("events", "event_versions", "pending", "occurrences", "gaps", "tzdata_changes", "tallies")
# What an expander leaves behind, by the tag of the event.
LEFT = {
    "events": "SELECT tags[1], status, reason, version, tzdata, recurrence::text, expanded_until, next_due_at,"
    " next_expand_at FROM events ORDER BY tags",
    "versions": "SELECT tags[1], v.version, v.tzdata, valid_from, valid_until"
    " FROM event_versions AS v JOIN events AS e ON e.id = event_id ORDER BY tags, v.version",
    "open": "SELECT tags[1], due_at, fire_at, p.version, origin, wall, blocked_on, fence"
    " FROM pending AS p JOIN events AS e ON e.id = event_id ORDER BY tags, due_at",
    "closed": "SELECT tags[1], due_at, o.status, o.reason FROM occurrences AS o JOIN events AS e ON e.id = event_id"
    " ORDER BY tags, due_at",
    "gaps": "SELECT tags[1], since, until, count, g.reason FROM gaps AS g JOIN events AS e ON e.id = event_id"
    " ORDER BY tags, since",
    "moved": "SELECT tags[1], change, before, after FROM tzdata_changes AS c JOIN events AS e ON e.id = event_id"
    " ORDER BY tags, before",
}


async def plant(stores, now) -> None:
    """Whatever an expander does something else with, as it was before any expander came by."""
    async with stores.database.connection() as conn:
        for table in EMPTY:
            await conn.execute(SQL("DELETE FROM {}").format(Identifier(table)))

        async def event(tag: str, *rrule: str, **said: Any):
            return await plant_event(conn, now, rrule=rrule, tags=[tag], **({"next_expand_at": now} | said))

        await event("hourly", "FREQ=HOURLY")
        await event("minutes", "FREQ=MINUTELY;INTERVAL=7")
        await event("once")
        await event("crowded", "FREQ=SECONDLY;INTERVAL=5")
        await event("over", "FREQ=DAILY;UNTIL=20200101T000000Z")
        await event("poisoned", "FREQ=SOMETIMES")
        since = now - 3 * DAY
        await event("missed", "FREQ=HOURLY", start=since, expanded_until=since)
        await event("paused", "FREQ=HOURLY", status="paused")
        # Older zone rules had it an hour later.
        at = now + HOUR / 2
        where = {"start": at, "timezone": "Europe/Berlin", "tzdata": "2020a", "expanded_until": now + HOUR}
        moved = await event("moved", "FREQ=DAILY", **where)
        await plant_open(conn, moved, at + HOUR / 4, wall=at.replace(tzinfo=None) + HOUR)
        await conn.execute(
            "INSERT INTO event_versions (event_id, version, recurrence, policies, tzdata, valid_from)"
            " SELECT id, version, recurrence, policies, tzdata, created_at FROM events"
        )


async def expand_all(stores, clock) -> None:
    expander = Expander(stores, clock, SETTINGS)
    while not await expander.tick():
        pass


async def left_behind(stores) -> dict[str, list[tuple[object, ...]]]:
    async with stores.database.connection() as conn:
        return {name: await rows(conn, text) for name, text in LEFT.items()}


async def planned_in_time(stores, clock) -> set[tuple[str, object]]:
    """What of the open rows the plan has once all of them are due, if nobody expands any more."""
    clock.advance(2 * 3600)
    await Sweeper(stores, clock).tick()
    async with stores.database.connection() as conn:
        tags = dict(await rows(conn, "SELECT id, tags[1] FROM events"))
    planned = await stores.plan.planned_before(clock.now(), 10_000)
    return {(tags[one.event_id], one.due_at) for one in planned if one.event_id in tags}


async def undisturbed(engine):
    clock = FakeClock()
    await plant(engine, clock.now())
    await expand_all(engine, clock)
    return await left_behind(engine), await planned_in_time(engine, clock)


async def count_statements(engine, database) -> int:
    clock, fate = FakeClock(), Fate(database)
    await plant(engine, clock.now())
    async with mortal(engine, database, fate) as stores:
        await expand_all(stores, clock)
    return fate.asked


@pytest.fixture(autouse=True)
def _quietly():
    """Rendering the traceback of the poisoned rule takes longer than all the rest."""
    with capture_logs():
        yield


@pytest.mark.parametrize("sent", [False, True], ids=["before", "after"])
async def test_an_expander_may_die_at_every_statement(engine, database, sent):
    """The next one leaves the very rows, cursors and gaps that one alone would have, and the plan comes to be the same."""
    expected = await undisturbed(engine)
    count = await count_statements(engine, database)
    assert count > 15

    for dies_at in range(1, count + 1):
        clock = FakeClock()
        await plant(engine, clock.now())
        async with mortal(engine, database, Fate(database, dies_at, sent=sent)) as stores:
            with pytest.raises(Killed):
                await expand_all(stores, clock)
        await expand_all(engine, clock)

        assert expected == (await left_behind(engine), await planned_in_time(engine, clock)), dies_at


async def test_one_that_dies_again_and_again_gets_on_all_the_same(engine, database):
    """Each time a statement further: what it has committed it need not do again."""
    expected = await undisturbed(engine)
    clock, deaths = FakeClock(), 0
    await plant(engine, clock.now())
    while True:
        async with mortal(engine, database, Fate(database, deaths + 1)) as stores:
            try:
                await expand_all(stores, clock)
            except Killed:
                deaths += 1
                continue
        break

    assert deaths > 2
    assert expected == (await left_behind(engine), await planned_in_time(engine, clock))


@pytest.mark.parametrize("count", [2, 3])
async def test_expanders_at_once_open_each_row_once(engine, database, clock, count):
    """Each with connections of its own; and the rows are those of one alone."""
    expected = await undisturbed(engine)
    await plant(engine, clock.now())
    async with AsyncExitStack() as stack:
        others = []
        for _ in range(count):
            own = Database(database, 2)
            await own.open()
            stack.push_async_callback(own.close)
            others.append(engine._replace(database=own))
        async with asyncio.timeout(30):
            await asyncio.gather(*[expand_until_done(stores, clock) for stores in others])

    assert expected == (await left_behind(engine), await planned_in_time(engine, clock))


async def expand_until_done(stores, clock) -> None:
    """As long as anything is due, also while somebody else is at it."""
    expander = Expander(stores, clock, SETTINGS)
    while await expander.tick() < 1:
        pass


async def test_one_that_hangs_in_its_transaction_keeps_no_other_from_the_rest(engine, database, clock):
    async with engine.database.connection() as conn:
        stuck = await plant_event(conn, clock.now(), rrule=["FREQ=HOURLY"], next_expand_at=clock.now())
        others = [await plant_event(conn, clock.now(), next_expand_at=clock.now()) for _ in range(3)]
    own = Database(database, 1)
    await own.open()
    async with own.transaction() as conn:
        await conn.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [stuck])
        await Expander(engine, clock, SETTINGS).tick()
        async with engine.database.connection() as mine:
            opened = await rows(mine, "SELECT event_id FROM pending")
    await own.close()
    await Expander(engine, clock, SETTINGS).tick()
    async with engine.database.connection() as conn:
        in_the_end = await rows(conn, "SELECT DISTINCT event_id FROM pending")

    assert {(event,) for event in others} == set(opened)
    assert {(event,) for event in (stuck, *others)} == set(in_the_end)


async def test_without_expanders_for_longer_than_the_window_everything_is_delivered_on_time(engine, clock, noting):
    """Three windows of a minute: what was opened ahead has long been delivered when the last is due."""
    settings = Scheduler(look_ahead_duration=seconds(60))
    began = clock.now()
    async with engine.database.connection() as conn:
        event = await plant_event(conn, began, rrule=["FREQ=SECONDLY;INTERVAL=20"], next_expand_at=began)
    await Expander(engine, clock, settings).tick()  # the last that is heard of it
    dispatcher, standby = make_dispatcher(engine, clock, noting), Standby(engine, clock, settings)
    late = {}
    for second in range(181):
        clock.advance((began - clock.now()).total_seconds() + second)
        await standby.tick()
        await dispatcher.tick()
        await settled(dispatcher)
        late |= {one.due_at: clock.now() - one.due_at for one in noting.deliveries if one.due_at not in late}
    await dispatcher.drain()

    assert [began + seconds(20 * n) for n in range(10)] == [one.due_at for one in noting.deliveries]
    assert {event} == {one.event_id for one in noting.deliveries}
    assert max(late.values()) < seconds(1)
    assert [] == await engine.plan.planned_before(clock.now(), 100)
    assert occurrence.Identity(event, began + seconds(200)) in await engine.plan.planned_before(clock.now() + HOUR, 100)
