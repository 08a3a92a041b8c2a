from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from qhronos.broadcast import Broadcast
from qhronos.config import Scheduler
from qhronos.core.window import Advance
from qhronos.engine import expand
from qhronos.engine.expand import BATCH, BATCH_ROWS
from qhronos.expander import Expander
from qhronos.plan import Plan
from qhronos.redis_link import connect
from tests import hostile
from tests.rows import plant_event, rows, seconds

HOUR = timedelta(hours=1)


@pytest.fixture
def expander(engine, clock):
    return Expander(engine, clock, Scheduler())


async def plant(engine, now, **event):
    async with engine.database.connection() as conn:
        return await plant_event(conn, now, next_expand_at=now, **event)


async def query(engine, text):
    async with engine.database.connection() as conn:
        return await rows(conn, text)


async def test_a_rule_becomes_open_rows_and_a_plan(engine, clock, expander):
    now = clock.now()
    event = await plant(engine, now, rrule=["FREQ=MINUTELY;INTERVAL=20"])

    await expander.tick()

    dues = [now + n * HOUR / 3 for n in range(3)]
    assert [(event, due, due, "rule", 1) for due in dues] == await query(
        engine, "SELECT event_id, due_at, fire_at, origin, version FROM pending ORDER BY due_at"
    )
    assert dues == sorted(i.due_at for i in (await engine.plan.pop(now + HOUR, now, 1000)).identities)


async def test_expanding_twice_changes_nothing(engine, clock, expander):
    now = clock.now()
    await plant(engine, now, rrule=["FREQ=MINUTELY"])
    await expander.tick()
    before = await query(engine, "SELECT event_id, due_at, xmin::text FROM pending ORDER BY due_at")
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE events SET next_expand_at = %s, expanded_until = %s", (now, now))

    await expander.tick()

    assert before == await query(engine, "SELECT event_id, due_at, xmin::text FROM pending ORDER BY due_at")


async def test_expanders_that_run_at_once_share_the_work_and_repeat_none(engine, clock):
    now = clock.now()
    for _ in range(2 * BATCH):
        await plant(engine, now, rrule=["FREQ=MINUTELY;INTERVAL=30"])
    expanders = [Expander(engine, clock, Scheduler()) for _ in range(3)]

    await asyncio.gather(*[expander.tick() for expander in expanders])
    while await expanders[0].tick() == 0:
        pass

    assert [(2 * 2 * BATCH,)] == await query(engine, "SELECT count(*) FROM pending")


async def test_an_event_has_no_more_than_its_share_of_open_rows(engine, clock):
    await plant(engine, clock.now(), rrule=["FREQ=SECONDLY"])
    expander = Expander(engine, clock, Scheduler(max_open=10))

    for _ in range(5):
        await expander.tick()
        clock.advance(60)

    assert [(10,)] == await query(engine, "SELECT count(*) FROM pending")


async def test_paused_events_are_not_expanded(engine, clock, expander):
    await plant(engine, clock.now(), rrule=["FREQ=MINUTELY"], status="paused")

    await expander.tick()

    assert [] == await query(engine, "SELECT * FROM pending")


async def test_a_poisoned_rule_is_quarantined_alone(engine, clock, expander):
    await plant(engine, clock.now(), rrule=["FREQ=SOMETIMES"])
    await plant(engine, clock.now())

    await expander.tick()

    assert [("active", None), ("error", True)] == await query(
        engine, "SELECT status, reason LIKE 'the rule could not be expanded: %%' FROM events ORDER BY status"
    )
    assert [(1,)] == await query(engine, "SELECT count(*) FROM pending")


async def test_what_is_too_old_to_catch_up_is_one_gap(engine, clock, expander):
    now = clock.now()
    since = now - timedelta(days=3)
    await plant(engine, now, start=since, rrule=["FREQ=HOURLY"], expanded_until=since)

    while await expander.tick() == 0:
        pass

    assert [(since, now - timedelta(days=1), 48, "older than the catch-up window")] == await query(
        engine, "SELECT since, until, count, reason FROM gaps"
    )
    assert [(25,)] == await query(engine, "SELECT count(*) FROM pending WHERE due_at < '2026-03-01 12:00:01+00'")


async def test_an_event_that_ends_without_a_single_instant_is_completed(engine, clock, expander):
    now = clock.now()
    await plant(engine, now, rrule=["FREQ=DAILY;UNTIL=20200101T000000Z"])

    await expander.tick()

    assert [("completed", None)] == await query(engine, "SELECT status, next_expand_at FROM events")


async def test_it_rests_until_the_next_event_is_to_be_expanded_but_not_for_long(engine, clock, expander):
    async with engine.database.connection() as conn:
        await plant_event(conn, clock.now(), next_expand_at=clock.now() + seconds(2))

    near = await expander.tick()
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE events SET next_expand_at = next_expand_at + interval '1 day'")
    far = await expander.tick()

    assert (2.0, 5.0) == (near, far)


async def test_a_plan_that_is_away_does_not_stop_expansion(engine, clock, tmp_path):
    await plant(engine, clock.now())
    nobody = connect(f"unix://{tmp_path}/nobody.sock")
    away = engine._replace(plan=Plan(nobody, "x", shards=4), broadcast=Broadcast(nobody, "x"))

    await Expander(away, clock, Scheduler()).tick()

    assert [(1,)] == await query(engine, "SELECT count(*) FROM pending")
    await nobody.aclose()


async def test_a_redis_that_refuses_to_write_does_not_stop_expansion(engine, clock, expander):
    for shard in range(4):
        await engine.plan.redis.set(engine.plan._key(shard, "due"), "not a sorted set")
    await plant(engine, clock.now())

    await expander.tick()

    assert [(1,)] == await query(engine, "SELECT count(*) FROM pending")


async def test_a_batch_ends_when_its_steps_do_and_what_is_left_comes_first(engine, clock, expander, monkeypatch):
    monkeypatch.setattr(expand, "BATCH_STEPS", 1)
    now = clock.now()
    waiting = []
    for minutes in (3, 2, 1):
        async with engine.database.connection() as conn:
            since = now - timedelta(minutes=minutes)
            waiting.append(await plant_event(conn, now, rrule=["FREQ=HOURLY"], next_expand_at=since))

    for served in range(1, 4):
        assert 0.0 == await expander.tick()
        assert {(event,) for event in waiting[:served]} == set(await query(engine, "SELECT event_id FROM pending"))


async def test_a_rule_that_stands_still_is_quarantined(engine, clock, expander, monkeypatch):
    now = clock.now()
    await plant(engine, now, rrule=["FREQ=HOURLY"])
    monkeypatch.setattr(expand, "advance", lambda _, since, **__: Advance((), since, None, now))

    await expander.tick()

    reason = f"the rule could not be expanded: 50000 steps lead it nowhere from {now:%Y-%m-%dT%H:%M:%SZ} on"
    assert [("error", reason)] == await query(engine, "SELECT status, reason FROM events")


async def test_no_hostile_rule_delays_another_event(engine, clock, expander):
    """All of them at once beside events that are due to be expanded after them: served in as many ticks as batches."""
    now = clock.now()
    rules = [rule for rule in hostile.RULES if "COUNT" not in rule]  # which is counted out before it is stored
    for rule in rules:
        for _ in range(2):
            await plant(engine, now, start=now - timedelta(days=3652), rrule=[rule])
    async with engine.database.connection() as conn:
        for number in range(5):
            later = now + timedelta(microseconds=1 + number)
            await plant_event(conn, now, rrule=["FREQ=HOURLY"], next_expand_at=later, tags=["healthy"])

    clock.advance(1)
    ticks = 0
    while (
        len(
            await query(
                engine, "SELECT DISTINCT event_id FROM pending JOIN events ON id = event_id WHERE tags = '{healthy}'"
            )
        )
        < 5
    ):
        await expander.tick()
        ticks += 1

    assert ticks <= 2 * len(rules)  # one after the other, and none of them twice before the healthy ones
    assert [] == await query(engine, "SELECT reason FROM events WHERE status = 'error'")


async def test_rules_that_find_nothing_do_not_keep_another_event_waiting(engine, clock, expander):
    """Each of them uses up a whole pass, tick after tick."""
    now, hostile = clock.now(), 49
    for _ in range(hostile):
        await plant(engine, now, rrule=["FREQ=MINUTELY;INTERVAL=12;BYMINUTE=10,11,13"])
    async with engine.database.connection() as conn:
        healthy = await plant_event(conn, now, rrule=["FREQ=HOURLY"], next_expand_at=now + timedelta(microseconds=1))

    clock.advance(1)
    ticks = 0
    while not await query(engine, "SELECT 1 FROM pending"):
        await expander.tick()
        ticks += 1

    assert {(healthy,)} == set(await query(engine, "SELECT event_id FROM pending"))
    assert ticks <= hostile + 1  # one after the other, and none of them twice before it


async def test_a_rule_that_is_rare_is_expanded_for_weeks(engine, clock, expander):
    """Between its instants more time passes than the catch-up window holds."""
    began = clock.now()
    await plant(engine, began, rrule=["FREQ=WEEKLY"])

    for _ in range(4 * 7 * 24):
        while await expander.tick() == 0:
            clock.advance(0.05)
        clock.advance(3600)

    assert [(began + n * 168 * HOUR,) for n in range(4)] == await query(engine, "SELECT due_at FROM pending ORDER BY 1")
    assert [] == await query(engine, "SELECT * FROM gaps")


async def test_of_what_was_missed_no_more_is_made_than_there_is_room_for_if_only_the_latest_fire(engine, clock):
    since = clock.now() - 10 * HOUR
    await plant(
        engine,
        clock.now(),
        rrule=["FREQ=SECONDLY"],
        start=since,
        expanded_until=since,
        policies={"misfire": {"max_catchup": 3}},
    )
    expander = Expander(engine, clock, Scheduler(max_open=50))
    for _ in range(6):
        await expander.tick()

    assert [(50, clock.now() - seconds(50))] == await query(engine, "SELECT count(*)::int, min(due_at) FROM pending")
    ((count, reasons),) = await query(engine, "SELECT sum(count)::int, array_agg(DISTINCT reason) FROM gaps")
    assert (36_000 - 50, ["more than are caught up"]) == (count, reasons)


async def test_a_batch_makes_no_more_than_it_may_and_the_rest_comes_first_in_the_next(engine, clock, expander):
    now, events = clock.now(), 2 * BATCH_ROWS // 1_000
    for _ in range(events):
        await plant(engine, now, rrule=["FREQ=SECONDLY"])

    await expander.tick()
    first = await query(engine, "SELECT count(DISTINCT event_id), count(*) FROM pending")
    await expander.tick()
    second = await query(engine, "SELECT count(DISTINCT event_id), count(*) FROM pending")

    assert [(events // 2, BATCH_ROWS)] == first
    assert [(events, 2 * BATCH_ROWS)] == second
