"""Frames that are allowed, and so many of them that they must not be: what each costs is bounded, and others are not held up."""

from __future__ import annotations

import asyncio
import socket
from itertools import repeat

import pytest

from qhronos.gateway.wire import MOST_UNSEEN, PIECE
from tests.service.rawsocket import dialled, listening
from tests.service.sockets import MASTER, House, as_client, open_house
from tests.wires import CLOSE, CONT, PING, PONG, TEXT, frame, text

MANY = 10_000
ONCE = 256 * 1024  # bytes that come in at once
ASKED = b'{"type": "ping"}'


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


FLOODS = {
    "pings": frame(PING, b"x" * 125) * MANY,
    "empty pings": frame(PING) * MANY,
    "pongs": frame(PONG) * MANY,
    "empty fragments": frame(TEXT, fin=False) + frame(CONT, fin=False) * MANY,
    "fragments of a byte": frame(TEXT, b" ", fin=False) + frame(CONT, b" ", fin=False) * MANY,
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_is_cut_off_and_no_more_of_it_is_answered(house: House, flood: str):
    async with listening(house.url) as raw:
        raw.transport.write(FLOODS[flood])
        answered = 0
        while (one := await raw.next()) is not None and one.opcode == PONG:
            answered += 1

    assert one is not None
    assert (CLOSE, 4429) == (one.opcode, int.from_bytes(one.payload[:2], "big"))
    assert answered < MANY / 2


async def test_a_client_beside_a_flood_is_served(house: House):
    async with as_client(house.url) as (peer, _), listening(house.url) as raw:
        raw.transport.writelines(repeat(FLOODS["empty pings"], 10))
        await peer.say(type="ping")

        assert {"type": "pong"} == await peer.hear()


async def test_of_words_without_end_few_are_read_before_others_have_their_turn(house: House):
    async with listening(house.url) as raw:
        (wire,) = [socket._wire for socket in house.gateway._sockets]
        raw.transport.write(text(type="ack", seq=1) * MANY)
        most = held = 0
        while wire.is_open:
            most, held = max(most, wire.queue.qsize()), max(held, len(wire._held))
            await asyncio.sleep(0)  # noqa: TID251 - the gateway has its turn

    assert 0 < most <= PIECE // len(text(type="ack", seq=1)) + 1
    assert 0 < held <= ONCE


async def test_no_word_is_lost_when_there_are_many(house: House):
    async with dialled(house.url) as raw:
        raw.transport.write(text(type="client-hook", client_name="acme", token=MASTER))
        raw.transport.writelines(text(type="ack", seq=number) for number in range(MANY))
        frames = [await raw.next() for _ in range(MANY + 1)]

    assert ["subscription registered", *range(MANY)] == [
        frame and (frame.json()["message"] if number == 0 else frame.json()["seq"])
        for number, frame in enumerate(frames)
    ]


async def test_what_is_not_read_is_soon_known_to_be_unsent(house: House):
    async with listening(house.url) as raw:
        raw.transport.pause_reading()
        (wire,) = [socket._wire for socket in house.gateway._sockets]
        unread = raw.transport.get_extra_info("socket")
        for _ in range(20):
            wire.push(b"x" * 50_000)
        taken = 20 * 50_000 - wire.unsent - unread.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

        assert taken <= 2 * MOST_UNSEEN  # with what its own system has taken


async def test_a_message_in_many_fragments_is_read(house: House):
    parts = [ASKED[:-1], *[b" "] * 300, b"}"]
    async with listening(house.url) as raw:
        await raw.say([frame(TEXT, parts[0], fin=False), *(frame(CONT, one, fin=False) for one in parts[1:-1])])
        await raw.say([frame(CONT, parts[-1])])

        assert ["pong", "open"] == await raw.answers()
