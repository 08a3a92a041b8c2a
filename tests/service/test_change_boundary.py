"""What a change takes for started, at its edges: while the change is computed, and just before an instant."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from qhronos.broadcast import Revoke
from qhronos.config import Scheduler
from qhronos.engine.change import Changes
from qhronos.engine.draft import Fields
from qhronos.engine.gone import ACTOR
from tests.fakes import CutDatabase
from tests.rows import seconds
from tests.service.engine import make_dispatcher
from tests.service.events import create, event_of, execute, occurrences_of
from tests.service.test_dispatcher import plan_one, query, settled, subscribed

DAY = timedelta(days=1)


@pytest.fixture(params=["name", "schedule"])
def edit(request, clock):
    return Fields(name="new") if request.param == "name" else Fields(name="new", start_time=clock.now() + DAY)


def delivered(noting):
    return [(one.name, one.due_at) for one in noting.deliveries]


async def until_done(dispatcher, clock) -> None:
    for _ in range(3):
        await dispatcher.tick()
        clock.advance(0.05)
        dispatcher._fire_due()
        await settled(dispatcher)


async def test_what_fires_while_an_edit_is_computed_has_started(engine, clock, dispatcher, noting, edit):
    """A rule may take a second to compute, and the event is held all the while."""
    noting.gate.clear()
    identity = await plan_one(engine, clock.now() + seconds(0.5))
    await subscribed(dispatcher)
    await dispatcher.tick()
    changes = Changes(engine, clock, Scheduler())
    async with changes.change(ACTOR, identity.event_id, None) as change:
        clock.advance(1)
        dispatcher._fire_due()
        await noting.called()
        await changes.apply(change, edit)
    noting.gate.set()
    await settled(dispatcher)
    await until_done(dispatcher, clock)

    assert [("tea", identity.due_at)] == delivered(noting)
    assert [("completed",)] == await query(engine, "SELECT status FROM occurrences")


async def test_what_is_at_hand_happens_as_it_was_and_is_recorded_so(engine, clock, dispatcher, noting, edit):
    identity = await plan_one(engine, clock.now() + seconds(0.05))
    await subscribed(dispatcher)
    await dispatcher.tick()
    dispatcher.wake.clear()
    await Changes(engine, clock, Scheduler()).edit(ACTOR, identity.event_id, edit, None, None)
    async with asyncio.timeout(15):
        await dispatcher.wake.wait()  # it was told
    await until_done(dispatcher, clock)

    assert [("tea", identity.due_at)] == delivered(noting)
    assert [("completed", 1)] == await query(engine, "SELECT status, version FROM occurrences")


async def test_what_is_at_hand_while_it_is_claimed_happens_as_it_was(engine, clock, noting):
    """The notice comes between the claim and its answer."""
    database = CutDatabase(engine.database)
    dispatcher = make_dispatcher(engine._replace(database=database), clock, noting)
    await subscribed(dispatcher)
    identity = await plan_one(engine, clock.now() + seconds(0.05))
    told = Revoke((identity.event_id,), clock.now())
    database.meanwhile = lambda: dispatcher._heed(told)
    await dispatcher.tick()
    database.meanwhile = lambda: None

    assert (1, 0) == (len(dispatcher._held), len(dispatcher._recalled))
    await dispatcher.drain()


@pytest.fixture
async def at_hand(api, clock):
    """A daily event whose first instant is held and comes within a tenth of a second."""
    event = await create(api, schedule="FREQ=DAILY", start_time=clock.now() + seconds(60))
    clock.advance(59.95)
    await execute(api, "UPDATE pending SET lease_until = fire_at + interval '1 minute', fence = 1, worker = 1")
    return event


async def test_what_is_at_hand_is_shown_and_refused_as_dispatched(api, at_hand):
    first = (await occurrences_of(api, at_hand))[-1]
    cancelled = await api.post(f"/occurrences/{first['id']}/cancel")
    skipped = await api.post(f"/events/{at_hand['id']}/skip", {"scheduled_at": first["scheduled_at"]})
    ledger = (await api.get(f"/events/{at_hand['id']}/ledger?until=2026-03-01T13:00:00Z")).json()["data"]

    assert ("dispatched", "dispatched") == (first["status"], ledger[0]["status"])
    assert (409, "the occurrence is dispatched; only a scheduled one can be cancelled") == refusal_of(cancelled)
    assert (409, "the occurrence is dispatched; only a scheduled one can be skipped") == refusal_of(skipped)


async def test_the_next_one_is_that_after_the_one_at_hand(api, at_hand):
    shown = (await event_of(api, at_hand))["next_due_at"]
    skipped = await api.post(f"/events/{at_hand['id']}/skip")

    assert ("2026-03-02T12:01:00Z", 200) == (shown, skipped.status_code)
    assert ["skipped", "dispatched"] == [one["status"] for one in await occurrences_of(api, at_hand)]


def refusal_of(answer):
    return answer.status_code, answer.json()["detail"]
