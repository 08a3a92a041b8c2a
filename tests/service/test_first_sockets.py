"""What was wrong with the sockets of the first Qhronos, a test for each. Those that stand elsewhere:

tokens were not looked at            test_gateway: a_handshake_that_cannot_be…, a_token_is_for_the_clients_in_its_scope
listeners were never told anything   test_listeners: every_action_is_heard_of_when_it_is_due
acks were not stored                 test_gateway: what_is_due_reaches_a_client_and_its_word_completes_it
silence was taken for a yes          test_gateway: silence_of_a_client_that_is_there_is_a_failed_attempt
one of many connections, by chance   test_gateway: a_newer_connection_is_served_instead_of_the_older
one process knew its sockets alone   test_gateway: so_it_is_on_another_gateway…; test_listeners: listeners_at_two_gateways…
nobody there: three tries, and lost  test_gateway: what_came_while_it_was_away…; test_outbox: what_is_due_waits…
a stuck listener held up the others  test_listeners: who_reads_nothing_is_cut_off_and_delays_nobody
frames of any size                   test_gateway: a_frame_that_is_too_long_ends_it
strangers stayed for ever            test_gateway: who_says_nothing_is_sent_away
pages of any origin were let in      test_gateway: pages_of_other_origins_are_not_let_in
`q:acme` as a webhook                test_outbox: the_webhook_field_of_the_first_qhronos_names_a_client
"""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.service.events import occurrences_of, query
from tests.service.mail import create_for, to_client
from tests.service.sockets import MASTER, WITHIN, Peer, as_client, as_listener, dial, open_house, until

FIRST_EVENT = {"type", "event_id", "occurrence_id", "name", "description", "scheduled_at", "metadata", "tags"}
ONCE = {"max_attempts": 1}


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


async def statuses(api, event):
    return {one["id"]: one["status"] for one in await occurrences_of(api, event)}


@pytest.mark.parametrize(
    ("hello", "texts", "code"),
    [
        ({"type": "client-hook", "client_name": "acme", "token": MASTER}, ["subscription registered"], None),
        ({"type": "tag-listener", "tags": ["billing", "urgent"], "token": MASTER}, ["subscription registered"], None),
        ({"type": "client-hook", "client_name": "acme"}, ["authentication required"], 4401),
        ({"type": "client-hook", "client_name": "acme", "token": ""}, ["authentication required"], 4401),
        ({"type": "client-hook", "client_name": "acme", "token": "  "}, ["authentication required"], 4401),
        ({"type": "client-hook", "client_name": "acme", "token": "two words"}, ["invalid token"], 4401),
        ({"type": "client-hook", "token": MASTER}, ["client_name required for client-hook"], 4400),
        ({"type": "tag-listener", "token": MASTER}, ["tags required for tag-listener"], 4400),
        ({"type": "tag-listener", "tags": [], "token": MASTER}, ["tags required for tag-listener"], 4400),
        ({"type": "event", "token": MASTER}, ["invalid type"], 4400),
        ("not JSON", ["invalid handshake message"], 4400),
    ],
)
async def test_the_texts_of_the_handshake_are_those_it_had(house, hello, texts, code):
    async with dial(house.url) as peer:
        await (peer.connection.send(hello) if isinstance(hello, str) else peer.say(**hello))
        said = await peer.hear()
        closed = await peer.closed() if code else None

    assert ("error" if code else "ack", texts, code) == (said["type"], [said["message"]], closed)


@pytest.mark.parametrize(
    ("registered", "frame", "text"),
    [
        (as_client, "not JSON", "invalid message format"),
        (as_client, '{"type": "subscribe"}', "unexpected message type after handshake"),
        (as_listener, "not JSON", "invalid message format"),
        (as_listener, '{"type": "subscribe"}', "unexpected message type after handshake"),
        (
            as_listener,
            '{"type": "ack", "event_id": "e", "occurrence_id": "o"}',
            "acknowledge not supported for tag-listener",
        ),
    ],
)
async def test_the_texts_after_it_are_those_it_had_and_end_nothing(house, registered, frame, text):
    async with registered(house.url, "tea") as (peer, _):
        await peer.connection.send(frame)
        said = await peer.hear()
        await peer.say(type="ping")
        after = await peer.hear()

    assert [{"type": "error", "message": text}, {"type": "pong"}] == [said, after]


async def test_each_occurrence_of_a_recurrence_says_which_it_is(house):
    """All were at the start of the event, and had no id that could be acknowledged."""
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api, schedule={"every": "1s"}, max_occurrences=2)
        frames = [await peer.hear(), await peer.hear()]
        await peer.say(type="ack", event_id=event["id"], occurrence_id=frames[1]["occurrence_id"])
        said = await peer.hear()
        told = {one["id"]: one["scheduled_at"] for one in await occurrences_of(house.api, event)}
        by_status = await statuses(house.api, event)

    assert all(frame.keys() >= FIRST_EVENT for frame in frames)
    assert told == {frame["occurrence_id"]: frame["scheduled_at"] for frame in frames}
    assert 2 == len(set(told.values()))
    assert ("ack", "acknowledged") == (said["type"], said["message"])
    assert ["dispatched", "completed"] == [by_status[frame["occurrence_id"]] for frame in frames]


async def test_only_the_client_it_was_sent_to_can_acknowledge_it(house):
    """Its ids were never looked at, so any answer was right."""
    async with as_client(house.url, "acme") as (peer, _), as_client(house.url, "other") as (other, _):
        event = await create_for(house.api)
        frame = await peer.hear()
        for ids in ({"event_id": event["id"], "occurrence_id": frame["occurrence_id"]}, {"event_id": event["id"]}):
            await other.say(type="ack", **ids)
            await other.hear()
        await other.say(type="ack", seq=frame["seq"])
        await other.hear()
        await other.say(type="nack", occurrence_id=frame["occurrence_id"], final=True)
        refused = await other.hear()
        before = await statuses(house.api, event)

    assert {frame["occurrence_id"]: "dispatched"} == before
    assert {"type": "error", "message": "no such message"} == refused


@pytest.mark.parametrize(
    "ids", [{"event_id": "x", "occurrence_id": "y"}, {"event_id": ""}, {}, {"occurrence_id": "occ_"}]
)
async def test_an_acknowledgement_of_nothing_completes_nothing(house, ids):
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api)
        frame = await peer.hear()
        await peer.say(type="ack", **ids)
        await peer.hear()
        before = await statuses(house.api, event)

    assert {frame["occurrence_id"]: "dispatched"} == before


async def test_being_away_is_no_attempt(house):
    """Nobody there was an error, three of which in as many seconds were the end."""
    event = await create_for(house.api, retry=ONCE)
    while "dispatched" not in (await statuses(house.api, event)).values():
        pass
    for _ in range(4):
        async with as_client(house.url) as (peer, _):
            frame = await peer.hear()
    async with as_client(house.url) as (peer, _):
        await peer.hear()
        await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
        await peer.hear()
        (occurrence,) = await occurrences_of(house.api, event)

    assert ("completed", 1, 1) == (occurrence["status"], occurrence["attempt"], frame["attempt"])


async def test_what_many_want_to_write_at_once_comes_in_whole_frames(house):
    """Two that wrote at once could end the process."""
    count = 60
    async with as_client(house.url) as (peer, _):
        makes = [
            house.api.post("/events/bulk", {"events": [{"name": f"tea {n}", "action": to_client()} for n in range(20)]})
            for _ in range(count // 20)
        ]
        making = asyncio.gather(*makes)
        got, pongs, answers = [], 0, 0
        while len(got) < count or answers < count or pongs < 15:
            frame = await peer.hear()
            if frame["type"] == "event":
                got.append(frame["seq"])
                await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
                if len(got) % 4 == 0:
                    await peer.say(type="ping")
            elif frame["type"] == "pong":
                pongs += 1
            else:
                answers += frame["type"] == "ack"
        await making
        waiting = await query(house.api, "SELECT count(*) FROM outbox")

    assert list(range(1, count + 1)) == sorted(got)
    assert [(0,)] == waiting


async def test_a_client_that_reads_nothing_delays_no_other_and_keeps_what_is_its_own(house):
    """One lock was held while a stuck socket was written to, and nobody else came in or was told."""
    narrow = socket.create_connection(("127.0.0.1", int(house.url.split(":")[2].split("/")[0])))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    long = {"long": "x" * 60_000}
    async with connect(house.url, sock=narrow, compression=None, max_queue=1) as stuck:
        await Peer(stuck).say(type="client-hook", client_name="stuck", token=MASTER)
        await Peer(stuck).hear()
        stuck.transport.pause_reading()
        for _ in range(40):
            await create_for(house.api, "stuck", metadata=long)
        async with as_client(house.url) as (peer, answer):
            await create_for(house.api)
            frame = await peer.hear()
        stuck.transport.abort()
    async with as_client(house.url, "stuck") as (again, _):
        first = await again.hear()

    assert ("ack", 1) == (answer["type"], frame["seq"])
    assert (1, long) == (first["seq"], first["metadata"])


async def test_who_does_not_answer_a_ping_is_let_go(house):
    """Dead connections were kept for ever, and sent to."""
    house.server.config.ws_ping_interval = house.server.config.ws_ping_timeout = 0.1
    async with connect(house.url, compression=None) as dead:
        await Peer(dead).say(type="client-hook", client_name="acme", token=MASTER)
        await Peer(dead).hear()
        dead.transport.pause_reading()
        await until(lambda: not house.gateway._sockets)
        dead.transport.abort()


@pytest.mark.parametrize("name", [f"client {n}" for n in range(5)])
async def test_many_that_connect_at_once_under_one_name_leave_one_that_is_served(house, name):
    """The registry was a map that anybody wrote to."""
    for _ in range(4):
        connections = await asyncio.gather(*[connect(house.url, compression=None) for _ in range(8)])
        peers = [Peer(each) for each in connections]
        await asyncio.gather(*[peer.say(type="client-hook", client_name=name, token=MASTER) for peer in peers])
        await until(lambda: len(house.gateway._sockets) == 1)  # of the others nothing is left
        await create_for(house.api, name)
        async with asyncio.timeout(WITHIN):
            ends = await asyncio.gather(*[_heard(peer) for peer in peers])
        for each in connections:
            await each.close()
        await until(lambda: not house.gateway._sockets)

        assert [4409] * 7 + ["event"] == sorted(ends, key=str)


async def _heard(peer):
    """What became of it: the code with which it was closed, or that it was told an event, which it acknowledges."""
    try:
        frame = await peer.hear_event()
    except ConnectionClosed as end:
        return end.rcvd.code
    await peer.say(type="ack", seq=frame["seq"])
    await peer.hear()
    return "event"
