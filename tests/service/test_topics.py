"""Listeners to topics over a websocket, and who tells of changes of events."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from qhronos.api.auth import Access
from qhronos.config import Archival, Retention
from qhronos.errors import Unavailable
from qhronos.expander import Expander
from qhronos.gateway import crowd
from qhronos.janitor import Janitor
from tests.fakes import CutDatabase
from tests.service.events import query
from tests.service.mail import create_for
from tests.service.sockets import MASTER, as_client, as_listener, dial, open_house, until

LATER = {"start_time": "2099-01-01T00:00:00Z"}
ALL = ("events", "occurrences", "stats")


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


@asynccontextmanager
async def subscribed(url, *topics, token=MASTER, **more):
    async with dial(url) as peer:
        await peer.say(type="subscribe", topics=topics, token=token, **more)
        yield peer, await peer.hear()


async def kinds(peer, last):
    """Of what comes, up to one of this kind."""
    heard = []
    while not heard or heard[-1] != last:
        frame = await peer.hear()
        heard.append((frame["type"], frame.get("kind")))
    return heard


async def test_events_and_occurrences_without_any_tag(house):
    async with subscribed(house.url, "events", "occurrences") as (peer, ack), as_client(house.url) as (client, _):
        event = await create_for(house.api)
        frame = await client.hear()
        await client.say(type="ack", occurrence_id=frame["occurrence_id"])
        frames = [await peer.hear() for _ in range(4)]

    assert ("ack", "subscription registered") == (ack["type"], ack["message"])
    assert [("change", "created"), ("event", "due"), ("event", "completed"), ("change", "completed")] == [
        (frame["type"], frame["kind"]) for frame in frames
    ]
    assert [ack["offset"] + number for number in (1, 2, 3, 4)] == [frame["offset"] for frame in frames]
    assert {
        "type": "change",
        "kind": "completed",
        "event_id": event["id"],
        "name": "tea",
        "status": "completed",
        "tags": [],
        "version": 1,
        "updated_at": (await house.api.get(f"/events/{event['id']}")).json()["updated_at"],
        "epoch": ack["epoch"],
        "offset": ack["offset"] + 4,
    } == frames[3]


@pytest.mark.parametrize(
    ("topics", "kinds_of"),
    [(["events"], [("change", "created"), ("change", "completed")]), (["occurrences"], [("event", "completed")])],
)
async def test_topics_are_told_apart(house, topics, kinds_of):
    async with (
        subscribed(house.url, *topics, kinds=["completed"]) as (peer, _),
        as_client(house.url) as (client, _),
    ):
        await create_for(house.api)
        await client.say(type="ack", occurrence_id=(await client.hear())["occurrence_id"])

        assert kinds_of == await kinds(peer, kinds_of[-1])


async def test_a_tag_listener_hears_of_no_change(house):
    async with as_listener(house.url, "tea", kinds=["due", "completed", "failed"]) as (peer, _):
        event = await create_for(house.api, tags=["tea"], **LATER)
        await house.api.patch(f"/events/{event['id']}", {"name": "coffee"})
        await house.api.post(f"/events/{event['id']}/run")
        frame = await peer.hear()

    assert ("event", "due", "coffee") == (frame["type"], frame["kind"], frame["name"])


async def test_a_token_is_told_of_what_it_sees(house):
    token = house.api.token(Access.READ, "tea")
    async with subscribed(house.url, "events", "occurrences", token=token) as (peer, ack):
        await create_for(house.api, tags=["coffee"])
        seen = await create_for(house.api, tags=["tea"])
        frames = [await peer.hear(), await peer.hear()]

    assert "ack" == ack["type"]
    assert [("change", seen["id"]), ("event", seen["id"])] == [(frame["type"], frame["event_id"]) for frame in frames]


async def test_numbers_come_with_the_subscription(house):
    await create_for(house.api, **LATER)
    async with subscribed(house.url, *ALL) as (peer, _):
        frame = await peer.hear()

    assert "stats" == frame["type"]
    assert 1 == frame["events"]["active"]
    assert {"offset", "epoch"}.isdisjoint(frame)


async def test_numbers_are_counted_once_for_all_who_see_the_same(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.statistics.EVERY", 600.0)
    monkeypatch.setattr("qhronos.gateway.statistics.FRESH", 600.0)
    statistics, asked = house.gateway._statistics, []
    count = statistics._count

    async def noting(scope):
        asked.append(scope)
        return await count(scope)

    statistics._count = noting
    reader = house.api.token(Access.READ, "tea", "coffee")
    async with AsyncExitStack() as stack:
        for token in (MASTER, house.api.token(Access.ADMIN), reader, reader):
            peer, _ = await stack.enter_async_context(subscribed(house.url, "stats", token=token))
            assert "stats" == (await peer.hear())["type"]

    assert [None, ["coffee", "tea"]] == asked


async def test_whoever_wants_numbers_alone_makes_nobody_tell(house):
    async with subscribed(house.url, "stats") as (peer, ack):
        await peer.hear()

        assert {"type": "ack", "message": "subscription registered"} == ack
        assert not await house.api.deps.broadcast.tell([], 0)


async def test_what_changed_while_it_was_away_is_told_again(house):
    async with subscribed(house.url, "events") as (_, ack):
        await create_for(house.api, name="one", **LATER)
    resume = {"epoch": ack["epoch"], "offset": ack["offset"]}
    async with subscribed(house.url, "events", resume=resume) as (peer, again):
        frame = await peer.hear()

    assert ("change", "one") == (frame["type"], frame["name"])
    assert resume == {"epoch": again["epoch"], "offset": again["offset"]}


@pytest.mark.parametrize(
    ("said", "message", "detail"),
    [
        ({}, "topics required for subscribe", "topics: name at least one of events, occurrences, stats"),
        ({"topics": []}, "topics required for subscribe", "topics: name at least one of events, occurrences, stats"),
        (
            {"topics": ["events", "event"]},
            "unknown topic",
            "topics: there is no 'event'; choose from events, occurrences, stats",
        ),
        ({"topics": "events"}, "invalid handshake message", "Expected `array | null`, got `str` - at `$.topics`"),
        (
            {"topics": ["events"], "type": "tag-listener", "tags": ["tea"]},
            "invalid handshake message",
            "topics: leave it out, or say type subscribe",
        ),
    ],
)
async def test_topics_that_cannot_be_are_refused_with_the_remedy(house, said, message, detail):
    async with dial(house.url) as peer:
        await peer.connection.send(json.dumps({"type": "subscribe", "token": MASTER, **said}))
        frame = await peer.hear()

        assert {"type": "error", "message": message, "detail": detail} == frame
        assert 4400 == await peer.closed()


async def test_it_acknowledges_nothing(house):
    async with subscribed(house.url, "events") as (peer, _):
        await peer.say(type="ack", event_id="x")

        assert "acknowledge not supported for subscribe" == (await peer.hear())["message"]


# who tells


async def test_many_at_once_are_told_each(house):
    async with subscribed(house.url, "events") as (peer, _):
        body = [{"name": f"tea {number}", "webhook": "https://example.com/", **LATER} for number in range(3)]
        for atomic in (False, True):
            await house.api.post("/events/bulk", {"events": body, "atomic": atomic})
        text = "".join(f"0 9 * * * echo {number}\n" for number in range(2))
        action = {"type": "webhook", "params": {"url": "https://example.com/"}}
        await house.api.post("/events/import", {"format": "crontab", "text": text, "action": action})
        frames = [await peer.hear() for _ in range(8)]

    assert {"created"} == {frame["kind"] for frame in frames}
    assert [f"tea {number}" for number in (0, 1, 2)] * 2 == [frame["name"] for frame in frames[:6]]


async def test_creating_again_by_the_same_key_is_an_edit(house):
    async with subscribed(house.url, "events") as (peer, _):
        for name in ("tea", "coffee"):
            body = {"name": name, "webhook": "https://example.com/", "key": "drink", **LATER}
            await house.api.post("/events", body)
        body = {"name": "milk", "webhook": "https://example.com/", "key": "drink", **LATER}
        await house.api.post("/events/bulk", {"events": [body], "atomic": True})
        frames = [await peer.hear() for _ in range(3)]

    assert [("created", "tea"), ("updated", "coffee"), ("updated", "milk")] == [
        (frame["kind"], frame["name"]) for frame in frames
    ]


async def test_both_halves_of_a_split_are_told(house):
    async with subscribed(house.url, "events") as (peer, _):
        event = await create_for(house.api, schedule="FREQ=DAILY", **LATER)
        at = "2099-01-05T00:00:00Z"
        await house.api.post(f"/events/{event['id']}/split", {"scheduled_at": at, "name": "after"})
        frames = [await peer.hear() for _ in range(3)]

    assert [("created", "tea"), ("split", "tea"), ("created", "after")] == [
        (frame["kind"], frame["name"]) for frame in frames
    ]


async def test_a_replay_revives_and_a_cancellation_completes(house):
    later = (house.api.deps.clock.now() + timedelta(minutes=5)).isoformat()
    event = await create_for(house.api, start_time=later)
    (occurrence,) = (await house.api.get(f"/events/{event['id']}/occurrences")).json()["data"]
    async with subscribed(house.url, "events") as (peer, _):
        await house.api.post(f"/occurrences/{occurrence['id']}/cancel")
        await house.api.post(f"/occurrences/{occurrence['id']}/replay")
        frames = [await peer.hear() for _ in range(4)]

    assert [
        ("occurrence_cancelled", "completed"),
        ("completed", "completed"),
        ("replayed", "active"),
        ("revived", "active"),
    ] == [(frame["kind"], frame["status"]) for frame in frames]


async def test_what_is_done_to_occurrences_of_an_event_that_goes_on_is_told(house):
    later = (house.api.deps.clock.now() + timedelta(minutes=5)).isoformat()
    event = await create_for(house.api, schedule="FREQ=DAILY", start_time=later)
    (occurrence, *_) = (await house.api.get(f"/events/{event['id']}/occurrences")).json()["data"]
    async with subscribed(house.url, "events") as (peer, _):
        frames = []
        for asked in ("cancel", "replay"):
            await house.api.post(f"/occurrences/{occurrence['id']}/{asked}")
            frames.append(await peer.hear())
            shown = (await house.api.get(f"/events/{event['id']}")).json()

            assert shown["updated_at"] == frames[-1]["updated_at"]

    assert [("occurrence_cancelled", event["id"], "active"), ("replayed", event["id"], "active")] == [
        (frame["kind"], frame["event_id"], frame["status"]) for frame in frames
    ]
    assert [event["version"]] * 2 == [frame["version"] for frame in frames]
    assert frames[0]["updated_at"] < frames[1]["updated_at"]


@pytest.mark.parametrize(("asked", "kind"), [("replay", "replayed"), ("purge", "purged")])
async def test_of_many_occurrences_each_event_is_told_once(house, asked, kind):
    events = [await create_for(house.api, schedule="FREQ=DAILY", **LATER) for _ in range(2)]
    async with as_client(house.url) as (client, _):
        for event in events * 2:
            await house.api.post(f"/events/{event['id']}/run")
            await client.say(type="nack", seq=(await client.hear_event())["seq"], final=True)
            await client.hear()
    async with subscribed(house.url, "events") as (peer, _):
        done = (await house.api.post(f"/occurrences/{asked}", {"limit": 10})).json()
        frames = [await peer.hear(), await peer.hear()]
        await create_for(house.api, name="last", **LATER)
        last = await peer.hear()

    assert (4, 4) == (done["matched"], done[kind])
    assert {(kind, event["id"], "active") for event in events} == {
        (frame["kind"], frame["event_id"], frame["status"]) for frame in frames
    }
    assert ("created", "last") == (last["kind"], last["name"])


async def test_what_is_told_is_as_new_as_what_is_shown(house):
    now = house.api.deps.clock.now()
    start = (now - timedelta(days=3) + timedelta(minutes=5)).isoformat()
    event = await create_for(house.api, schedule="FREQ=DAILY", start_time=start, misfire={"policy": "skip"})
    path = f"/events/{event['id']}"
    asked = [
        ("backfill", {"since": (now - timedelta(days=2)).isoformat(), "until": now.isoformat()}),
        ("run", {}),
        ("skip", {}),
        ("pause", {}),
        ("resume", {}),
    ]
    async with subscribed(house.url, "events") as (peer, _):
        for verb, said in asked:
            answer = await house.api.post(f"{path}/{verb}", said)
            frame, shown = await peer.hear(), (await house.api.get(path)).json()

            assert 200 <= answer.status_code < 300, answer.text
            assert shown["updated_at"] == frame["updated_at"], verb
            assert event["updated_at"] < shown["updated_at"]
            event = shown
        await house.api.delete(path)
        deleted = await peer.hear()

    assert ("deleted", True) == (deleted["kind"], event["updated_at"] < deleted["updated_at"])


async def test_a_rule_that_is_quarantined_is_told(house):
    event = await create_for(house.api, schedule="FREQ=DAILY", **LATER)
    stores = house.api.deps.changes.stores
    await query(
        house.api,
        "UPDATE events SET recurrence = '{\"rrule\": 7}', next_expand_at = '2020-01-01' WHERE id = %s RETURNING 1",
        event["id"],
    )
    async with subscribed(house.url, "events") as (peer, _):
        await Expander(stores, house.api.deps.clock, house.api.deps.config.scheduler).tick()
        frame = await peer.hear()

    assert ("quarantined", "error", event["id"]) == (frame["kind"], frame["status"], frame["event_id"])


async def test_what_the_janitor_completes_is_told(house):
    event = await create_for(house.api, **LATER)
    stores = house.api.deps.changes.stores
    await query(
        house.api,
        "UPDATE events SET next_expand_at = NULL, updated_at = '2020-01-01' WHERE id = %s RETURNING 1",
        event["id"],
    )
    async with subscribed(house.url, "events") as (peer, _):
        await Janitor(stores, house.api.deps.clock, Retention(), Archival()).tick()
        frame = await peer.hear()

    assert ("completed", event["id"]) == (frame["kind"], frame["event_id"])


# what may go wrong


def cut_of(gateway):
    """The Postgres that it asks from now on."""
    cut = CutDatabase(gateway._stores.database)
    gateway._stores = gateway._stores._replace(database=cut)
    return cut


async def test_though_postgres_is_away_redis_is_told_that_somebody_listens(house):
    broadcast = house.api.deps.broadcast
    async with subscribed(house.url, "events"), as_client(house.url):
        cut_of(house.gateway).away = True
        await house.api.deps.plan.redis.delete(broadcast._heard)
        with pytest.raises(Unavailable, match="postgres"):
            await house.gateway.tick()

        assert await broadcast.tell([], 0)


async def test_though_redis_is_away_tokens_and_clients_are_looked_after(house, monkeypatch):
    async def away():
        raise Unavailable("redis", "away")

    monkeypatch.setattr(crowd, "RECHECK", 0.0)
    async with subscribed(house.url, "events"), as_client(house.url):
        cut = cut_of(house.gateway)
        before = {peer: peer.checked_at for peer in house.gateway._sockets}
        object.__setattr__(house.api.deps.broadcast, "keep_hearing", away)
        with pytest.raises(Unavailable, match="redis"):
            await house.gateway.tick()

        assert all(peer.checked_at > at for peer, at in before.items())
        assert cut.asked


async def test_a_frame_of_another_version_is_passed_over_and_counted(house):
    async with subscribed(house.url, "events") as (peer, ack):
        for strange in ({"type": "change", "of": "tomorrow"}, ["tomorrow"]):
            await house.api.deps.broadcast.tell([json.dumps(strange).encode()], 0)
        event = await create_for(house.api, **LATER)
        heard = await peer.hear()
        resume = {"epoch": ack["epoch"], "offset": ack["offset"]}
        async with subscribed(house.url, "events", resume=resume) as (again, _):
            repeated = await again.hear()

    assert ("change", event["id"], ack["offset"] + 3) == (heard["type"], heard["event_id"], heard["offset"])
    assert heard == repeated


async def test_a_bug_in_what_is_heard_is_logged_and_a_gap_for_who_listens(house, monkeypatch):
    def broken(told):
        patch.undo()
        raise ZeroDivisionError

    async with subscribed(house.url, "events") as (peer, _):
        with capture_logs() as logs, monkeypatch.context() as patch:
            patch.setattr(house.gateway._hearing, "hear", broken)
            await create_for(house.api, **LATER)
            gap = await peer.hear()
        event = await create_for(house.api, **LATER)
        heard = await peer.hear()

    assert ("gap", 1, event["id"]) == (gap["type"], gap["missed"], heard["event_id"])
    assert [("Told", "error")] == [
        (line["notice"], line["log_level"]) for line in logs if line["event"] == "notice.failed"
    ]


async def test_what_a_gateway_does_besides_is_started_again_should_it_end(house):
    tasks = house.gateway._background.tasks
    async with subscribed(house.url, "events", "stats") as (peer, _), as_client(house.url) as (client, _):
        with capture_logs() as logs:
            for task in (ended := [*tasks]):
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)
            house.gateway.wake.set()
            await until(house.gateway._hearing.subscribed.is_set)
        event = await create_for(house.api)
        await client.say(type="ack", occurrence_id=(await client.hear_event())["occurrence_id"])
        while (heard := await peer.hear()).get("kind") != "completed":
            pass

    assert event["id"] == heard["event_id"]
    assert 3 == len([line for line in logs if line["event"] == "background.broken"])
