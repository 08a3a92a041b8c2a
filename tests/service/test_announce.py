"""Telling: at most once, numbered, and for nobody only counted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from qhronos.broadcast import Broadcast, Hearing, Told
from qhronos.clock import SystemClock
from qhronos.engine.announce import BATCH, Announcer
from qhronos.redis_link import connect
from qhronos.store.events import Brief

TEA = Brief(UUID(int=7), "tea", "active", ["hot"], 1, datetime(2026, 3, 1, tzinfo=UTC))


class Listening:
    """What a gateway would hear, of an announcer that runs."""

    def __init__(self, broadcast):
        self.broadcast = broadcast
        self.announcer = Announcer(broadcast, SystemClock())
        self.heard = []
        self.came = asyncio.Event()

    def heed(self, notice):
        if isinstance(notice, Told):
            self.heard.append((notice.last, len(notice.frames)))
            self.came.set()

    async def next(self):
        async with asyncio.timeout(15):
            await self.came.wait()
        self.came.clear()
        return self.heard[-1]

    async def counted(self, last):
        """Once that many have numbers."""
        clock = SystemClock()
        end = clock.monotonic() + 15  # the driver keeps it to itself when it is cancelled, now and then
        while (await self.broadcast.told())[1] != last:
            assert clock.monotonic() < end


async def overheard(broadcast):
    listening, subscribed = Listening(broadcast), asyncio.Event()
    following = asyncio.create_task(broadcast.follow_as_gateway(SystemClock(), subscribed, listening.heed))
    running = asyncio.create_task(listening.announcer.run())
    async with asyncio.timeout(15):
        await subscribed.wait()
    return listening, [following, running]


@pytest.fixture
async def redis(redis_url):
    opened = connect(redis_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def listening(redis, redis_prefix):
    opened, tasks = await overheard(Broadcast(redis, redis_prefix))
    yield opened
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_who_does_not_know_whether_anybody_listens_finds_out_by_telling(listening):
    listening.announcer.changed("created", [TEA])

    assert (1, 1) == await listening.next()


async def test_for_nobody_it_is_counted_and_has_its_numbers_soon(listening):
    listening.announcer.changed("created", [TEA])
    await listening.next()
    for _ in range(3):
        listening.announcer.changed("updated", [TEA])

    await listening.counted(4)

    assert [(1, 1)] == listening.heard


async def test_of_many_no_more_is_told_than_it_takes_to_know_that_nobody_listens(listening):
    listening.announcer.changed("created", [TEA] * (5 * BATCH))

    await listening.counted(5 * BATCH)

    assert [(BATCH, BATCH)] == listening.heard


async def test_as_soon_as_somebody_listens_all_is_told(listening):
    listening.announcer.changed("created", [TEA])
    await listening.next()
    listening.announcer.changed("updated", [TEA])
    await listening.broadcast.hearing()
    listening.announcer.heed(Hearing())
    await listening.counted(2)
    listening.announcer.changed("updated", [TEA, TEA])

    assert (4, 2) == await listening.next()


async def test_what_a_bug_keeps_from_being_told_has_its_number_as_well(listening):
    await listening.broadcast.hearing()
    with capture_logs() as logs:
        listening.announcer.changed("created", [TEA._replace(name=object())])
        await listening.counted(1)
        listening.announcer.changed("created", [TEA])

        assert (2, 1) == await listening.next()
    assert ["announcer.failed"] == [line["event"] for line in logs]


class Late(Broadcast):
    """Its answer, that nobody listens, comes after the notice that somebody does."""

    heed = None

    async def tell(self, frames, left_out):
        is_heard = await super().tell(frames, left_out)
        self.heed(Hearing())
        return is_heard


async def test_an_answer_that_comes_late_is_known_to_be_old(redis, redis_prefix):
    broadcast = Late(redis, redis_prefix)
    listening, tasks = await overheard(broadcast)
    broadcast.heed = listening.announcer.heed
    heard = []
    for kind in ("created", "updated"):
        listening.announcer.changed(kind, [TEA])
        heard.append(await listening.next())
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert [(1, 1), (2, 1)] == heard
