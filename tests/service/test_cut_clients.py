"""Clients that are cut off at random, on gateways that come and go: nothing is lost, and the order of each is kept."""

from __future__ import annotations

import asyncio
from random import Random

import msgspec
from websockets.exceptions import ConnectionClosed

from qhronos.config import Config
from qhronos.engine.fsck import check_all
from tests.service.events import query
from tests.service.mail import to_client
from tests.service.sockets import MASTER, Peer, connect, open_gateway, open_house

CLIENTS, MESSAGES = 8, 30
WINDOW = 100


class Flighty:
    """Acknowledges what it gets, some of it later than the rest, and is cut off in the middle of things."""

    def __init__(self, name: str, seed: str, urls: list[str]) -> None:
        self.name = name
        self.urls = urls
        self.cuts = 0
        self.again = 0
        self.got: dict[str, int] = {}  # occurrence → its number
        self._random = Random(seed)  # noqa: S311 - a seed

    async def live(self) -> None:
        while len(self.got) < MESSAGES:
            try:
                async with connect(self._random.choice(self.urls), compression=None) as connection:
                    await self._listen(Peer(connection))
                    connection.transport.abort()
            except (OSError, ConnectionClosed):
                pass
            self.cuts += 1

    async def _listen(self, peer: Peer) -> None:
        await peer.say(type="client-hook", client_name=self.name, token=MASTER)
        left = self._random.randrange(1, 25)  # frames until the cut
        while left and len(self.got) < MESSAGES:
            frame = await peer.hear()
            if frame["type"] != "event":
                continue
            left -= 1
            self._take(frame)
            if self._random.random() < 0.5:
                await peer.say(type="ack", seq=frame["seq"])
            elif self._random.random() < 0.5:
                await peer.say(type="ack", occurrence_id=frame["occurrence_id"])

    def _take(self, frame: dict) -> None:
        self.again += frame["redelivered"]
        if frame["occurrence_id"] not in self.got:
            assert frame["seq"] > max(self.got.values(), default=0), "out of order"
            self.got[frame["occurrence_id"]] = frame["seq"]


async def finish(url: str, name: str) -> None:
    """Acknowledge what is left."""
    async with connect(url, compression=None) as connection:
        peer = Peer(connection)
        await peer.say(type="client-hook", client_name=name, token=MASTER)
        await peer.hear()
        await peer.say(type="ack", seq=MESSAGES)
        while (await peer.hear()).get("message") != "acknowledged":
            pass


async def test_of_clients_cut_at_random_none_loses_anything(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as house:
        urls = [house.url]
        flighty = [Flighty(f"client-{n}", f"cut {n}", urls) for n in range(CLIENTS)]
        lives = [asyncio.create_task(each.live()) for each in flighty]
        events = [{"name": f"tea {n}", "action": to_client(each.name)} for n in range(MESSAGES) for each in flighty]
        async with open_gateway(house.api) as (_, other, _):
            urls.append(other)
            await house.api.post("/events/bulk", {"events": events[: len(events) // 2]})
            await asyncio.gather(*[_half(each) for each in flighty])
            urls.remove(other)
        await house.api.post("/events/bulk", {"events": events[len(events) // 2 :]})
        async with asyncio.timeout(60):
            await asyncio.gather(*lives)
        await asyncio.gather(*[finish(house.url, each.name) for each in flighty])
        statuses = await query(house.api, "SELECT status, count(*) FROM occurrences GROUP BY status")
        report = await check_all(house.api.deps.changes.stores, house.api.deps.clock, Config(), 1000)

    assert [list(range(1, MESSAGES + 1))] * CLIENTS == [sorted(each.got.values()) for each in flighty]
    assert [("completed", CLIENTS * MESSAGES)] == statuses
    assert all(each.again <= WINDOW * each.cuts for each in flighty)
    assert sum(each.cuts for each in flighty) > CLIENTS
    assert report.clean, msgspec.json.encode(report.violations)


async def _half(each: Flighty) -> None:
    async with asyncio.timeout(60):
        while len(each.got) < MESSAGES // 2:  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn
