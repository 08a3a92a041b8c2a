from __future__ import annotations

from datetime import timedelta

import pytest

from qhronos.core.occurrence import Identity, Status
from qhronos.store import changes
from tests.rows import plant_event, plant_open, rows

DAY = timedelta(days=1)


@pytest.fixture
async def today(conn):
    """Of Postgres, whose clock laid the ledger's partitions."""
    row = await (await conn.execute("SELECT date_trunc('day', clock_timestamp())")).fetchone()
    return row[0]


async def test_days_that_the_ledger_does_not_have_yet_are_made(conn, today):
    event_id = await plant_event(conn, today)
    for days in (40, 41):
        await plant_open(conn, event_id, today + days * DAY)

    async with conn.transaction():
        closed = await changes.close(conn, event_id, Status.CANCELLED, "why", today)
        far = Identity(event_id, today + 50 * DAY)
        await changes.skip_ahead(conn, far, "rule", 1, far.due_at.replace(tzinfo=None), "why", today)

    assert [today + 40 * DAY, today + 41 * DAY] == sorted(row.due_at for row in closed)
    found = await rows(conn, "SELECT due_at, status FROM occurrences ORDER BY due_at")
    assert [(40, "cancelled"), (41, "cancelled"), (50, "skipped")] == [
        ((due - today).days, status) for due, status in found
    ]
    tallies = "SELECT status, sum(count)::int FROM tallies GROUP BY status ORDER BY status"
    assert [("cancelled", 2), ("skipped", 1)] == await rows(conn, tallies)


async def test_skipping_ahead_twice_writes_once(conn, today):
    event_id = await plant_event(conn, today)
    ahead = Identity(event_id, today + DAY)

    for _ in range(2):
        await changes.skip_ahead(conn, ahead, "rule", 1, ahead.due_at.replace(tzinfo=None), "why", today)

    assert [(1,)] == await rows(conn, "SELECT sum(count)::int FROM tallies")


async def test_a_day_is_kept_as_long_as_its_partition_is(conn, today):
    assert [True, True, False] == [await changes.has_day(conn, today + days * DAY) for days in (0, -400, 400)]
