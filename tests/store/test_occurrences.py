from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from qhronos.core.occurrence import Identity
from qhronos.store import occurrences
from qhronos.store.occurrences import Filter
from tests.rows import plant_event, plant_open

MINUTE = timedelta(minutes=1)


async def plant_closed(conn, event_id, due_at, status="completed", attempt=1):
    await conn.execute(
        "INSERT INTO occurrences (event_id, due_at, status, origin, version, attempt, finished_at)"
        " VALUES (%s, %s, %s, 'rule', 1, %s, %s)",
        (event_id, due_at, status, attempt, due_at),
    )


@pytest.fixture
async def day(store):
    """The clock of the ledger: its partitions are those of the real today."""
    async with store.connection() as conn:
        row = await (await conn.execute("SELECT date_trunc('day', clock_timestamp()) + interval '12 hours'")).fetchone()
    return row[0]


@pytest.fixture
async def some(store, day):
    """Of two events, in turn: three closed, one under way, one held, one waiting."""
    async with store.connection() as conn:
        ids = [await plant_event(conn, day), await plant_event(conn, day)]
        await conn.execute("UPDATE events SET tags = '{a,both}' WHERE id = %s", (ids[0],))
        await conn.execute("UPDATE events SET tags = '{b,both}' WHERE id = %s", (ids[1],))
        for n, status in enumerate(["completed", "failed", "skipped"]):
            await plant_closed(conn, ids[n % 2], day - (9 - n) * MINUTE, status)
        for n in (-1, 1, 2):
            await plant_open(conn, ids[n % 2], day + n * MINUTE)
        leases = "UPDATE pending SET lease_until = %s WHERE due_at < %s"
        await conn.execute(leases, (day + 5 * MINUTE, day + 2 * MINUTE))
    return ids


async def page(store, day, scope=None, before=None, limit=100, **wanted):
    async with store.connection() as conn:
        found = await occurrences.page(conn, Filter(**wanted), scope, before, limit, day)
    return [((one.due_at - day) // MINUTE, one.status) for one in found]


ALL = [(2, "scheduled"), (1, "scheduled"), (-1, "dispatched"), (-7, "skipped"), (-8, "failed"), (-9, "completed")]


async def test_open_and_closed_read_as_one_newest_due_first(store, day, some):
    assert ALL == await page(store, day)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"statuses": ["scheduled"]}, [2, 1]),
        ({"statuses": ["dispatched"]}, [-1]),
        ({"statuses": ["failed", "dispatched"]}, [-1, -8]),
        ({"any_tags": ["a"]}, [2, -7, -9]),
        ({"any_tags": ["a", "b"]}, [2, 1, -1, -7, -8, -9]),
        ({"all_tags": ["b", "both"]}, [1, -1, -8]),
        ({"all_tags": ["a", "b"]}, []),
        ({"scope": ["b"]}, [1, -1, -8]),
        ({"scope": ["b"], "any_tags": ["a"]}, []),
        ({"scope": []}, []),
    ],
)
async def test_occurrences_are_found_by_what_is_asked(store, day, some, wanted, found):
    assert found == [minute for minute, _ in await page(store, day, **wanted)]


async def test_a_window_is_half_open(store, day, some):
    found = await page(store, day, since=day - 8 * MINUTE, until=day + 2 * MINUTE)

    assert [1, -1, -7, -8] == [minute for minute, _ in found]


async def test_an_event_has_its_own_list(store, day, some):
    assert [1, -1, -8] == [minute for minute, _ in await page(store, day, event_id=some[1])]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_a_walk_meets_each_once_across_open_and_closed(store, day, some, limit):
    seen, before = [], None
    while True:
        async with store.connection() as conn:
            found = await occurrences.page(conn, Filter(), None, before, limit, day)
        if not found:
            break
        seen += [((one.due_at - day) // MINUTE, one.status) for one in found]
        before = found[-1].identity

    assert ALL == seen


async def test_occurrences_of_one_instant_are_told_apart_by_their_event(store, day):
    async with store.connection() as conn:
        ids = sorted([await plant_event(conn, day) for _ in range(3)], reverse=True)
        for event_id in ids[:2]:
            await plant_open(conn, event_id, day)
        await plant_closed(conn, ids[2], day)
        seen, before = [], None
        while found := await occurrences.page(conn, Filter(), None, before, 1, day):
            seen.append(found[0].event_id)
            before = found[0].identity

    assert ids == seen


async def test_one_is_found_by_its_identity_and_only_in_scope(store, day, some):
    async with store.connection() as conn:
        closed = await occurrences.get(conn, Identity(some[0], day - 9 * MINUTE), ["a"], day)
        opened = await occurrences.get(conn, Identity(some[1], day + MINUTE), ["b"], day)
        hidden = await occurrences.get(conn, Identity(some[0], day - 9 * MINUTE), ["b"], day)
        nothing = await occurrences.get(conn, Identity(some[0], day), None, day)

    assert closed is not None
    assert opened is not None
    assert ("completed", None, "scheduled", day + MINUTE) == (
        closed.status,
        closed.fire_at,
        opened.status,
        opened.fire_at,
    )
    assert (None, None) == (hidden, nothing)


async def test_a_page_of_a_long_ledger_reads_hardly_more_than_itself(store, day):
    async with store.connection() as conn:
        event_id = await plant_event(conn, day)
        await conn.execute(
            "INSERT INTO occurrences (event_id, due_at, status, origin, version, attempt, finished_at)"
            " SELECT %s, %s - n * interval '1 second', 'completed', 'rule', 1, 1, %s FROM generate_series(1, 20000) AS n",
            (event_id, day, day),
        )
        await conn.execute("ANALYZE occurrences")
        behind = {
            "before_event_id": event_id,
            "before_due_at": day - timedelta(hours=2),
            "by_event": False,
            "begun": day,
        }
        params = occurrences._filtering(Filter(), None, 51) | behind
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + occurrences.SQL["list_occurrences"]
        row = await (await conn.execute(explain, params)).fetchone()

    read = sum(
        node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        for node in nodes(msgspec.json.decode(row[0])[0]["Plan"])
        if node.get("Relation Name", "").startswith("occurrences_")
    )
    assert 51 <= read <= 60


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
