from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import msgspec
import pytest

from qhronos.core.ids import RANDOM_BYTES, time_ordered_id
from qhronos.errors import Conflict
from qhronos.store import events
from qhronos.store.events import Event, Filter
from tests.rows import as_json, plant_open, rows


def make(now, **said) -> Event:
    """An event as the engine hands it over."""
    fields = {
        "id": time_ordered_id(now, os.urandom(RANDOM_BYTES)),
        "key": None,
        "name": "tea",
        "description": "",
        "start_time": now,
        "timezone": "UTC",
        "schedule": None,
        "recurrence": {"dtstart": "2026-03-01T12:00:00", "timezone": "UTC", "rrule": [], "rdate": [], "exdate": []},
        "action": {"type": "webhook", "params": {"url": "http://127.0.0.1:9/"}},
        "metadata": {},
        "tags": (),
        "policies": {},
        "has_hmac_secret": False,
        "hmac_overlap_until": None,
        "status": "active",
        "reason": None,
        "version": 1,
        "tzdata": "2026a",
        "expanded_until": now,
        "next_due_at": None,
        "next_expand_at": None,
        "created_at": now,
        "updated_at": now,
        "upcoming": None,
    } | said
    for name in ("schedule", "recurrence", "action", "metadata", "policies"):
        fields[name] = None if fields[name] is None else msgspec.Raw(as_json(fields[name]).encode())
    return Event(**fields)


async def insert(store, *created):
    async with store.transaction() as conn:
        return await events.insert(conn, created)


async def find(store, clock, scope=None, before=None, limit=100, **wanted):
    async with store.connection() as conn:
        return (await events.page(conn, Filter(**wanted), scope, before, limit, clock.now())).events


async def names(store, clock, **wanted):
    return sorted(event.name for event in await find(store, clock, **wanted))


async def test_what_is_inserted_reads_back_the_same(store, clock):
    new = make(
        clock.now(),
        key="tea/4 o'clock",
        name='a "quoted" näme',
        description="line\nbreak \\ {curly}",
        schedule="FREQ=DAILY",
        metadata={"a": [1, 2.5, None], "b": {"c": "d"}},
        tags=("plain", "with space", 'with "quote"', "back\\slash", "comma, brace {}", "NULL", "ünï"),
        next_due_at=clock.now() + timedelta(hours=1),
    )
    await insert(store, new)

    async with store.connection() as conn:
        read = await events.get(conn, new.id, None, clock.now())
    assert read is not None
    for name in ("key", "name", "description", "start_time", "version", "has_hmac_secret", "next_due_at", "created_at"):
        assert getattr(new, name) == getattr(read, name), name
    for name in ("schedule", "metadata", "action", "recurrence"):
        assert msgspec.json.decode(getattr(new, name)) == msgspec.json.decode(getattr(read, name)), name
    assert list(new.tags) == list(read.tags)


async def test_many_are_inserted_at_once_with_their_first_versions(store, clock):
    created = [make(clock.now(), name=f"event {n}", tags=["x"] * (n % 3)) for n in range(300)]

    made = await insert(store, *created)

    assert {one.id for one in created} == made
    async with store.connection() as conn:
        assert [(300,)] == await rows(
            conn, "SELECT count(*) FROM event_versions WHERE version = 1 AND valid_until IS NULL"
        )


async def test_an_event_whose_key_is_taken_is_left_out_and_has_no_version(store, clock):
    first, second, third = (make(clock.now(), key=key) for key in ("a", "a", "b"))
    await insert(store, first)

    assert {third.id} == await insert(store, second, third)
    async with store.connection() as conn:
        assert [(2,)] == await rows(conn, "SELECT count(*) FROM event_versions")


async def test_two_groups_that_want_the_same_keys_do_not_deadlock(store, clock):
    def group(order):
        return [make(clock.now(), key=f"k{n}") for n in order]

    made = await asyncio.gather(
        insert(store, *group(range(50))), insert(store, *group(reversed(range(50)))), insert(store, *group(range(50)))
    )

    assert 50 == sum(map(len, made))


async def test_a_deleted_event_frees_its_key_and_is_only_found_when_asked_for(store, clock):
    new = make(clock.now(), key="a")
    await insert(store, new)
    async with store.transaction() as conn:
        await events.delete(conn, new.id, clock.now())

    again = make(clock.now(), key="a")
    assert {again.id} == await insert(store, again)
    assert [again.id] == [event.id for event in await find(store, clock)]
    deleted = await find(store, clock, statuses=["deleted"])
    assert [(new.id, False, None)] == [(e.id, e.has_hmac_secret, e.upcoming) for e in deleted]


async def test_saving_a_key_that_another_event_has_is_a_conflict(store, clock):
    first, second = make(clock.now(), key="a"), make(clock.now(), key="b")
    await insert(store, first, second)

    with pytest.raises(Conflict) as refused:
        async with store.transaction() as conn:
            await events.save(conn, msgspec.structs.replace(second, key="a"))

    assert "key" == refused.value.field


@pytest.fixture
async def some(store, clock):
    now = clock.now()
    await insert(
        store,
        make(now, name="Morning brew", description="strong", tags=("kitchen", "hot"), metadata={"cup": {"size": 2}}),
        make(now, name="evening", description="the brewery closes", tags=("town",), metadata={"cup": {"size": 3}}),
        make(now, name="invoice", key="order-123/final", tags=("town", "hot"), status="paused"),
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["Morning brew", "evening", "invoice"]),
        ({"any_tags": ["kitchen", "town"]}, ["Morning brew", "evening", "invoice"]),
        ({"any_tags": ["hot"]}, ["Morning brew", "invoice"]),
        ({"all_tags": ["town", "hot"]}, ["invoice"]),
        ({"scope": ["kitchen"]}, ["Morning brew"]),
        ({"scope": ["kitchen"], "any_tags": ["town"]}, []),
        ({"scope": []}, []),
        ({"statuses": ["paused"]}, ["invoice"]),
        ({"statuses": ["paused", "active"]}, ["Morning brew", "evening", "invoice"]),
        ({"metadata": '{"cup": {"size": 3}}'}, ["evening"]),
        ({"metadata": "{}"}, ["Morning brew", "evening", "invoice"]),
        ({"words": "BREW"}, ["Morning brew", "evening"]),
        ({"words": "morn str"}, ["Morning brew"]),
        ({"words": "orning"}, []),
        ({"words": "order-123"}, ["invoice"]),
        ({"words": "order"}, ["invoice"]),
        ({"words": "!!!"}, []),
        ({"words": "' & '"}, []),
        ({"words": "brew' | 'x:* <-> ("}, []),
    ],
)
async def test_events_are_found_by_what_is_asked(store, clock, some, wanted, found):
    assert sorted(found) == await names(store, clock, **wanted)


async def test_upcoming_is_the_first_instant_that_is_open_and_not_begun(store, clock):
    now = clock.now()
    new = make(now, next_due_at=now + timedelta(hours=2))
    await insert(store, new)

    async with store.connection() as conn:
        unexpanded = await events.get(conn, new.id, None, now)
        await plant_open(conn, new.id, now - timedelta(minutes=1))
        await plant_open(conn, new.id, now + timedelta(minutes=1))
        await conn.execute("UPDATE pending SET lease_until = %s WHERE due_at < %s", (now, now))
        expanded = await events.get(conn, new.id, None, now)

    assert unexpanded is not None
    assert expanded is not None
    assert (new.next_due_at, now + timedelta(minutes=1)) == (unexpanded.upcoming, expanded.upcoming)


async def test_a_walk_meets_every_event_once_while_others_are_added(store, clock):
    await insert(store, *(make(clock.now(), name=f"{n:03}") for n in range(95)))
    seen, before = [], None
    while page := await find(store, clock, before=before, limit=10):
        seen += [event.name for event in page]
        before = page[-1].id
        clock.advance(1)
        await insert(store, make(clock.now(), name="late"))

    assert [f"{n:03}" for n in range(95)] == sorted(seen)


async def test_a_page_is_the_same_whether_what_is_asked_for_is_common_or_rare(store, clock):
    """What fills no page from among the newest is looked up otherwise."""
    now = clock.now()
    made = [
        make(now + timedelta(milliseconds=n), tags=("rare",) if n in (3, 2_500) else ("common",)) for n in range(3_000)
    ]
    await insert(store, *made)

    async def page(tag, before, limit):
        async with store.connection() as conn:
            found = await events.page(conn, Filter(any_tags=[tag]), None, before, limit, now)
            return [event.id for event in found.events]

    assert [made[2_500].id, made[3].id] == await page("rare", None, 5)
    assert [made[3].id] == await page("rare", made[2_500].id, 5)
    assert [made[2_999].id, made[2_998].id] == await page("common", None, 2)
    assert [made[1].id, made[0].id] == await page("common", made[2].id, 5)


class Interrupted:
    """A connection on which something happens after its first statement."""

    def __init__(self, conn, meanwhile) -> None:
        self.conn = conn
        self.cursor = conn.cursor
        self.meanwhile = meanwhile

    async def execute(self, *said, **more):
        cursor = await self.conn.execute(*said, **more)
        await self.meanwhile()
        return cursor


@pytest.mark.parametrize("gone", [0, 2, 3], ids=["first", "last", "first of the next"])
async def test_a_page_from_which_an_event_goes_while_it_is_read_does_not_end_the_list(store, clock, gone):
    now = clock.now()
    made = [make(now - timedelta(milliseconds=n), tags=("some",)) for n in range(5)]
    await insert(store, *made)
    wanted = Filter(any_tags=["some"])

    async def delete():
        async with store.connection() as other:
            await events.delete(other, made[gone].id, now)

    async with store.connection() as conn:
        first = await events.page(Interrupted(conn, delete), wanted, None, None, 3, now)
        second = await events.page(conn, wanted, None, first.after, 3, now)

    left = [event.id for number, event in enumerate(made) if number != gone]
    assert made[2].id == first.after
    assert left == [event.id for event in first.events + second.events]
    assert second.after is None
