from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from qhronos import metrics
from qhronos.config import Archival, Retention
from qhronos.engine.ledgerwatch import LedgerWatch
from qhronos.janitor import Janitor
from qhronos.store import events, outbox, pending
from tests.fakes import FakeClock
from tests.rows import plant_event, plant_open, rows, seconds
from tests.service.mail import to_client

DAY = timedelta(days=1)


@pytest.fixture
async def clock(engine):
    """Today, since the installation's first partitions are those of the day it was made."""
    async with engine.database.connection() as conn:
        ((today,),) = await rows(conn, "SELECT date_trunc('day', now()) + interval '12 hours'")
    return FakeClock(today)


@pytest.fixture
def janitor(engine, clock):
    return Janitor(engine, clock, Retention(), Archival())


async def query(engine, text, *params):
    async with engine.database.connection() as conn:
        return await rows(conn, text, *params)


async def execute(engine, text, *params, **named):
    async with engine.database.connection() as conn:
        await conn.execute(text, named or params)


async def close_one(engine, event_id, due_at):
    """Put an occurrence straight into the ledger."""
    async with engine.database.connection() as conn:
        await pending.make_days(conn, [due_at])
        await conn.execute(
            "INSERT INTO occurrences (event_id, due_at, status, origin, version, attempt, finished_at)"
            " VALUES (%s, %s, 'failed', 'rule', 1, 1, %s)",
            (event_id, due_at, due_at),
        )


async def partitions(engine):
    found = await query(
        engine, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'occurrences'::regclass"
    )
    return {name for (name,) in found}


def day_name(instant):
    return f"occurrences_{instant:%Y_%m_%d}"


async def test_partitions_are_made_ahead(engine, clock, janitor):
    clock.advance(30 * 86_400)

    await janitor.tick()

    assert {day_name(clock.now() + n * DAY) for n in range(3)} <= await partitions(engine)


async def test_days_whose_time_is_over_are_dropped_and_the_rest_stays(engine, clock, janitor):
    async with engine.database.connection() as conn:
        event = await plant_event(conn, clock.now())
    old, recent = clock.now(), clock.now() + 20 * DAY
    await close_one(engine, event, old)
    await close_one(engine, event, recent)
    clock.advance(31 * 86_400)

    await janitor.tick()

    assert day_name(old) not in await partitions(engine)
    assert [(recent,)] == await query(engine, "SELECT due_at FROM occurrences")


async def test_what_was_due_long_before_the_installation_is_purged_when_its_time_is_over(engine, clock, janitor):
    async with engine.database.connection() as conn:
        event = await plant_event(conn, clock.now())
    await close_one(engine, event, datetime(1999, 1, 1, tzinfo=UTC))
    await execute(engine, "UPDATE occurrences SET finished_at = %s", clock.now())

    await janitor.tick()
    kept = await query(engine, "SELECT count(*) FROM occurrences")
    clock.advance(31 * 86_400)
    await janitor.tick()

    assert [(1,)] == kept
    assert [(0,)] == await query(engine, "SELECT count(*) FROM occurrences")


async def test_nothing_that_can_still_fire_is_ever_purged(engine, clock, janitor):
    """The first Qhronos archived events that had not fired yet."""
    far = clock.now() + 400 * DAY
    async with engine.database.connection() as conn:
        future = await plant_event(conn, clock.now(), start=far, next_expand_at=far)
        monthly = await plant_event(conn, clock.now(), rrule=["FREQ=MONTHLY"], next_expand_at=far)
        opened = await plant_event(conn, clock.now(), status="completed")
        await plant_open(conn, opened, clock.now())
        ended = await plant_event(conn, clock.now(), status="completed")
        deleted = await plant_event(conn, clock.now(), status="deleted")
    clock.advance(31 * 86_400)

    await janitor.tick()

    left = {event for (event,) in await query(engine, "SELECT id FROM events")}
    assert {future, monthly, opened} == left
    assert not {ended, deleted} & left


async def test_events_that_were_left_with_nothing_are_completed(engine, clock, janitor):
    async with engine.database.connection() as conn:
        await plant_event(conn, clock.now())

    await janitor.tick()

    assert [("completed",)] == await query(engine, "SELECT status FROM events")


async def test_many_events_are_completed_in_batches_each_on_its_own(engine, clock, janitor, monkeypatch):
    """Nobody who edits one waits for all the others."""
    monkeypatch.setattr("qhronos.janitor.BATCH", 2)
    async with engine.database.connection() as conn:
        for _ in range(5):
            await plant_event(conn, clock.now())

    await janitor.tick()

    assert [("completed", 5, 3)] == await query(
        engine, "SELECT status, count(*), count(DISTINCT xmin::text) FROM events GROUP BY status"
    )


async def test_an_event_that_is_given_work_meanwhile_is_not_completed(engine, clock, janitor):
    async with engine.database.connection() as conn:
        event = await plant_event(conn, clock.now())
    async with engine.database.transaction() as conn:
        await events.lock(conn, event, None)
        await plant_open(conn, event, clock.now(), origin="manual")
        tick = asyncio.create_task(janitor.tick())
        await asyncio.wait([tick], timeout=2)  # if it waits for the lock, then not for ever
    await tick

    assert [("active",)] == await query(engine, "SELECT status FROM events")


async def test_a_day_that_was_detached_and_not_dropped_is_dropped(engine, clock, janitor):
    day = day_name(clock.now())
    await execute(engine, f"ALTER TABLE occurrences DETACH PARTITION {day}")
    clock.advance(31 * 86_400)

    await janitor.tick()

    assert [(None,)] == await query(engine, "SELECT to_regclass(%s)", day)


async def test_tallies_are_folded_to_a_row_a_minute(engine, clock, janitor):
    for n in range(10):
        await execute(engine, "INSERT INTO tallies VALUES (%s, 'completed', 2)", clock.now() - seconds(61 + n / 10))
    await execute(engine, "INSERT INTO tallies VALUES (%s, 'completed', 5)", clock.now())

    await janitor.tick()

    assert [(20,), (5,)] == await query(engine, "SELECT count FROM tallies ORDER BY at")


async def test_idempotency_keys_live_for_a_day(engine, clock, janitor):
    for age in (23, 25):
        await execute(
            engine,
            "INSERT INTO idempotency_keys (subject, key, request_hash, created_at) VALUES ('a', %s, '', %s)",
            str(age),
            clock.now() - timedelta(hours=age),
        )

    await janitor.tick()

    assert [("23",)] == await query(engine, "SELECT key FROM idempotency_keys")


async def test_while_another_janitor_is_at_work_this_one_leaves_it_to_it(engine, clock, janitor):
    async with engine.database.connection() as conn:
        await plant_event(conn, clock.now())
    async with engine.database.transaction() as other:
        await rows(other, "SELECT pg_advisory_xact_lock(hashtext('qhronos.janitor'))")
        await janitor.tick()

    assert [("active",)] == await query(engine, "SELECT status FROM events")


async def test_the_oldest_overdue_occurrence_is_measured(engine, clock, janitor):
    async with engine.database.connection() as conn:
        event = await plant_event(conn, clock.now())
        await plant_open(conn, event, clock.now() - seconds(42))

    await janitor.tick()

    assert 42 == metrics.OVERDUE_SECONDS_MAX._value.get()


@pytest.fixture
async def hourly(engine, clock):
    """An event of the last three hours, of which nothing was made."""
    since = clock.now() - timedelta(hours=3)
    async with engine.database.connection() as conn:
        event = await plant_event(
            conn, since, rrule=["FREQ=HOURLY"], expanded_until=clock.now(), next_expand_at=clock.now()
        )
        await conn.execute(
            "INSERT INTO event_versions (event_id, version, recurrence, policies, tzdata, valid_from)"
            " SELECT id, version, recurrence, policies, tzdata, created_at FROM events"
        )
    return event


async def test_what_was_promised_and_is_not_recorded_is_told(engine, clock, janitor, hourly):
    with capture_logs() as logs:
        await janitor.tick()
    told = [(line["event_id"], line["count"]) for line in logs if line["event"] == "ledger.missing"]

    assert [(str(hourly), 3)] == told
    assert 3 == metrics.LEDGER_MISSING._value.get()

    await execute(engine, "INSERT INTO gaps VALUES (%s, %s, %s, 3, 'why')", hourly, clock.now() - DAY, clock.now())
    await janitor.tick()

    assert 0 == metrics.LEDGER_MISSING._value.get()


async def test_ledgers_are_looked_at_in_turns(engine, clock, janitor, hourly, monkeypatch):
    monkeypatch.setattr("qhronos.engine.ledgerwatch.EVENTS", 1)
    async with engine.database.connection() as conn:
        for _ in range(2):
            await plant_event(conn, clock.now(), rrule=["FREQ=DAILY"], next_expand_at=clock.now() + DAY)
    looks = []
    for _ in range(8):
        with capture_logs() as logs:
            await janitor.tick()
        looks.append(sum(line["event"] == "ledger.missing" for line in logs))

    assert (2, {0, 1}) == (sum(looks), set(looks))
    assert 3 == metrics.LEDGER_MISSING._value.get()


async def test_an_event_that_is_gone_is_not_missed_for_ever(engine, clock, janitor, hourly):
    await janitor.tick()
    await execute(engine, "DELETE FROM events")
    await janitor.tick()
    await janitor.tick()

    assert 0 == metrics.LEDGER_MISSING._value.get()


async def test_an_event_that_is_purged_while_it_is_looked_at_is_passed_over(engine, clock, hourly):
    watch = LedgerWatch(engine.database, DAY)
    await execute(engine, "DELETE FROM events")

    await watch._look_at(hourly, clock.now())

    assert {} == watch._this_round


async def test_names_that_nobody_uses_are_forgotten(engine, clock, janitor):
    async with engine.database.connection() as conn:
        for status in ("active", "paused", "completed"):
            await plant_event(
                conn, clock.now(), action=to_client(status), status=status, next_expand_at=clock.now() + 40 * DAY
            )
    await execute(engine, "UPDATE events SET updated_at = %s", clock.now() + 40 * DAY)
    await execute(
        engine,
        "INSERT INTO clients (name, connected_at, waiting) VALUES ('active', NULL, 0), ('paused', NULL, 0),"
        " ('completed', NULL, 0), ('old', %(now)s, 0), ('waiting', %(now)s, 1), ('recent', %(now)s + interval '2 days', 0)",
        now=clock.now(),
    )
    clock.advance(31 * 86_400)

    await janitor.tick()

    left = {name for (name,) in await query(engine, "SELECT name FROM clients")}
    assert {"active", "paused", "waiting", "recent"} == left


async def test_whoever_is_connected_for_long_is_not_forgotten(engine, clock, janitor):
    async with engine.database.connection() as conn:
        await outbox.connect(conn, "acme", clock.now())
        clock.advance(29 * 86_400)
        await outbox.stay(conn, ["acme"], clock.now())
        clock.advance(29 * 86_400)
        await janitor.tick()
        again = await outbox.connect(conn, "acme", clock.now())

    assert 2 == again.generation


async def test_who_comes_back_after_being_forgotten_learns_that_numbers_began_anew(engine, clock, janitor):
    async with engine.database.connection() as conn:
        before = await outbox.connect(conn, "acme", clock.now())
        clock.advance(31 * 86_400)
        await janitor.tick()
        after = await outbox.connect(conn, "acme", clock.now())

    assert before.epoch != after.epoch
    assert 1 == after.generation


async def test_a_long_history_is_purged_batch_by_batch(engine, clock, janitor, monkeypatch):
    monkeypatch.setattr("qhronos.store.upkeep.PURGE", 2)
    async with engine.database.connection() as conn:
        for _ in range(5):
            await plant_event(conn, clock.now(), status="completed")
    clock.advance(31 * 86_400)

    left = []
    for _ in range(3):
        await janitor.tick()
        left += await query(engine, "SELECT count(*) FROM events")

    assert [(3,), (1,), (0,)] == left
