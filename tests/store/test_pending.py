import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from qhronos.core.occurrence import Identity, Status
from qhronos.store import pending
from qhronos.store.pending import FIRST, Entry, Left, Open, Settlement
from tests.rows import plant_event, plant_open, rows, seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = NOW + timedelta(minutes=1)


@pytest.fixture
async def event(conn):
    return await plant_event(conn, NOW)


@pytest.fixture
async def worker(conn):
    return await pending.register_worker(conn, "test", NOW)


async def claim(conn, worker, *identities, horizon=NOW):
    return await pending.claim(conn, identities, horizon=horizon, lease_until=LEASE, worker=worker)


def settlement(row, status=Status.COMPLETED, *, fence=None, outcome="delivered", fire_at=None):
    return Settlement(
        event_id=row.event_id,
        due_at=row.due_at,
        fence=row.fence if fence is None else fence,
        status=status,
        reason=None,
        fire_at=fire_at,
        outcome=outcome,
        status_code=200 if outcome else None,
        excerpt="ok",
        started_at=NOW,
        finished_at=NOW + seconds(1),
    )


async def test_opening_twice_opens_once(conn, event):
    made = [Open(event, NOW + seconds(i), NOW + seconds(i), 1, "rule", None) for i in range(3)]

    first = await pending.insert(conn, made)
    second = await pending.insert(conn, made)

    assert {Identity(event, NOW + seconds(i)) for i in range(3)} == {entry.identity for entry in first}
    assert [] == second


async def test_what_is_closed_is_not_opened_again(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))
    await pending.settle(conn, [settlement(row)], NOW)

    assert [] == await pending.insert(conn, [Open(event, NOW, NOW, 1, "rule", None)])


async def test_a_claim_gives_a_fence_a_lease_and_what_is_needed_to_act(conn, event, worker):
    await plant_open(conn, event, NOW)

    (row,) = await claim(conn, worker, Identity(event, NOW))

    assert ("tea", ["kitchen"], b'{"kettle": 1}', 0) == (row.name, row.tags, bytes(row.metadata), row.attempt)
    assert [(row.fence, LEASE, worker)] == await rows(conn, "SELECT fence, lease_until, worker FROM pending")


async def test_a_payload_of_its_own_stands_in_for_the_metadata(conn, event, worker):
    await plant_open(conn, event, NOW)
    await conn.execute(
        "INSERT INTO occurrence_overrides (event_id, due_at, payload, created_at) VALUES (%s, %s, '[7]', %s)",
        (event, NOW, NOW),
    )

    (row,) = await claim(conn, worker, Identity(event, NOW))

    assert b"[7]" == bytes(row.metadata)


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE pending SET lease_until = fire_at + interval '1 hour'",
        "UPDATE pending SET blocked_on = 'paused'",
        "UPDATE pending SET fire_at = fire_at + interval '1 second'",
        "UPDATE pending SET version = 2",
        "UPDATE events SET status = 'paused'",
        "DELETE FROM pending",
    ],
)
async def test_what_is_not_free_due_and_of_the_live_version_is_not_claimed(conn, event, worker, spoil):
    await plant_open(conn, event, NOW)
    await conn.execute(spoil)

    assert [] == await claim(conn, worker, Identity(event, NOW))


async def test_of_many_that_claim_at_once_one_gets_each_row(store, conn, event, worker):
    identities = [Identity(event, NOW - seconds(i)) for i in range(50)]
    for identity in identities:
        await plant_open(conn, event, identity.due_at)

    async def claimant():
        async with store.connection() as own:
            return await claim(own, worker, *identities)

    claims = await asyncio.gather(*[claimant() for _ in range(3)])

    claimed = [row.identity for rows_of_one in claims for row in rows_of_one]
    assert sorted(identities) == sorted(claimed)


async def test_settling_moves_a_row_into_the_ledger_with_its_attempt(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))

    settled = await pending.settle(conn, [settlement(row)], NOW)

    assert [(event, NOW, "completed", None)] == settled
    assert [] == await rows(conn, "SELECT * FROM pending")
    assert [("completed", 1, "rule", NOW + seconds(1))] == await rows(
        conn, "SELECT status, attempt, origin, finished_at FROM occurrences"
    )
    assert [(1, "delivered", 200, "ok")] == await rows(
        conn, "SELECT attempt, outcome, status_code, excerpt FROM attempts"
    )


async def test_an_event_with_nothing_left_is_completed_after_its_last_settlement(conn, event, worker):
    for due_at in (NOW, NOW - seconds(1)):
        await plant_open(conn, event, due_at)
    claimed = await claim(conn, worker, Identity(event, NOW), Identity(event, NOW - seconds(1)))

    statuses = []
    for row in claimed:
        await pending.settle(conn, [settlement(row)], NOW)
        await pending.complete_events(conn, [event], NOW)
        statuses += await rows(conn, "SELECT status FROM events")

    assert [("active",), ("completed",)] == statuses


async def test_an_event_that_is_given_work_while_it_is_completed_stays_active(store, conn, event):
    """A run or an edit holds it as the last settlement asks whether anything is left."""
    async with store.transaction() as held:
        await held.execute("SELECT FROM events WHERE id = %s FOR UPDATE", (event,))
        async with store.transaction() as own:
            _, skipped = await pending.complete_events(own, [event], NOW)
        await plant_open(held, event, NOW + seconds(60))
    async with store.transaction() as own:
        _, again = await pending.complete_events(own, skipped, NOW)

    assert ({event}, set()) == (skipped, again)
    assert [("active",)] == await rows(conn, "SELECT status FROM events")


async def test_two_last_settlements_at_once_still_complete_the_event(store, conn, event, worker):
    dues = [NOW - seconds(i) for i in range(8)]
    for due_at in dues:
        await plant_open(conn, event, due_at)
    claimed = await claim(conn, worker, *(Identity(event, due_at) for due_at in dues))

    async def settle(row):
        async with store.connection() as own:
            await pending.settle(own, [settlement(row)], NOW)
            left = {event}
            while left:
                async with own.transaction():
                    _, left = await pending.complete_events(own, left, NOW)

    await asyncio.gather(*[settle(row) for row in claimed])

    assert [("completed",)] == await rows(conn, "SELECT status FROM events")


async def test_a_settlement_that_comes_twice_counts_once(conn, event, worker):
    """Its reply was lost, and it is sent again."""
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))
    again = settlement(row, Status.SCHEDULED, outcome="failed", fire_at=NOW + seconds(9))
    await pending.settle(conn, [again], NOW)

    assert [] == await pending.settle(conn, [again], NOW)
    assert [(1, 1)] == await rows(conn, "SELECT attempt, starts FROM pending")


async def test_a_stale_fence_changes_nothing(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))

    settled = await pending.settle(conn, [settlement(row, fence=row.fence + 1)], NOW)

    assert [] == settled
    assert [(row.fence,)] == await rows(conn, "SELECT fence FROM pending")
    assert [] == await rows(conn, "SELECT * FROM attempts")


async def test_a_failed_attempt_is_counted_and_waits_for_the_next(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))
    again = NOW + timedelta(seconds=5)

    await pending.settle(conn, [settlement(row, Status.SCHEDULED, outcome="failed", fire_at=again)], NOW)

    assert [(again, 1, 1, None)] == await rows(conn, "SELECT fire_at, attempt, starts, lease_until FROM pending")
    assert [(1, "failed")] == await rows(conn, "SELECT attempt, outcome FROM attempts")
    assert [("active",)] == await rows(conn, "SELECT status FROM events")


async def test_what_is_skipped_has_no_attempt(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))

    await pending.settle(conn, [settlement(row, Status.SKIPPED, outcome=None)], NOW)

    assert [("skipped", 0)] == await rows(conn, "SELECT status, attempt FROM occurrences")
    assert [] == await rows(conn, "SELECT * FROM attempts")


@pytest.mark.parametrize("due_at", [NOW + timedelta(days=400), datetime(1970, 1, 1, tzinfo=UTC)])
async def test_a_day_without_a_partition_gets_one_when_it_is_needed(conn, event, worker, due_at):
    await plant_open(conn, event, due_at, fire_at=NOW)
    (row,) = await claim(conn, worker, Identity(event, due_at))

    await pending.settle(conn, [settlement(row)], NOW)

    assert [(due_at,)] == await rows(conn, "SELECT due_at FROM occurrences")


async def test_settlements_are_tallied(conn, event, worker):
    dues = [NOW - seconds(i) for i in range(3)]
    for due_at in dues:
        await plant_open(conn, event, due_at)
    done, failed, again = await claim(conn, worker, *(Identity(event, due_at) for due_at in dues))

    batch = [
        settlement(done),
        settlement(failed, Status.FAILED, outcome="refused"),
        settlement(again, Status.SCHEDULED, outcome="failed", fire_at=NOW),
    ]
    await pending.settle(conn, batch, NOW)

    assert {("completed", 1), ("failed", 1), ("retried", 1)} == set(
        await rows(conn, "SELECT status, count FROM tallies")
    )


async def test_handing_back_frees_a_row_and_spends_its_fence(conn, event, worker):
    await plant_open(conn, event, NOW)
    (row,) = await claim(conn, worker, Identity(event, NOW))

    (entry,) = await pending.hand_back(conn, [row])
    late = await pending.settle(conn, [settlement(row)], NOW)
    (again,) = await claim(conn, worker, Identity(event, NOW))

    assert Entry(event, NOW, NOW) == entry
    assert [] == late
    assert (0, 0) == (again.attempt, again.starts)


async def test_dead_workers_and_ended_leases_are_reclaimed_and_live_ones_are_not(conn, event):
    dead = await pending.register_worker(conn, "dead", NOW - seconds(60))
    live = await pending.register_worker(conn, "live", NOW)
    for i, worker in enumerate((dead, live, live)):
        due_at = NOW - seconds(i)
        await plant_open(conn, event, due_at)
        await claim(conn, worker, Identity(event, due_at))
    await conn.execute("UPDATE pending SET lease_until = %s WHERE due_at = %s", (NOW - seconds(1), NOW - seconds(2)))

    entries = await pending.reclaim(conn, NOW, NOW - seconds(5), 100)

    assert {NOW, NOW - seconds(2)} == {entry.due_at for entry in entries}
    assert [(0,), (1,), (1,)] == sorted(await rows(conn, "SELECT losses FROM pending"))


async def test_what_was_only_held_is_not_charged_as_a_loss(conn, event):
    dead = await pending.register_worker(conn, "dead", NOW - seconds(60))
    await plant_open(conn, event, NOW + seconds(1))
    await claim(conn, dead, Identity(event, NOW + seconds(1)), horizon=NOW + seconds(2))

    await pending.reclaim(conn, NOW, NOW - seconds(5), 100)

    assert [(0, None)] == await rows(conn, "SELECT losses, lease_until FROM pending")


async def test_of_two_ends_of_one_occurrence_the_fence_decides_also_within_a_group(conn, event, worker):
    await plant_open(conn, event, NOW)
    (stale,) = await claim(conn, worker, Identity(event, NOW))
    await pending.reclaim(conn, NOW, NOW + seconds(1), 10)
    (row,) = await claim(conn, worker, Identity(event, NOW))

    await pending.settle(conn, [settlement(stale, Status.FAILED, outcome="failed"), settlement(row)], NOW)

    assert [("completed",)] == await rows(conn, "SELECT status FROM occurrences")
    assert [("delivered",)] == await rows(conn, "SELECT outcome FROM attempts")


async def test_a_forgotten_worker_finds_out_with_its_next_beat(conn, worker):
    assert await pending.beat(conn, worker, NOW)
    await pending.forget_workers(conn, NOW + seconds(1))

    assert not await pending.beat(conn, worker, NOW)


async def test_the_overdue_are_found_page_by_page(conn, event):
    dues = [NOW - seconds(i) for i in range(1, 6)]
    for due_at in [*dues, NOW + seconds(60)]:
        await plant_open(conn, event, due_at)

    after, found = Entry(*FIRST, datetime.min.replace(tzinfo=UTC)), []
    while page := await pending.overdue(conn, NOW, after, 2):
        found += page
        after = page[-1]

    assert sorted(dues) == [entry.due_at for entry in found]


async def test_overdue_rows_of_events_that_must_not_fire_now_are_left_alone(conn, event):
    await plant_open(conn, event, NOW - seconds(60))
    await conn.execute("UPDATE events SET status = 'error'")

    assert [] == await pending.overdue(conn, NOW, Entry(*FIRST, datetime.min.replace(tzinfo=UTC)), 10)


async def test_everything_free_is_listed_page_by_page_to_rebuild_the_plan(conn, event):
    dues = [NOW + seconds(i) for i in range(5)]
    for due_at in dues:
        await plant_open(conn, event, due_at)
    await conn.execute("UPDATE pending SET blocked_on = 'paused' WHERE due_at = %s", (dues[0],))

    after, found = FIRST, []
    while page := await pending.free_after(conn, after, 2):
        found += page
        after = page[-1].identity

    assert dues[1:] == [entry.due_at for entry in found]


async def test_what_waits_longer_than_the_plan_thought_says_so(conn, event):
    await plant_open(conn, event, NOW, fire_at=NOW + seconds(30))
    await plant_open(conn, event, NOW + seconds(1))
    asked = [Identity(event, NOW), Identity(event, NOW + seconds(1))]

    assert [Left(event, NOW, NOW + seconds(30), None)] == await pending.left(conn, asked, NOW + seconds(2))


async def test_the_later_occurrences_that_are_due_as_well_are_counted(conn, event):
    for due_at in (NOW - seconds(120), NOW - seconds(60), NOW + seconds(60)):
        await plant_open(conn, event, due_at)
    asked = [Identity(event, NOW - seconds(120)), Identity(event, NOW - seconds(60))]

    assert {asked[0]: 1, asked[1]: 0} == await pending.later_due(conn, asked, NOW)


async def test_a_day_without_a_partition_is_made_in_the_middle_of_a_transaction_too(store, conn, worker):
    far = await (await conn.execute("SELECT date_trunc('day', clock_timestamp()) + interval '40 days'")).fetchone()
    (due_at,) = far
    event = await plant_event(conn, due_at)
    await plant_open(conn, event, due_at)
    (row,) = await claim(conn, worker, Identity(event, due_at), horizon=due_at)
    async with store.transaction() as own:
        settled = await pending.settle(own, [settlement(row)], due_at)

    assert [(event, due_at, "completed", None)] == settled
    assert [("completed",)] == await rows(conn, "SELECT status FROM occurrences")
