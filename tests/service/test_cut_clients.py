"""Clients that are cut off at random, on gateways that come and go: nothing is lost, and the order of each is kept.

At length, and with gateways that are killed, it is scenario W2 of `make chaos`.
"""

from __future__ import annotations

import asyncio

import msgspec

from qhronos.config import Config
from qhronos.engine.fsck import check_all
from tests.service.events import query
from tests.service.flighty import WINDOW, Flighty
from tests.service.mail import to_client
from tests.service.sockets import MASTER, open_gateway, open_house

CLIENTS, MESSAGES = 8, 30


async def test_of_clients_cut_at_random_none_loses_anything(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as house:
        urls = [house.url]
        flighty = [Flighty(f"client-{n}", f"cut {n}", urls, MESSAGES, MASTER) for n in range(CLIENTS)]
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
        await asyncio.gather(*[each.finish() for each in flighty])
        statuses = await query(house.api, "SELECT status, count(*) FROM occurrences GROUP BY status")
        report = await check_all(house.api.deps.changes.stores, house.api.deps.clock, Config(), 1000)

    assert [list(range(1, MESSAGES + 1))] * CLIENTS == [sorted(each.got.values()) for each in flighty]
    assert [("completed", CLIENTS * MESSAGES)] == statuses
    assert 0 == sum(each.disordered for each in flighty)
    assert all(each.again <= WINDOW * each.connections for each in flighty)
    assert sum(each.connections for each in flighty) > CLIENTS
    assert report.clean, msgspec.json.encode(report.violations)


async def _half(each: Flighty) -> None:
    async with asyncio.timeout(60):
        while len(each.got) < MESSAGES // 2:  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn
