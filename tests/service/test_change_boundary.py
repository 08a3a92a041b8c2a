"""What a change takes for started, at its edges: while the change is computed, and just before an instant."""

from __future__ import annotations

from datetime import timedelta

import pytest

from qhronos.config import Scheduler
from qhronos.engine.change import Changes
from qhronos.engine.draft import Fields
from qhronos.engine.gone import ACTOR
from tests.rows import seconds
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
