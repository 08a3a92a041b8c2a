"""Several connections of one name: one of them is told, or all; real sockets, real stores."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from random import Random

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from qhronos.config import Config
from qhronos.core.attempt import Delivered
from qhronos.engine.fsck import check_all
from qhronos.store import outbox
from qhronos.store.outbox import MARGIN
from tests.service.events import execute, occurrences_of, query
from tests.service.mail import create_for, post, postal, pull_as, say, to_client
from tests.service.sockets import MASTER, WITHIN, Peer, as_client, open_gateway, open_house, until

LATER = {"schedule": "FREQ=YEARLY", "start_time": "2090-01-01T00:00:00Z"}
SHARED = ["one_of", "fan_out"]


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def dispatcher(api, clock):
    async with postal(api, clock) as opened:
        yield opened


async def share(api, mode="one_of", name="acme"):
    """An event that makes the name a shared one, long before it is due."""
    return await create_for(api, name, params={"mode": mode}, **LATER)


async def tell(api, count=1, mode="one_of", **params):
    """Something that is due now, so many times."""
    return [await create_for(api, params={"mode": mode, **params}) for _ in range(count)]


async def ended(api, event):
    async with asyncio.timeout(WITHIN):
        while True:
            (occurrence,) = await occurrences_of(api, event)
            if occurrence["status"] not in {"scheduled", "dispatched"}:
                return occurrence
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn


async def all_completed(api, count):
    """Each at the first attempt."""
    async with asyncio.timeout(60):
        while True:
            found = await query(api, "SELECT status, attempt, count(*) FROM occurrences GROUP BY 1, 2")
            assert {("completed", 1)} >= {one[:2] for one in found}
            if [("completed", 1, count)] == found:
                return


async def is_quiet(peer):
    """Nothing is on its way to it: a ping is answered first."""
    await peer.say(type="ping")
    return {"type": "pong"} == await peer.hear()


async def acknowledge(peer, **which):
    await peer.say(type="ack", **which)
    while (await peer.hear()).get("message") != "acknowledged":
        pass


async def is_sound(house):
    report = await check_all(house.api.deps.changes.stores, house.api.deps.clock, Config(), 1000)
    return {} == {violation.check: violation.examples for violation in report.violations}


@pytest.mark.parametrize("mode", SHARED)
async def test_connections_that_were_there_before_the_first_message_are_all_served(house, mode):
    await share(house.api, mode)
    async with as_client(house.url) as (older, _), as_client(house.url) as (newer, _):
        house.gateway.wake.set()  # it looks

        assert await is_quiet(older)
        assert await is_quiet(newer)


async def test_a_name_that_is_not_shared_is_one_connections_alone(house):
    await share(house.api, name="another")
    async with as_client(house.url) as (older, _), as_client(house.url):
        assert 4409 == await older.closed()


async def test_a_message_goes_to_one_that_has_room(house):
    await share(house.api)
    async with as_client(house.url, window=1) as (one, _), as_client(house.url, window=1) as (other, _):
        await tell(house.api, 3)
        first = {(await peer.hear_event())["seq"] for peer in (one, other)}
        await acknowledge(other, seq=9)
        third = await other.hear_event()

    assert ({1, 2}, 3) == (first, third["seq"])


async def test_each_is_told_in_order_and_of_each_message_one(house):
    await share(house.api)
    got: list[list[int]] = [[], []]
    async with as_client(house.url, window=1) as (one, _), as_client(house.url, window=1) as (other, _):
        working = [asyncio.create_task(work(*each)) for each in zip((one, other), got, strict=True)]
        await tell(house.api, 6)
        await all_completed(house.api, 6)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    assert [1, 2, 3, 4, 5, 6] == sorted(got[0] + got[1])
    assert got == [sorted(mine) for mine in got]
    assert await is_sound(house)


async def work(peer, got):
    while True:
        frame = await peer.hear_event()
        got.append(frame["seq"])
        await peer.say(type="ack", occurrence_id=frame["occurrence_id"])


async def test_what_a_connection_had_that_breaks_goes_to_another_at_once(house):
    await share(house.api)
    async with as_client(house.url) as (breaking, _):
        (event,) = await tell(house.api, 1, ack_timeout=3600)
        sent = await breaking.hear_event()
        async with as_client(house.url) as (staying, _):
            assert await is_quiet(staying)
            breaking.connection.transport.abort()
            again = await staying.hear_event()
            await acknowledge(staying, occurrence_id=sent["occurrence_id"])
            occurrence = await ended(house.api, event)

    assert (1, True, 1) == (again["seq"], again["redelivered"], again["attempt"])
    assert ("completed", 1) == (occurrence["status"], occurrence["attempt"])


async def test_what_a_connection_has_acknowledged_that_breaks_goes_to_no_other(house):
    """Though it is not committed yet."""
    await share(house.api)
    async with as_client(house.url) as (leaving, _):
        await tell(house.api, 2, ack_timeout=3600)
        frames = [await leaving.hear_event() for _ in range(2)]
        async with as_client(house.url) as (staying, _):
            async with house.api.deps.database.transaction() as conn:
                await conn.execute("SELECT FROM pending FOR UPDATE")
                await leaving.say(type="ack", occurrence_id=frames[0]["occurrence_id"])
                await leaving.connection.close()
                given_back = await staying.hear_event()
                quiet = await is_quiet(staying)
            await acknowledge(staying, occurrence_id=given_back["occurrence_id"])
            await all_completed(house.api, 2)

    assert ([1, 2], 2, True) == ([frame["seq"] for frame in frames], given_back["seq"], quiet)


async def test_it_goes_to_another_on_another_gateway_too(house):
    await share(house.api)
    async with open_gateway(house.api) as (_, other_url, _), as_client(house.url) as (first, _):
        await tell(house.api, 2, ack_timeout=3600)
        sent = [await first.hear_event() for _ in range(2)]
        async with as_client(other_url) as (second, _):
            assert await is_quiet(second)
            first.connection.transport.abort()
            again = [await second.hear_event() for _ in range(2)]

    assert [(frame["seq"], frame["occurrence_id"], True) for frame in sent] == [
        (frame["seq"], frame["occurrence_id"], frame["redelivered"]) for frame in again
    ]


async def test_what_a_gateway_had_that_died_goes_to_another_when_the_loan_ends(api, clock, dispatcher):
    await share(api)
    await create_for(api, params={"mode": "one_of", "ack_timeout": 10})
    await post(dispatcher)
    async with api.deps.database.connection() as conn:
        dead = await outbox.connect(conn, "acme", clock.now())
        alive = await outbox.connect(conn, "acme", clock.now())
        first = await pull_as(conn, api, "acme", dead)
        meanwhile = await pull_as(conn, api, "acme", alive)
        clock.advance(10 + MARGIN)
        (again,) = await pull_as(conn, api, "acme", alive)

    assert [(1, False)] == [(message.seq, message.again) for message in first]
    assert [] == meanwhile
    assert (1, True, first[0].fence) == (again.seq, again.again, again.fence)
    assert await say(dispatcher, again, Delivered())


async def test_two_that_ask_at_the_same_time_are_lent_different_messages(api, clock, dispatcher):
    await share(api)
    for _ in range(20):
        await create_for(api, params={"mode": "one_of"})
    await post(dispatcher)

    async def ask(connected):
        async with api.deps.database.connection() as conn:
            return [message.seq for message in await pull_as(conn, api, "acme", connected, limit=10)]

    async with api.deps.database.connection() as conn:
        both = [await outbox.connect(conn, "acme", clock.now()) for _ in range(2)]
    got = await asyncio.gather(*[ask(connected) for connected in both])
    got += await asyncio.gather(*[ask(connected) for connected in both])

    assert list(range(1, 21)) == sorted(seq for some in got for seq in some)


async def test_all_of_them_get_each_message_and_the_first_word_counts(house):
    await share(house.api, "fan_out")
    async with as_client(house.url) as (one, _), as_client(house.url) as (other, _):
        (event,) = await tell(house.api, 1, "fan_out")
        frames = [await peer.hear_event() for peer in (one, other)]
        await acknowledge(one, occurrence_id=frames[0]["occurrence_id"])
        await other.say(type="nack", occurrence_id=frames[1]["occurrence_id"], reason="too late", final=True)
        said = await other.hear()
        occurrence = await ended(house.api, event)
        attempts = (await house.api.get(f"/occurrences/{occurrence['id']}/attempts")).json()["data"]

    assert [(1, False), (1, False)] == [(frame["seq"], frame["redelivered"]) for frame in frames]
    assert "acknowledged" == said["message"]
    assert ("completed", ["delivered"]) == (occurrence["status"], [one["outcome"] for one in attempts])
    assert await is_sound(house)


async def test_of_many_words_at_once_one_counts_and_all_are_answered(house):
    """They share a commit."""
    await share(house.api, "fan_out")
    async with AsyncExitStack() as stack:
        peers = [(await stack.enter_async_context(as_client(house.url)))[0] for _ in range(10)]
        (event,) = await tell(house.api, 1, "fan_out")
        for peer in peers:
            frame = await peer.hear_event()
        for peer in peers:
            await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
        said = [await peer.hear() for peer in peers]
        occurrence = await ended(house.api, event)

    assert [{"type": "ack", "message": "acknowledged", "occurrence_id": occurrence["id"]}] * 10 == said
    assert ("completed", 1) == (occurrence["status"], occurrence["attempt"])


async def test_no_of_one_of_them_is_tried_again_at_all_of_them(house):
    await share(house.api, "fan_out")
    async with as_client(house.url) as (one, _), as_client(house.url) as (other, _):
        await create_for(house.api, params={"mode": "fan_out"}, retry={"max_attempts": 2, "backoff": [0]})
        frame = await one.hear_event()
        await one.say(type="nack", occurrence_id=frame["occurrence_id"])
        again = [await one.hear_event(), (await other.hear_event(), await other.hear_event())[1]]

    assert [(2, 2, True)] * 2 == [(each["seq"], each["attempt"], each["redelivered"]) for each in again]


async def test_who_comes_later_gets_what_nobody_has_acknowledged(house):
    await share(house.api, "fan_out")
    async with as_client(house.url) as (first, _):
        await tell(house.api, 3, "fan_out")
        frames = [await first.hear_event() for _ in range(3)]
        await acknowledge(first, occurrence_id=frames[0]["occurrence_id"])
        async with as_client(house.url) as (later, _):
            got = [await later.hear_event() for _ in range(2)]
            await tell(house.api, 1, "fan_out")
            new = [await peer.hear_event() for peer in (first, later)]

    assert [(2, True), (3, True)] == [(frame["seq"], frame["redelivered"]) for frame in got]
    assert [(4, False)] * 2 == [(frame["seq"], frame["redelivered"]) for frame in new]


async def test_up_to_a_number_means_what_the_connection_itself_was_sent(house):
    await share(house.api)
    async with as_client(house.url, window=2) as (one, answer), as_client(house.url, window=2) as (other, _):
        await tell(house.api, 4)
        sent = [(await one.hear_event())["seq"] for _ in range(2)]
        others = [(await other.hear_event())["seq"] for _ in range(2)]
        await acknowledge(one, seq=9)
        waiting = [seq for (seq,) in await query(house.api, "SELECT seq FROM outbox ORDER BY seq")]
        async with as_client(house.url, resume={"epoch": answer["epoch"], "seq": 9}):
            still = [seq for (seq,) in await query(house.api, "SELECT seq FROM outbox ORDER BY seq")]

    assert [1, 2, 3, 4] == sorted(sent + others)
    assert others == waiting == still


async def test_what_is_for_the_latest_goes_to_one_of_those_that_share_the_name_whichever_is_left(house):
    await share(house.api)
    async with as_client(house.url, window=1) as (older, _):
        async with as_client(house.url, window=1) as (newer, _):
            await tell(house.api, 2, "latest")
            frames = [await peer.hear_event() for peer in (older, newer)]
            for peer, frame in zip((older, newer), frames, strict=True):
                await acknowledge(peer, occurrence_id=frame["occurrence_id"])
        await tell(house.api, 1, "latest")
        left = await older.hear_event()

    assert {1, 2} == {frame["seq"] for frame in frames}
    assert 3 == left["seq"]


async def test_what_is_for_the_latest_is_lent_in_its_turn(api, clock, dispatcher):
    """However much else there is."""
    await share(api)
    await mail(api, dispatcher, "one_of", "one_of", "latest", "one_of")
    async with api.deps.database.connection() as conn:
        connected = await outbox.connect(conn, "acme", clock.now())
        pages = [await pull_as(conn, api, "acme", connected, limit=1) for _ in range(4)]

    assert [1, 2, 3, 4] == [message.seq for page in pages for message in page]


@pytest.mark.parametrize("is_shared", [True, False])
async def test_what_was_passed_over_is_not_acknowledged_by_a_later_number(api, clock, dispatcher, is_shared):
    """Another connection is at it just then, and lends it not after all."""
    await share(api)
    await mail(api, dispatcher, "latest", "one_of")
    async with api.deps.database.connection() as conn:
        connected = await outbox.connect(conn, "acme", clock.now())
        async with api.deps.database.transaction() as another:
            await another.execute("SELECT FROM outbox WHERE seq = 1 FOR UPDATE")
            page = await pull_as(conn, api, "acme", connected)
        found = await outbox.waiting_until(conn, "acme", connected.generation + 1, 2, 10, shared=is_shared)

    assert ([2], []) == ([message.seq for message in page], found)


async def mail(api, dispatcher, *modes):
    """A message of each mode, one after the other."""
    for mode in modes:
        await create_for(api, params={"mode": mode})
        await post(dispatcher)


@pytest.mark.parametrize(("is_shared", "acknowledged"), [(True, []), (False, [1])])
async def test_what_one_was_sent_is_acknowledged_by_the_next_unless_they_share_the_name(
    api, clock, dispatcher, is_shared, acknowledged
):
    await mail(api, dispatcher, "latest")
    async with api.deps.database.connection() as conn:
        connected = await outbox.connect(conn, "acme", clock.now())
        await pull_as(conn, api, "acme", connected)
        found = await outbox.waiting_until(conn, "acme", connected.generation + 1, 1, 10, shared=is_shared)

    assert acknowledged == [message.seq for message in found]


async def test_what_is_for_one_of_them_reaches_one_that_shares_with_nobody(house):
    """The event that shared the name was edited after it had happened."""
    (event,) = await tell(house.api, 1)
    async with as_client(house.url) as (peer, _):
        frame = await peer.hear_event()
    await house.api.patch(f"/events/{event['id']}", {"action": to_client()})
    await execute(house.api, "UPDATE clients SET mode = 'latest'")
    async with as_client(house.url) as (peer, _):
        again = await peer.hear_event()
        await acknowledge(peer, occurrence_id=frame["occurrence_id"])

    assert (1, False, 1, True) == (frame["seq"], frame["redelivered"], again["seq"], again["redelivered"])


async def test_when_a_name_is_shared_no_more_the_older_are_asked_to_come_back(house):
    event = await share(house.api)
    async with as_client(house.url) as (older, _), as_client(house.url) as (newer, _):
        await house.api.delete(f"/events/{event['id']}")
        house.gateway.wake.set()
        said = await older.hear()
        code = await older.closed()
        await tell(house.api, 1, "latest")

        assert ("reconnect", 1012) == (said["type"], code)
        assert 1 == (await newer.hear_event())["seq"]


async def test_what_a_connection_has_when_its_name_comes_to_be_shared_goes_to_no_other(house):
    async with as_client(house.url) as (first, _):
        await tell(house.api, 1, "latest", ack_timeout=3600)
        before = await first.hear_event()
        await tell(house.api, 1, "one_of", ack_timeout=3600)
        after = await first.hear_event()
        async with asyncio.timeout(WITHIN):
            while [(2,)] != await query(house.api, "SELECT count(taken_by) FROM outbox"):
                house.gateway.wake.set()
        async with as_client(house.url) as (second, _):
            assert await is_quiet(first)
            assert await is_quiet(second)
            first.connection.transport.abort()
            again = [await second.hear_event() for _ in range(2)]

    assert (1, 2) == (before["seq"], after["seq"])
    assert [(1, True), (2, True)] == [(frame["seq"], frame["redelivered"]) for frame in again]


async def test_what_was_lent_to_others_when_a_name_ceases_to_be_shared_goes_to_the_newest(house):
    event = await share(house.api)
    async with as_client(house.url, window=1) as (older, _):
        await tell(house.api, 1, "latest", ack_timeout=3600)
        await older.hear_event()
        async with as_client(house.url, window=5) as (newer, _):
            await tell(house.api, 1, "latest", ack_timeout=3600)
            own = await newer.hear_event()
            await house.api.delete(f"/events/{event['id']}")
            house.gateway.wake.set()
            code = await older.closed()
            again = await newer.hear_event()

            assert await is_quiet(newer)
    assert 1012 == code
    assert [(2, False), (1, True)] == [(frame["seq"], frame["redelivered"]) for frame in (own, again)]


async def test_it_does_so_if_that_happens_while_the_newest_reads_what_is_next(house):
    event = await share(house.api)
    async with as_client(house.url, window=1) as (older, _):
        await tell(house.api, 1, "latest", ack_timeout=3600)
        await older.hear_event()
        async with as_client(house.url, window=1) as (newer, _):
            await tell(house.api, 2, "latest", ack_timeout=3600)
            first = await newer.hear_event()
            async with asyncio.timeout(WITHIN):
                while [(3,)] != await query(house.api, "SELECT count(*) FROM outbox"):
                    pass
            async with house.api.deps.database.transaction() as conn:
                await conn.execute("SELECT FROM clients FOR UPDATE")
                await newer.say(type="ack", occurrence_id=first["occurrence_id"])
                await waits_for_a_lock(house.api, "pull")
                await house.api.delete(f"/events/{event['id']}")
                house.gateway.wake.set()
                code = await older.closed()
            second = await newer.hear_event()
            await newer.say(type="ack", occurrence_id=second["occurrence_id"])
            third = await newer.hear_event()

    assert 1012 == code
    assert [2, 3, 1] == [frame["seq"] for frame in (first, second, third)]


async def waits_for_a_lock(api, statement):
    """Somebody does, with that statement of the outbox."""
    async with asyncio.timeout(WITHIN):
        while not await query(
            api,
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
            outbox.SQL[statement].split("%(", 1)[0].strip() + "%",
        ):
            pass


async def test_a_name_stays_shared_while_its_newest_message_is(house):
    """Of events that happen once there may be none at the moment."""
    await tell(house.api)
    async with as_client(house.url) as (older, _):
        frame = await older.hear_event()
        await acknowledge(older, occurrence_id=frame["occurrence_id"])
        async with as_client(house.url) as (newer, _):
            house.gateway.wake.set()

            assert await is_quiet(older)
            assert await is_quiet(newer)


async def test_a_client_that_was_forgotten_is_asked_to_come_back(house):
    async with as_client(house.url) as (peer, _):
        await execute(house.api, "DELETE FROM clients")
        house.gateway.wake.set()

        assert 1012 == await peer.closed()


@pytest.mark.parametrize("window", [0, 101, "many"])
async def test_a_window_that_cannot_be_is_refused(house, window):
    async with as_client(house.url, window=window) as (peer, answer):
        assert "invalid handshake message" == answer["message"]
        assert 4400 == await peer.closed()


async def test_silence_of_one_of_them_is_a_failed_attempt(house):
    await share(house.api)
    async with as_client(house.url) as (peer, _):
        event = await create_for(
            house.api, params={"mode": "one_of", "ack_timeout": 1}, retry={"max_attempts": 1, "backoff": [0]}
        )
        await peer.hear_event()
        failed = await ended(house.api, event)

    assert ("failed", "not acknowledged within 1 s") == (failed["status"], failed["reason"])


async def test_a_reason_may_hold_what_postgres_cannot(house):
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api, retry={"max_attempts": 1, "backoff": [0]})
        frame = await peer.hear_event()
        await peer.say(type="nack", occurrence_id=frame["occurrence_id"], reason="no\0paper")
        failed = await ended(house.api, event)

    assert ("failed", "not acknowledged: no\N{REPLACEMENT CHARACTER}paper") == (failed["status"], failed["reason"])


class Worker:
    """One of several; acknowledges most of what it gets, and is cut off in the middle of things."""

    def __init__(self, seed: str, urls: list[str], got: set[str], finished: asyncio.Event) -> None:
        self.cuts = 0
        self._urls = urls
        self._got = got
        self._finished = finished
        self._random = Random(seed)  # noqa: S311 - a seed

    async def live(self) -> None:
        while not self._finished.is_set():
            try:
                async with connect(self._random.choice(self._urls), compression=None) as connection:
                    await self._work(Peer(connection))
                    connection.transport.abort()
            except (OSError, WebSocketException):
                pass
            self.cuts += 1

    async def _work(self, peer: Peer) -> None:
        await peer.say(type="client-hook", client_name="acme", token=MASTER, window=self._random.randrange(1, 20))
        left = self._random.randrange(1, 25)  # frames until the cut
        while left and not self._finished.is_set():
            try:
                async with asyncio.timeout(0.5):  # there may be nothing for this one
                    frame = json.loads(await peer.connection.recv())
            except TimeoutError:
                return
            if frame["type"] == "event":
                self._got.add(frame["occurrence_id"])
                left -= 1
                if self._random.random() < 0.8:
                    await peer.say(type="ack", occurrence_id=frame["occurrence_id"])


async def test_of_workers_cut_at_random_nothing_is_lost(house):
    await share(house.api)
    count, got, urls, finished = 150, set(), [house.url], asyncio.Event()
    events = [{"name": f"tea {n}", "action": to_client(mode="one_of", ack_timeout=3600)} for n in range(count)]
    workers = [Worker(f"worker {n}", urls, got, finished) for n in range(5)]
    lives = [asyncio.create_task(each.live()) for each in workers]
    async with open_gateway(house.api) as (_, other, _):
        urls.append(other)
        await house.api.post("/events/bulk", {"events": events[: count // 2]})
        await until(lambda: len(got) >= count // 4)
        urls.remove(other)
    await house.api.post("/events/bulk", {"events": events[count // 2 :]})
    await all_completed(house.api, count)
    finished.set()
    await asyncio.gather(*lives)

    assert count == len(got)
    assert sum(each.cuts for each in workers) > len(workers)
    assert await is_sound(house)
