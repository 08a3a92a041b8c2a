"""Everything that must hold, broken once each, and a busy system of which nothing is."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from qhronos.core.attempt import Failed
from qhronos.core.occurrence import Identity
from qhronos.engine.fsck import CHECKS, check_all
from tests.service.engine import Noting, make_dispatcher, settled
from tests.service.events import create, dispatch, execute, query
from tests.service.lives import Lives

HOUR = timedelta(hours=1)
LATE = timedelta(seconds=20)  # too late for the sweep, and not yet overdue


async def found_by(api, clock):
    """Check → how many; what is looked at again is looked at when time has passed."""
    report = await check_all(api.deps.changes.stores, clock, api.deps.config, 1000)
    assert report.clean == (not report.violations)
    return {violation.check: violation.count for violation in report.violations}


@pytest.fixture
async def event(api, clock):
    """With one that was delivered, and one that is open."""
    created = await create(api, schedule="FREQ=MINUTELY;INTERVAL=30")
    assert 1 == len(await dispatch(api, clock))
    return created


async def sql(api, clock, text):
    async with api.deps.database.connection() as conn:
        await conn.execute(text, {"now": clock.now(), "other": uuid.uuid4(), "late": clock.now() - LATE})


BROKEN = {
    "unknown_event": "INSERT INTO pending (event_id, due_at, fire_at, version, origin)"
    " VALUES (%(other)s, %(now)s, %(now)s, 1, 'rule')",
    "unknown_version": "UPDATE pending SET version = 2",
    "open_and_closed": "INSERT INTO pending (event_id, due_at, fire_at, version, origin, attempt, starts)"
    " SELECT event_id, due_at, %(now)s, version, origin, attempt, 1 FROM occurrences",
    "half_held": "UPDATE pending SET lease_until = %(now)s, worker = 1, fence = NULL",
    "unkept": "UPDATE pending SET lease_until = 'infinity', worker = NULL, fence = 1",
    "stranded": "UPDATE pending SET blocked_on = 'paused'",
    "unreasoned": "UPDATE occurrences SET status = 'skipped'",
    "wrong_attempts": "DELETE FROM attempts",
    "too_many_attempts": "UPDATE pending SET starts = 3",
    "completed_but_open": "UPDATE events SET status = 'completed'",
    "deleted_but_open": "WITH gone AS (UPDATE event_versions SET valid_until = %(now)s)"
    " UPDATE events SET status = 'deleted', deleted_at = %(now)s",
    "wrong_version": "UPDATE event_versions SET valid_until = %(now)s",
    "wrong_gap": "INSERT INTO gaps SELECT id, expanded_until, expanded_until + interval '1 hour', 1, 'why' FROM events",
    "overdue": "UPDATE pending SET fire_at = %(now)s - interval '2 minutes'",
    "unexpanded": "UPDATE events SET next_due_at = %(now)s - interval '2 minutes'",
    "missing": "DELETE FROM occurrences",
    "unplanned": "UPDATE pending SET fire_at = %(late)s",
}  # fmt: skip


@pytest.mark.parametrize("check", BROKEN)
async def test_what_is_broken_is_found_and_nothing_else(api, clock, event, check):
    await sql(api, clock, BROKEN[check])
    if check == "overdue":
        ((due_at, fire_at),) = await query(api, "SELECT due_at, fire_at FROM pending")
        await api.deps.plan.add([(Identity(uuid.UUID(event["id"]), due_at), fire_at)])
    if check == "unplanned":
        await forget(api)

    assert {check: 1} == await found_by(api, clock)


async def test_an_event_whose_cursor_never_arrives_is_found(api, clock, event):
    """Its expander counted a gap, came back when time had moved on, and counted again for ever."""
    await sql(
        api,
        clock,
        "UPDATE events SET next_due_at = NULL, next_expand_at = %(now)s, expanded_until = %(now)s - interval '1 day'",
    )

    assert {"unexpanded": 1} == await found_by(api, clock)


async def forget(api):
    found = await query(api, "SELECT event_id, due_at FROM pending")
    await api.deps.plan.remove([Identity(*identity) for identity in found])


async def test_a_fence_of_two_is_found(api, clock, event):
    await api.post(f"/events/{event['id']}/run")
    await sql(api, clock, "UPDATE pending SET fence = 7")

    assert {"shared_fence": 2} == await found_by(api, clock)


async def test_versions_that_leave_time_out_are_found(api, clock, event):
    clock.advance(60)
    await api.patch(f"/events/{event['id']}", {"name": "coffee"})
    await sql(api, clock, "UPDATE event_versions SET valid_until = valid_until - interval '1 s' WHERE version = 1")

    assert {"broken_versions": 1} == await found_by(api, clock)


async def test_a_plan_that_comes_too_late_is_found(api, clock, event):
    await sql(api, clock, "UPDATE pending SET fire_at = %(late)s")

    assert {"planned_late": 1} == await found_by(api, clock)


async def test_a_plan_of_what_is_not_open_is_found_when_it_was_not_taken(api, clock, event):
    """Until it is due it may well be there: nobody takes it out of the plan."""
    await api.delete(f"/events/{event['id']}")
    before = await found_by(api, clock)
    clock.advance(HOUR.total_seconds() + 61)

    assert {} == before
    assert {"stale_plan": 1} == await found_by(api, clock)


async def test_a_violation_is_told_with_its_first_examples(api, clock):
    created = await create(api, schedule="FREQ=MINUTELY")
    await execute(api, "UPDATE pending SET version = 9")
    report = await check_all(api.deps.changes.stores, clock, api.deps.config, 1000)
    (violation,) = report.violations

    assert (CHECKS["unknown_version"], 60, 10) == (violation.says, violation.count, len(violation.examples))
    assert (created["id"], clock.now(), "version 9 of 1") == (
        violation.examples[0].event_id,
        violation.examples[0].scheduled_at,
        violation.examples[0].note,
    )


async def test_what_mends_itself_meanwhile_is_no_violation(api, clock, event):
    await sql(api, clock, "UPDATE pending SET fire_at = %(late)s")
    await forget(api)

    class Mending(type(clock)):
        """As if the sweep had come along."""

        async def wait(self, stop, seconds):
            found = await query(api, "SELECT event_id, due_at, fire_at FROM pending")
            await api.deps.plan.add((Identity(*identity), at) for *identity, at in found)
            return await super().wait(stop, seconds)

    assert {} == await found_by(api, Mending(clock.now()))


async def test_a_busy_system_is_clean(api, clock):
    """Retries that wait, paused, moved, skipped, replayed and split ones, and requests under way."""
    lives = Lives(api, clock, seed=1)
    await lives.start(5)
    await lives.live(4 * 3600)
    await create(api, name="fails")
    await create(api, name="under way", start_time=(clock.now() + timedelta(seconds=5)).isoformat())
    noting = Noting()
    noting.answer = lambda _: Failed(reason="no")
    dispatcher = make_dispatcher(api.deps.changes.stores, clock, noting)
    await dispatcher.tick()
    await settled(dispatcher)
    clock.advance(6)
    noting.gate.clear()
    await dispatcher.tick()

    under_way = await query(api, "SELECT count(*) FROM pending WHERE lease_until > %s", clock.now())
    waiting = await query(api, "SELECT count(*) FROM pending WHERE starts > 0")
    assert min(under_way + waiting) > (0,)
    assert {} == await found_by(api, clock)

    noting.gate.set()
    await settled(dispatcher)
    await dispatcher.drain()


async def test_a_lease_that_was_not_taken_back_yet_is_no_violation(api, clock):
    await create(api)
    await sql(api, clock, "UPDATE pending SET lease_until = %(now)s, worker = 1, fence = 1")
    clock.advance(59)
    before = await found_by(api, clock)
    clock.advance(2)

    assert ({}, {"overdue": 1}) == (before, await found_by(api, clock))
