"""Who listens by tags: hears once of what is due, and is told what was missed."""

from __future__ import annotations

import socket

import pytest
from websockets.asyncio.client import connect

from qhronos.api.auth import Access
from tests.service.mail import create_for
from tests.service.sockets import MASTER, Peer, as_client, as_listener, open_gateway, open_house, until

CLOSED = {"webhook": "http://127.0.0.1:9/"}  # nobody listens there


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


async def mark(peer, house, *tags):
    """What comes before an event that was made now."""
    event = await create_for(house.api, "mark", tags=list(tags))
    heard = []
    while (frame := await peer.hear()).get("event_id") != event["id"]:
        heard.append(frame)
    return heard


async def test_every_action_is_heard_of_when_it_is_due(house):
    async with as_listener(house.url, "tea") as (peer, answer):
        event = await create_for(house.api, tags=["tea", "hot"], metadata={"kettle": 1})
        frame = await peer.hear()

    assert ("ack", "subscription registered") == (answer["type"], answer["message"])
    assert ("event", "due", event["id"], ["tea", "hot"], {"kettle": 1}) == tuple(
        frame[name] for name in ("type", "kind", "event_id", "tags", "metadata")
    )
    assert answer["epoch"] == frame["epoch"]
    assert answer["offset"] + 2 == frame["offset"]  # that it was made was told, too


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ({}, ["a", "ab"]),
        ({"tags_match": "all"}, ["ab"]),
        ({"tags_match": "any"}, ["a", "b", "ab"]),
    ],
)
async def test_tags_are_any_or_all(house, asked, heard):
    tags = ["a"] if not asked else ["a", "b"]
    async with as_listener(house.url, *tags, **asked) as (peer, _):
        for own in ("a", "b", "ab", "c"):
            await create_for(house.api, name=own, tags=list(own))
        frames = await mark(peer, house, "a", "b")

    assert sorted(heard) == sorted(frame["name"] for frame in frames)


async def test_only_the_events_that_are_asked_for(house):
    wanted = await create_for(house.api, tags=["tea"], start_time="2099-01-01T00:00:00Z")
    other = await create_for(house.api, tags=["tea"], start_time="2099-01-01T00:00:00Z")
    async with as_listener(house.url, "tea", event_ids=[wanted["id"]]) as (peer, _):
        for event in (other, wanted):
            await house.api.post(f"/events/{event['id']}/run")

        assert wanted["id"] == (await peer.hear())["event_id"]


async def test_ends_are_heard_of_on_request(house):
    async with (
        as_listener(house.url, "tea", kinds=["completed", "failed"]) as (peer, _),
        as_client(house.url) as (client, _),
    ):
        await create_for(house.api, tags=["tea"])
        await client.say(type="ack", occurrence_id=(await client.hear())["occurrence_id"])
        taken = await peer.hear()
        await create_for(house.api, tags=["tea"])
        refused = await client.hear_event()
        await client.say(type="nack", occurrence_id=refused["occurrence_id"], final=True, reason="no")
        failed = await peer.hear()

    assert ("completed", 1) == (taken["kind"], taken["attempt"])
    assert ("failed", "not acknowledged: no") == (failed["kind"], failed["reason"])


async def test_a_token_hears_of_the_tags_in_its_scope_alone(house):
    token = house.api.token(Access.READ, "tea")
    async with as_listener(house.url, "tea", "coffee", token=token) as (peer, answer):
        code = await peer.closed()
    async with as_listener(house.url, "tea", token=token) as (_, allowed):
        pass

    assert ("insufficient scope", 4403) == (answer["message"], code)
    assert "ack" == allowed["type"]


async def test_listeners_at_two_gateways_hear_the_same(house):
    async with (
        open_gateway(house.api) as (_, url, _),
        as_listener(house.url, "tea") as (here, _),
        as_listener(url, "tea") as (there, _),
    ):
        await create_for(house.api, tags=["tea"])

        assert await here.hear() == await there.hear()


async def test_what_was_told_while_it_was_away_is_told_again(house):
    async with as_listener(house.url, "tea") as (peer, answer):
        await create_for(house.api, tags=["tea"])
        first = await peer.hear()
        async with as_listener(house.url, "coffee") as (other, _):
            await create_for(house.api, tags=["tea", "coffee"])
            await other.hear()
        resume = {"epoch": answer["epoch"], "offset": first["offset"]}
        async with as_listener(house.url, "tea", resume=resume) as (again, again_answer):
            second = await again.hear()

    assert ("event", "due") == (second["type"], second["kind"])
    assert first["event_id"] != second["event_id"]
    assert first["offset"] == again_answer["offset"]


@pytest.mark.parametrize(("epoch", "missed"), [("another", None), (None, 3)])
async def test_what_is_not_remembered_is_a_gap(house, epoch, missed):
    async with as_listener(house.url, "tea") as (_, answer):
        await house.api.deps.broadcast.tell([], 3)
        house.gateway._hearing.audience.catch_up(*await house.api.deps.broadcast.told())
        resume = {"epoch": epoch or answer["epoch"], "offset": answer["offset"]}
        async with as_listener(house.url, "tea", resume=resume) as (peer, _):
            gap = await peer.hear()

    assert ("gap", missed) == (gap["type"], gap["missed"])


async def test_what_did_not_come_is_a_gap_before_what_comes(house):
    """Two that were told while the subscription was broken."""
    async with as_listener(house.url, "tea") as (peer, answer):
        await house.api.deps.broadcast.tell([], 2)
        await create_for(house.api, tags=["tea"])
        gap, frame = await peer.hear(), await peer.hear()

    assert ("gap", 2, answer["offset"] + 2) == (gap["type"], gap["missed"], gap["offset"])
    assert ("event", answer["offset"] + 4) == (frame["type"], frame["offset"])


async def test_a_broken_subscription_is_caught_up_with_when_it_lives_again(house):
    async with as_listener(house.url, "tea") as (peer, _):
        await house.api.deps.broadcast.tell([], 2)
        house.gateway._hearing.lost()
        house.gateway.wake.set()

        gap = await peer.hear()

    assert ("gap", 2) == (gap["type"], gap["missed"])


async def test_numbers_that_began_anew_are_a_gap(house):
    async with as_listener(house.url, "tea") as (peer, answer):
        redis = house.api.deps.plan.redis
        await redis.delete(house.api.deps.broadcast._numbers)
        await create_for(house.api, tags=["tea"])
        gap = await peer.hear()

    assert ("gap", None) == (gap["type"], gap["missed"])
    assert answer["epoch"] != gap["epoch"]


async def test_who_reads_nothing_is_cut_off_and_delays_nobody(house):
    narrow = socket.create_connection(("127.0.0.1", int(house.url.split(":")[2].split("/")[0])))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with connect(house.url, sock=narrow, compression=None, max_queue=1) as deaf:
        await Peer(deaf).say(type="tag-listener", tags=["tea"], token=MASTER)
        await Peer(deaf).hear()
        deaf.transport.pause_reading()
        async with as_listener(house.url, "tea") as (peer, _):
            event = await create_for(
                house.api, tags=["tea"], metadata={"long": "x" * 60_000}, start_time="2099-01-01T00:00:00Z"
            )
            for _ in range(150):
                await house.api.post(f"/events/{event['id']}/run")
                await peer.hear_event()
        await until(lambda: not house.gateway._hearing.audience.count)
        deaf.transport.abort()


async def test_of_what_is_tried_again_is_heard_once(house):
    async with as_listener(house.url, "tea") as (peer, _), as_client(house.url) as (client, _):
        event = await create_for(house.api, tags=["tea"], retry={"max_attempts": 2, "backoff": [0]})
        first = await client.hear()
        await client.say(type="nack", occurrence_id=first["occurrence_id"])
        again = await client.hear_event()
        heard = [await peer.hear(), *await mark(peer, house, "tea")]

    assert (1, 2) == (first["attempt"], again["attempt"])
    assert [event["id"]] == [frame["event_id"] for frame in heard]
