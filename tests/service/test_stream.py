"""The live stream over HTTP: what a socket hears, with an id to go on from."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from qhronos.api.auth import Access
from qhronos.config import Gateway as Settings
from tests.service.events import query
from tests.service.mail import create_for
from tests.service.sockets import MASTER, WITHIN, as_client, as_listener, dial, open_gateway, open_house, until
from tests.service.sse import following, http_of, reading

LATER = {"start_time": "2099-01-01T00:00:00Z"}


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


async def test_changes_of_events_and_their_occurrences_are_told_as_they_happen(house):
    async with following(house.url) as (reader, ack), as_client(house.url) as (client, _):
        event = await create_for(house.api, tags=["tea"], metadata={"kettle": 1})
        await client.say(type="ack", occurrence_id=(await client.hear())["occurrence_id"])
        pieces = [await reader.hear() for _ in range(4)]

    assert [("change", "created"), ("event", "due"), ("event", "completed"), ("change", "completed")] == [
        (piece.name, piece.data["kind"]) for piece in pieces
    ]
    assert {event["id"]} == {piece.data["event_id"] for piece in pieces}
    assert [f"{piece.data['epoch']}-{piece.data['offset']}" for piece in pieces] == [piece.id for piece in pieces]
    assert f"{ack.data['epoch']}-{ack.data['offset']}" == ack.id
    assert {"kettle": 1} == pieces[1].data["metadata"]


async def test_a_change_says_what_became_of_the_event_and_no_more(house):
    async with following(house.url, topics="events") as (reader, _):
        event = await create_for(house.api, tags=["tea"], metadata={"secret": "sesame"}, **LATER)
        await house.api.patch(f"/events/{event['id']}", {"name": "coffee"})
        for what in ("pause", "resume", "run"):
            await house.api.post(f"/events/{event['id']}/{what}")
        await house.api.delete(f"/events/{event['id']}")
        pieces = [await reader.hear() for _ in range(6)]

    assert [
        ("created", "tea", "active", 1),
        ("updated", "coffee", "active", 2),
        ("paused", "coffee", "paused", 2),
        ("resumed", "coffee", "active", 2),
        ("run", "coffee", "active", 2),
        ("deleted", "coffee", "deleted", 2),
    ] == [tuple(piece.data[name] for name in ("kind", "name", "status", "version")) for piece in pieces]
    assert {"type", "kind", "event_id", "name", "status", "tags", "version", "epoch", "offset"} == set(pieces[0].data)


async def test_the_answer_is_one_that_proxies_neither_keep_nor_collect(house):
    async with reading(house.url) as reader:
        first = await reader.piece()
        headers = reader.response.headers

    assert 200 == reader.response.status_code
    assert ("text/event-stream", "no-store", "no") == tuple(
        headers[name] for name in ("content-type", "cache-control", "x-accel-buffering")
    )
    assert headers["x-request-id"]
    assert 3000 <= first.retry <= 6000


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ({"tags": "a"}, ["a", "ab"]),
        ({"tags": "a,b", "tags_match": "all"}, ["ab"]),
        ({"tags": ["a", "b"]}, ["a", "b", "ab"]),
        ({}, ["a", "b", "ab", "c"]),
    ],
)
async def test_it_is_narrowed_by_tags(house, asked, heard):
    async with following(house.url, topics="events", **asked) as (reader, _):
        for own in ("a", "b", "ab", "c"):
            await create_for(house.api, name=own, tags=list(own), **LATER)
        await create_for(house.api, name="end", tags=["a", "b"], **LATER)
        names = []
        while (name := (await reader.hear("change")).data["name"]) != "end":
            names.append(name)

    assert heard == names


async def test_it_is_narrowed_by_events_and_kinds(house):
    other = await create_for(house.api, **LATER)
    event = await create_for(house.api, **LATER)
    async with (
        following(house.url, topics="occurrences", event_ids=event["id"], kinds="completed") as (reader, _),
        as_client(house.url) as (client, _),
    ):
        for each in (other, event):
            await house.api.post(f"/events/{each['id']}/run")
            await client.say(type="ack", occurrence_id=(await client.hear_event())["occurrence_id"])
        piece = await reader.hear()

    assert ("event", "completed", event["id"]) == (piece.name, piece.data["kind"], piece.data["event_id"])


async def test_a_token_is_told_of_what_it_sees(house):
    token = house.api.token(Access.READ, "tea")
    async with following(house.url, token=token) as (reader, _):
        await create_for(house.api, tags=["coffee"], **LATER)
        seen = await create_for(house.api, tags=["tea"], **LATER)
        piece = await reader.hear()

    assert ("change", seen["id"]) == (piece.name, piece.data["event_id"])


async def test_tags_outside_the_scope_of_a_token_find_nothing(house):
    token = house.api.token(Access.READ, "tea")
    async with following(house.url, token=token, tags="coffee") as (reader, _):
        await create_for(house.api, tags=["coffee"], **LATER)
        both = await create_for(house.api, tags=["tea", "coffee"], **LATER)
        piece = await reader.hear()

    assert both["id"] == piece.data["event_id"]


async def test_numbers_are_those_of_the_statistics_of_that_token(house):
    await create_for(house.api, tags=["tea"], **LATER)
    await create_for(house.api, tags=["coffee"], **LATER)
    token = house.api.token(Access.READ, "tea")
    async with (
        following(house.url, topics="stats") as (all_of_it, _),
        following(house.url, topics="stats", token=token) as (part, _),
    ):
        told = [await all_of_it.hear("stats"), await part.hear("stats")]
    asked = [(await house.api.get("/stats")).json(), (await house.api.get("/stats", token=token)).json()]

    assert [{"type": "stats", **numbers} for numbers in asked] == [piece.data for piece in told]
    assert [2, 1] == [piece.data["events"]["active"] for piece in told]
    assert [None, None] == [piece.id for piece in told]


async def test_numbers_come_again_and_again(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.statistics.EVERY", 0.05)
    monkeypatch.setattr("qhronos.gateway.statistics.FRESH", 0.05)
    async with following(house.url, topics="stats") as (reader, _):
        first = await reader.hear("stats")
        await create_for(house.api, **LATER)
        while (later := await reader.hear("stats")).data == first.data:
            pass

    assert (0, 1) == (first.data["events"]["active"], later.data["events"]["active"])


async def test_who_comes_back_is_told_what_happened_meanwhile(house):
    async with following(house.url, topics="events") as (reader, _):
        await create_for(house.api, name="before", **LATER)
        before = await reader.hear()
    async with as_listener(house.url, "other"):
        meanwhile = [await create_for(house.api, name=name, **LATER) for name in ("one", "two")]
    async with following(house.url, topics="events", headers={"Last-Event-ID": before.id}) as (reader, ack):
        heard = [await reader.hear() for _ in meanwhile]
    async with following(house.url, topics="events", last_event_id=heard[0].id) as (reader, _):
        again = await reader.hear()

    assert ["one", "two"] == [piece.data["name"] for piece in heard]
    assert before.id == ack.id  # should it break here, nothing is lost
    assert heard[1] == again


async def test_who_comes_from_a_gateway_that_is_ahead_is_told_nothing_twice(house, monkeypatch):
    """Nor does its place go back in silence."""
    hearing, late = house.gateway._hearing, []
    async with as_listener(house.url, "other") as (_, answer):
        await create_for(house.api, name="old", **LATER)
        await until(lambda: hearing.audience.offset == answer["offset"] + 1)
        with monkeypatch.context() as patch:
            patch.setattr(hearing, "hear", late.append)
            for name in ("heard elsewhere", "this too", "new"):
                await create_for(house.api, name=name, **LATER)
            await until(lambda: 3 == sum(len(told.frames) for told in late))
        place = {"epoch": answer["epoch"], "offset": answer["offset"] + 3}
        headers = {"Last-Event-ID": f"{answer['epoch']}-{place['offset']}"}
        async with following(house.url, topics="events", headers=headers) as (reader, ack), dial(house.url) as peer:
            await peer.say(type="subscribe", topics=["events"], token=MASTER, resume=place)
            registered = await peer.hear()
            await until(lambda: 3 == hearing.audience.count)
            monkeypatch.setattr("qhronos.gateway.streams.BREATH", 0.0)
            house.gateway.wake.set()
            breath = await reader.piece()
            for told in late:
                hearing.hear(told)
            heard, told = await reader.hear(), await peer.hear()

    assert [place] * 2 == [{name: said[name] for name in place} for said in (ack.data, registered)]
    assert (1, headers["Last-Event-ID"]) == (breath.comments, breath.id)
    assert ["new", "new"] == [heard.data["name"], told["name"]]


@pytest.mark.parametrize("beyond", [1, 10**17])
async def test_a_number_that_was_never_given_is_a_gap(house, beyond):
    """Redis has lost the last that it gave, or somebody has made it up."""
    async with as_listener(house.url, "other") as (_, answer):
        headers = {"Last-Event-ID": f"{answer['epoch']}-{answer['offset'] + beyond}"}
        async with following(house.url, topics="events", headers=headers) as (reader, ack), dial(house.url) as peer:
            resume = {"epoch": answer["epoch"], "offset": answer["offset"] + beyond * 100}
            await peer.say(type="subscribe", topics=["events"], token=MASTER, resume=resume)
            gaps = [(await reader.hear()).data, [await peer.hear(), await peer.hear()][1]]
            await create_for(house.api, name="new", **LATER)
            heard, told = await reader.hear(), await peer.hear()

    assert answer["offset"] == ack.data["offset"]
    assert [("gap", answer["offset"], None)] * 2 == [(gap["type"], gap["offset"], gap["missed"]) for gap in gaps]
    assert ["new", "new"] == [heard.data["name"], told["name"]]


async def tell_many(house, count):
    """Changes of a kilobyte each."""
    frame = {"type": "change", "kind": "updated", "event_id": "0190a5b0-0000-7000-8000-000000000001", "tags": ["tea"]}
    raw = json.dumps(frame | {"name": "x" * 1_000, "status": "active", "version": 1}).encode()
    for begin in range(0, count, 200):
        await house.api.deps.broadcast.tell([raw] * min(200, count - begin), 0)


async def test_who_comes_back_after_much_is_told_all_of_it_as_it_reads(house):
    """More than may be unsent at a time, and more of it while it is told."""
    async with as_listener(house.url, "other") as (_, answer):
        await tell_many(house, 4_000)
        await until(lambda: house.gateway._hearing.audience.offset == answer["offset"] + 4_000)
        resume = {"epoch": answer["epoch"], "offset": answer["offset"]}
        headers = {"Last-Event-ID": f"{answer['epoch']}-{answer['offset']}"}
        async with following(house.url, topics="events", headers=headers) as (again, _), dial(house.url) as peer:
            await peer.say(type="subscribe", topics=["events"], token=MASTER, resume=resume)
            assert "ack" == (await peer.hear())["type"]
            last = [await again.hear() for _ in range(10)][-1]
            await create_for(house.api, **LATER)
            numbers = [(await again.hear()).data["offset"] for _ in range(3_991)]
            heard = [(await peer.hear())["offset"] for _ in range(4_001)]

    assert list(range(last.data["offset"] + 1, last.data["offset"] + 3_992)) == numbers
    assert list(range(answer["offset"] + 1, answer["offset"] + 4_002)) == heard


async def test_the_header_is_newer_than_what_stands_in_the_address(house):
    async with following(house.url, topics="events") as (reader, ack):
        await create_for(house.api, name="one", **LATER)
        one = await reader.hear()
        await create_for(house.api, name="two", **LATER)
        await reader.hear()
        headers = {"Last-Event-ID": one.id}
        async with following(house.url, topics="events", last_event_id=ack.id, headers=headers) as (again, _):
            piece = await again.hear()

    assert "two" == piece.data["name"]


async def test_what_is_not_remembered_is_a_gap(house):
    async with following(house.url) as (reader, ack):
        await house.api.deps.broadcast.tell([], 3)
        house.gateway._hearing.audience.catch_up(*await house.api.deps.broadcast.told())
        told = await reader.hear()
        async with following(house.url, headers={"Last-Event-ID": ack.id}) as (again, _):
            late = await again.hear()
        async with following(house.url, headers={"Last-Event-ID": f"{'0' * 32}-7"}) as (another, _):
            strange = await another.hear()

    assert [("gap", 3), ("gap", 3), ("gap", None)] == [
        (piece.name, piece.data["missed"]) for piece in (told, late, strange)
    ]
    assert f"{ack.data['epoch']}-{ack.data['offset'] + 3}" == told.id == late.id == strange.id


async def test_a_redis_that_lost_everything_is_a_gap_and_it_goes_on(house):
    async with following(house.url, topics="events") as (reader, ack):
        await house.api.deps.plan.redis.delete(house.api.deps.broadcast._numbers)
        event = await create_for(house.api, **LATER)
        gap, change = await reader.hear(), await reader.hear()

    assert ("gap", None, "change") == (gap.name, gap.data["missed"], change.name)
    assert event["id"] == change.data["event_id"]
    assert ack.data["epoch"] != gap.data["epoch"] == change.data["epoch"]


async def test_in_silence_it_shows_that_it_lives_and_how_far_it_has_come(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.streams.BREATH", 0.0)
    async with following(house.url, tags="nothing") as (reader, ack):
        await create_for(house.api, **LATER)
        while (piece := await reader.piece()).id == ack.id or not piece.comments:
            pass

    assert (None, f"{ack.data['epoch']}-{ack.data['offset'] + 1}") == (piece.name, piece.id)


class Noting:
    """A transport that notes what is written to it."""

    def __init__(self, transport, written):
        self._transport = transport
        self._written = written

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        self._written.append(data)
        self._transport.write(data)


async def test_what_is_told_to_many_is_made_and_held_once(house, monkeypatch):
    written = []
    async with following(house.url) as (one, _), following(house.url) as (other, _):
        for stream in house.gateway._streams.open:
            monkeypatch.setattr(stream._outlet, "_transport", Noting(stream._outlet._transport, written))
        await create_for(house.api, name="one", **LATER)
        await create_for(house.api, name="two", **LATER)
        heard = [[(await reader.hear()).data["name"] for _ in range(2)] for reader in (one, other)]

    assert [["one", "two"]] * 2 == heard
    assert written[0] is written[1]
    assert written[2] is written[3]


async def test_whoever_goes_away_is_forgotten(house):
    async with following(house.url):
        assert 1 == house.gateway._hearing.audience.count

    await until(lambda: not house.gateway._hearing.audience.count)

    assert set() == house.gateway._sockets


@asynccontextmanager
async def raw_reader(url, more=b""):
    """One that has asked for the stream, and for `more` with the same breath."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(http_of(url).rpartition(":")[2]))
    writer.write(f"GET /events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER}\r\n\r\n".encode() + more)
    async with asyncio.timeout(WITHIN):
        await reader.readuntil(b"event: ack")
    yield reader, writer
    writer.close()


MORE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("at_once", "later"),
    [(MORE, b""), (b"", MORE), (MORE, MORE), (b"", b"no HTTP at all\r\n\r\n")],
    ids=["at once", "later", "both", "later, and unreadable"],
)
async def test_whoever_sends_more_before_it_goes_is_forgotten_as_well(house, at_once, later):
    async with raw_reader(house.url, at_once) as (_, writer):
        assert 1 == house.gateway._hearing.audience.count
        writer.write(later)

    await until(lambda: not house.gateway._hearing.audience.count)

    assert set() == house.gateway._sockets


async def test_what_is_sent_while_a_stream_lasts_is_not_kept(house):
    async with raw_reader(house.url) as (reader, writer):
        for _ in range(100):
            writer.write(MORE * 1_000)
            await writer.drain()
        await create_for(house.api, **LATER)
        async with asyncio.timeout(WITHIN):
            heard = await reader.readuntil(b"event: change")
        (pipe,) = house.server.server_state.connections

        assert b"HTTP/1.1" not in heard
        assert not pipe.pipeline


@asynccontextmanager
async def deaf_reader(url):
    """One that has asked, and reads nothing any more."""
    narrow = socket.create_connection(("127.0.0.1", int(http_of(url).rpartition(":")[2])))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    writer.write(f"GET /events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER}\r\n\r\n".encode())
    await reader.readuntil(b"event: ack")
    writer.transport.pause_reading()
    yield
    writer.transport.abort()


async def test_a_reader_that_reads_nothing_is_cut_off_and_delays_nobody(house):
    async with deaf_reader(house.url), following(house.url, topics="occurrences") as (reader, _):
        event = await create_for(house.api, tags=["tea"], metadata={"long": "x" * 60_000}, **LATER)
        for _ in range(150):
            await house.api.post(f"/events/{event['id']}/run")
            await reader.hear("event")
        await until(lambda: 1 == house.gateway._hearing.audience.count)
        await house.api.post(f"/events/{event['id']}/run")
        still = await reader.hear("event")

    assert event["id"] == still.data["event_id"]


async def test_a_write_that_is_stuck_ends_it(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.crowd.SLOW", 0.0)
    async with deaf_reader(house.url):
        event = await create_for(house.api, metadata={"long": "x" * 60_000}, **LATER)
        while not any(stream.unsent for stream in house.gateway._streams.open):
            await house.api.post(f"/events/{event['id']}/run")
        await until(lambda: not house.gateway._streams.open)

    assert 0 == house.gateway._hearing.audience.count


async def test_a_gateway_that_ends_completes_its_streams_and_asks_to_come_back(house):
    async with open_gateway(house.api) as (gateway, url, _), following(url) as (reader, _):
        await gateway.drain()
        (last,) = [piece for piece in await reader.ended() if piece.name]
        async with reading(url) as late:
            await late.response.aread()

    assert ("reconnect", {"type": "reconnect", "after_ms": last.retry}) == (last.name, last.data)
    assert 0 <= last.retry < 5000
    assert (503, "gateway is unavailable; try again") == (late.response.status_code, late.response.json()["detail"])


async def test_a_server_that_ends_waits_for_no_stream(house):
    async with open_gateway(house.api) as (gateway, url, server), following(url) as (reader, _):
        server.should_exit = True
        await gateway.drain()
        async with asyncio.timeout(4):
            await reader.ended()
            await until(lambda: not server.server_state.connections)


async def test_nor_for_one_that_is_not_read(house):
    async with open_gateway(house.api) as (gateway, url, server), deaf_reader(url):
        event = await create_for(house.api, metadata={"long": "x" * 60_000}, **LATER)
        while not any(stream.unsent for stream in gateway._streams.open):
            await house.api.post(f"/events/{event['id']}/run")
        server.should_exit = True
        await gateway.drain()
        async with asyncio.timeout(4.5):
            await until(lambda: not server.server_state.tasks)


async def minted(house):
    asked = {"type": "jwt", "sub": "acme", "access": "read", "scope": ["tea"]}
    answer = await house.api.post("/tokens", asked | {"expires_at": house.api.deps.clock.now() + timedelta(hours=1)})
    ((token_id,),) = await query(house.api, "SELECT id FROM tokens")
    return token_id, answer.json()["token"]


async def test_a_token_that_was_revoked_does_not_hold(house):
    token_id, token = await minted(house)
    async with following(house.url, token=token) as (reader, _):
        await house.api.delete(f"/tokens/{token_id}")
        for stream in house.gateway._sockets:
            stream.checked_at = float("-inf")
        house.gateway.wake.set()
        (last,) = [piece for piece in await reader.ended() if piece.name]

    assert ("error", "invalid token") == (last.name, last.data["message"])


async def test_a_token_that_has_just_expired_opens_none(house):
    """A request of it is still answered for a while, as clocks differ."""
    token = house.api.token(Access.READ, "tea", lifetime=-5)
    async with reading(house.url, token=token) as reader:
        problem = json.loads(await reader.response.aread())

    assert 200 == (await house.api.get("/events", token=token)).status_code
    assert (401, "token has expired", "Bearer") == (
        reader.response.status_code,
        problem["detail"],
        reader.response.headers["www-authenticate"],
    )


async def test_a_token_that_is_revoked_while_it_begins_opens_none(house, monkeypatch):
    token_id, token = await minted(house)
    begin = house.gateway._hearing.begin

    async def revoking(listener):
        await begin(listener)
        await house.api.delete(f"/tokens/{token_id}")

    monkeypatch.setattr(house.gateway._hearing, "begin", revoking)
    async with reading(house.url, token=token) as reader:
        problem = json.loads(await reader.response.aread())

    assert (401, "invalid token") == (reader.response.status_code, problem["detail"])
    assert set() == house.gateway._sockets


async def test_who_is_sent_away_while_it_begins_is_asked_to_try_again(house, monkeypatch):
    admit = house.gateway._crowd.admit

    async def ending(peer):
        caller = await admit(peer)
        await house.gateway.drain()
        return caller

    monkeypatch.setattr(house.gateway._crowd, "admit", ending)
    async with reading(house.url) as reader:
        problem = json.loads(await reader.response.aread())

    assert (503, "gateway is unavailable; try again") == (reader.response.status_code, problem["detail"])


@pytest.mark.parametrize(
    ("asked", "detail", "field"),
    [
        ({"topics": "event"}, "topics: there is no 'event'; choose from events, occurrences, stats", "topics"),
        ({"topics": ""}, "topics: name at least one of events, occurrences, stats", "topics"),
        ({"tag": "a"}, "unknown query parameter 'tag'; did you mean 'tags'?", "tag"),
        (
            {"last_event_id": "7"},
            "last_event_id: is not the id of an event of a stream; leave it out to begin now",
            "last_event_id",
        ),
        ({"kinds": "late"}, "kinds[0]: invalid enum value 'late'", "kinds[0]"),
    ],
)
async def test_what_cannot_be_asked_is_a_problem(house, asked, detail, field):
    async with reading(house.url, **asked) as reader:
        problem = json.loads(await reader.response.aread())

    assert (400, field, "application/problem+json") == (
        reader.response.status_code,
        problem["field"],
        reader.response.headers["content-type"],
    )
    assert detail == problem["detail"]


async def test_no_token_is_taken_from_the_address(house):
    async with httpx.AsyncClient() as client:
        without = await client.get(f"{http_of(house.url)}/events/stream", params={"token": MASTER})
        headers = {"Authorization": f"Bearer {MASTER}"}
        beside = await client.get(f"{http_of(house.url)}/events/stream", params={"token": MASTER}, headers=headers)

    assert (401, 400, "token") == (without.status_code, beside.status_code, beside.json()["field"])


async def test_an_id_that_is_none_is_a_problem(house):
    async with reading(house.url, headers={"Last-Event-ID": "yesterday"}) as reader:
        problem = json.loads(await reader.response.aread())

    assert (400, "Last-Event-ID") == (reader.response.status_code, problem["field"])


@pytest.mark.parametrize("path", ["/events/stream/", "//events//stream", "/events/str%65am"])
async def test_its_path_is_read_as_every_path_is(house, path):
    headers = {"Authorization": f"Bearer {MASTER}"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", http_of(house.url) + path, headers=headers) as answer,
    ):
        assert 200 == answer.status_code


async def test_it_is_measured_until_it_begins(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.statistics.EVERY", 0.05)
    with capture_logs() as logs:
        async with following(house.url, topics="stats") as (reader, _):
            for _ in range(30):
                await reader.hear("stats")
        await until(lambda: any(line["event"] == "request.handled" for line in logs))
    (line,) = [line for line in logs if line["event"] == "request.handled"]

    assert ("/events/stream", 200) == (line["route"], line["status"])
    assert line["took_ms"] < 1000


async def test_nobody_follows_without_a_token(house):
    async with reading(house.url, token=None) as reader:
        problem = json.loads(await reader.response.aread())

    assert (401, "Bearer") == (reader.response.status_code, reader.response.headers["www-authenticate"])
    assert "urn:qhronos:unauthenticated" == problem["type"]


@pytest.mark.parametrize("settings", [Settings(connections_per_token=1), Settings(max_connections=1)])
async def test_streams_count_among_the_connections(database, redis_url, redis_prefix, settings):
    async with open_house(database, redis_url, redis_prefix, settings) as house:
        token = house.api.token(Access.READ, "tea")
        async with following(house.url, token=token), reading(house.url, token=token) as other:
            problem = json.loads(await other.response.aread())

    assert (429, "5") == (other.response.status_code, other.response.headers["retry-after"])
    assert problem["detail"].startswith("too many connections")


async def test_while_nobody_can_be_heard_it_is_unavailable(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.hearing.PATIENCE", 0.01)
    async with following(house.url):
        pass
    house.gateway._hearing.subscribed.clear()
    async with reading(house.url) as reader:
        problem = json.loads(await reader.response.aread())

    assert (503, "redis is unavailable; try again") == (reader.response.status_code, problem["detail"])


async def test_an_api_without_a_gateway_says_who_serves_it(house):
    answer = await house.api.get("/events/stream")

    assert 404 == answer.status_code
    assert "a gateway does" in answer.json()["detail"]


async def test_only_its_head_can_be_asked_for(house):
    async with httpx.AsyncClient() as client:
        answer = await client.head(f"{http_of(house.url)}/events/stream", headers={"Authorization": f"Bearer {MASTER}"})

    assert (200, "text/event-stream", b"") == (answer.status_code, answer.headers["content-type"], answer.content)


async def test_of_two_requests_at_once_the_first_is_answered_by_the_stream(house):
    """Whoever sends the next request before the answer has ended waits for that."""
    port = int(http_of(house.url).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"Host: x\r\nAuthorization: Bearer {MASTER}\r\n\r\n"
    writer.write(f"GET /events/stream HTTP/1.1\r\n{head}GET /stats HTTP/1.1\r\n{head}".encode())
    async with asyncio.timeout(WITHIN):
        await reader.readuntil(b"event: ack")
        await create_for(house.api, **LATER)
        heard = await reader.readuntil(b"event: change")

    assert b"HTTP/1.1" not in heard
    writer.close()
