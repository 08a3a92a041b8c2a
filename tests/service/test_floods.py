"""Frames that are allowed, and so many of them that they must not be: what each costs is bounded, and others are not held up."""

from __future__ import annotations

from itertools import repeat

import pytest

from tests.service.rawsocket import listening
from tests.service.sockets import House, as_client, open_house
from tests.wires import CLOSE, CONT, PING, PONG, TEXT, frame

MANY = 10_000
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


async def test_a_message_in_many_fragments_is_read(house: House):
    parts = [ASKED[:-1], *[b" "] * 1_000, b"}"]
    async with listening(house.url) as raw:
        await raw.say([frame(TEXT, parts[0], fin=False), *(frame(CONT, one, fin=False) for one in parts[1:-1])])
        await raw.say([frame(CONT, parts[-1])])

        assert ["pong", "open"] == await raw.answers()
