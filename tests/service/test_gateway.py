"""Clients of the gateway: real sockets, real stores, and every frame that the first Qhronos had."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from qhronos.api.auth import Access
from qhronos.config import Gateway as Settings
from qhronos.core.occurrence import Identity, occurrence_id
from tests.service.events import execute, occurrences_of, query
from tests.service.mail import create_for
from tests.service.sockets import WITHIN, as_client, as_listener, dial, open_gateway, open_house


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


async def until(api, event, status):
    """The occurrences of an event, once one has that status."""
    async with asyncio.timeout(WITHIN):
        while True:
            found = await occurrences_of(api, event)
            if status in {one["status"] for one in found}:
                return found
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn


async def test_what_is_due_reaches_a_client_and_its_word_completes_it(house):
    async with as_client(house.url) as (peer, answer):
        event = await create_for(house.api, metadata={"kettle": 1}, tags=["tea"])
        frame = await peer.hear()
        await peer.say(type="ack", event_id=event["id"], occurrence_id=frame["occurrence_id"])
        said = await peer.hear()
        (occurrence,) = await until(house.api, event, "completed")

    assert ("ack", "subscription registered", 0) == (answer["type"], answer["message"], answer["seq"])
    assert ("event", 1, False, event["id"], "tea", {"kettle": 1}, ["tea"], 1) == tuple(
        frame[name] for name in ("type", "seq", "redelivered", "event_id", "name", "metadata", "tags", "attempt")
    )
    assert {"type": "ack", "message": "acknowledged", "occurrence_id": frame["occurrence_id"]} == said
    assert (frame["occurrence_id"], frame["scheduled_at"]) == (occurrence["id"], occurrence["scheduled_at"])


async def test_what_came_while_it_was_away_comes_in_order_and_until_it_is_acknowledged(house):
    events = [await create_for(house.api, name=f"tea {number}") for number in range(3)]
    for event in events:
        await until(house.api, event, "dispatched")
    async with as_client(house.url) as (peer, _):
        first = [await peer.hear() for _ in range(3)]
        await peer.say(type="ack", seq=1)
        await peer.hear()
    async with as_client(house.url) as (peer, answer):
        second = [await peer.hear() for _ in range(2)]

    assert 3 == answer["seq"]
    assert [(1, False), (2, False), (3, False)] == [(frame["seq"], frame["redelivered"]) for frame in first]
    assert [(2, True), (3, True)] == [(frame["seq"], frame["redelivered"]) for frame in second]
    assert [frame["occurrence_id"] for frame in first[1:]] == [frame["occurrence_id"] for frame in second]


async def test_an_acknowledgement_by_number_is_for_all_up_to_it(house):
    async with as_client(house.url) as (peer, _):
        events = [await create_for(house.api) for _ in range(3)]
        frames = [await peer.hear() for _ in range(3)]
        await peer.say(type="ack", seq=frames[1]["seq"])
        said = await peer.hear()
        waiting = await query(house.api, "SELECT seq FROM outbox")

    assert {"type": "ack", "message": "acknowledged", "seq": 2} == said
    assert [(3,)] == waiting
    assert 3 == len({event["id"] for event in events})


async def test_who_resumes_has_processed_what_went_before(house):
    async with as_client(house.url) as (peer, answer):
        for _ in range(3):
            await create_for(house.api)
        for _ in range(3):
            await peer.hear()
    async with as_client(house.url, resume={"epoch": answer["epoch"], "seq": 2}) as (peer, again):
        frame = await peer.hear()
    async with as_client(house.url, resume={"epoch": "another", "seq": 3}) as (peer, wrong):
        still = await peer.hear()

    assert "gap" not in again
    assert (3, 3) == (frame["seq"], still["seq"])
    assert wrong["gap"] is True


async def test_without_an_occurrence_the_oldest_of_the_event_is_acknowledged(house):
    """The frames of the first Qhronos had no id of the occurrence."""
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api)
        await peer.hear()
        await peer.say(type="ack", event_id=event["id"], occurrence_id="")
        said = await peer.hear()
        await until(house.api, event, "completed")

    assert {"type": "ack", "message": "acknowledged", "occurrence_id": ""} == said


async def test_no_is_tried_again_and_no_for_good_is_a_dead_letter(house):
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api, retry={"max_attempts": 3, "backoff": [0]})
        first = await peer.hear()
        await peer.say(type="nack", occurrence_id=first["occurrence_id"], reason="no paper")
        second = await peer.hear_event()
        await peer.say(type="nack", seq=second["seq"], final=True)
        (failed,) = await until(house.api, event, "failed")

    assert [(1, 1, False), (2, 2, True)] == [(f["seq"], f["attempt"], f["redelivered"]) for f in (first, second)]
    assert ("not acknowledged: the client gave no reason", 2) == (failed["reason"], failed["attempt"])
    attempts = (await house.api.get(f"/occurrences/{failed['id']}/attempts")).json()["data"]
    assert [("failed", "not acknowledged: no paper"), ("refused", failed["reason"])] == [
        (one["outcome"], one["reason"]) for one in attempts
    ]


async def test_silence_of_a_client_that_is_there_is_a_failed_attempt(house):
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api, params={"ack_timeout": 1}, retry={"max_attempts": 2, "backoff": [0]})
        frames = [await peer.hear(), await peer.hear()]
        (failed,) = await until(house.api, event, "failed")

    assert [(1, False), (2, True)] == [(frame["attempt"], frame["redelivered"]) for frame in frames]
    assert ("not acknowledged within 1 s", 2) == (failed["reason"], failed["attempt"])


async def test_acknowledging_twice_is_answered_twice(house):
    async with as_client(house.url) as (peer, _):
        await create_for(house.api)
        frame = await peer.hear()
        said = []
        for _ in range(2):
            await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
            said.append(await peer.hear())

    assert said[0] == said[1]


@pytest.mark.parametrize(("attempts", "status"), [(2, "scheduled"), (1, "failed")])
async def test_an_acknowledgement_that_comes_too_late_is_said_not_to_count(house, attempts, status):
    async with as_client(house.url) as (peer, _):
        retry = {"max_attempts": attempts, "backoff": [3600]}
        event = await create_for(house.api, params={"ack_timeout": 1}, retry=retry)
        frame = await peer.hear()
        await until(house.api, event, status)
        await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
        said = await peer.hear()
        (occurrence,) = await occurrences_of(house.api, event)

    answer = {"type": "ack", "message": "acknowledged", "occurrence_id": frame["occurrence_id"]}
    assert answer | {"counted": False, "status": status} == said
    assert (status, 1) == (occurrence["status"], occurrence["attempt"])


async def test_so_it_is_said_where_it_was_called_off_a_moment_before(house):
    async with as_client(house.url) as (peer, _):
        event = await create_for(house.api)
        frame = await peer.hear()
        await execute(house.api, "UPDATE pending SET fence = nextval('fences') WHERE event_id = %s", event["id"])
        await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
        said = await peer.hear()

    assert (False, "dispatched") == (said["counted"], said["status"])


async def test_of_occurrences_of_others_no_client_is_told_how_they_are(house):
    event = await create_for(house.api, "bert")
    (occurrence,) = await occurrences_of(house.api, event)
    async with as_client(house.url) as (peer, _):
        await peer.say(type="ack", occurrence_id=occurrence["id"])
        said = await peer.hear()

    answer = {"type": "ack", "message": "acknowledged", "occurrence_id": occurrence["id"], "counted": False}
    assert answer == said


async def test_a_newer_connection_is_served_instead_of_the_older(house):
    async with as_client(house.url) as (older, _), as_client(house.url) as (newer, _):
        code = await older.closed()
        await create_for(house.api)
        frame = await newer.hear()

    assert (4409, 1) == (code, frame["seq"])


async def test_so_it_is_on_another_gateway_and_what_the_older_was_sent_is_acknowledged_there(house):
    async with open_gateway(house.api) as (_, other_url, _), as_client(house.url) as (older, _):
        event = await create_for(house.api)
        frame = await older.hear()
        async with as_client(other_url) as (newer, _):
            code = await older.closed()
            again = await newer.hear()
            await newer.say(type="ack", occurrence_id=frame["occurrence_id"])
            await newer.hear()
            await until(house.api, event, "completed")

    assert 4409 == code
    assert (1, True) == (again["seq"], again["redelivered"])


async def test_without_a_doorbell_it_comes_with_the_next_look(house):
    async def nothing(_names):
        pass

    object.__setattr__(house.api.deps.broadcast, "ring", nothing)
    async with as_client(house.url) as (peer, _):
        await create_for(house.api)

        assert 1 == (await peer.hear())["seq"]


async def test_at_most_a_window_is_on_its_way(house):
    events = [await create_for(house.api) for _ in range(120)]
    for event in events[-1:]:
        await until(house.api, event, "dispatched")
    async with as_client(house.url) as (peer, _):
        first = [await peer.hear() for _ in range(100)]
        await peer.say(type="ping")
        pong = await peer.hear()
        await peer.say(type="ack", seq=first[-1]["seq"])
        rest = await peer.hear_event()

    assert {"type": "pong"} == pong
    assert list(range(1, 102)) == [frame["seq"] for frame in [*first, rest]]


@pytest.mark.parametrize(
    ("frame", "message", "code"),
    [
        ("nonsense", "invalid handshake message", 4400),
        ("[]", "invalid handshake message", 4400),
        ('{"type": "client-hook", "client_name": 7}', "invalid handshake message", 4400),
        ('{"type": "tag-listener", "tags": ["a"], "tags_mach": "all", "token": "t"}', "invalid handshake message", 4400),
        ('{"type": "client-hook", "client_name": "acme"}', "authentication required", 4401),
        ('{"type": "client-hook", "client_name": "acme", "token": ""}', "authentication required", 4401),
        ('{"type": "client-hook", "client_name": "acme", "token": "x"}', "invalid token", 4401),
        ('{"type": "client-hook", "token": "x"}', "client_name required for client-hook", 4400),
        ('{"type": "tag-listener", "client_name": "", "tags": null, "token": "x"}', "tags required for tag-listener", 4400),
        ('{"type": "other", "token": "x"}', "invalid type", 4400),
    ],
)  # fmt: skip
async def test_a_handshake_that_cannot_be_is_told_why_and_closed(house, frame, message, code):
    async with dial(house.url) as peer:
        await peer.connection.send(frame)
        said = await peer.hear()

        assert ("error", message) == (said["type"], said["message"])
        assert code == await peer.closed()


async def test_after_the_handshake_the_connection_stays_open(house):
    async with as_client(house.url) as (peer, _):
        said = []
        for frame in ("nonsense", '{"type": "client-hook"}', '{"type": "nack", "occurrence_id": "occ_x"}'):
            await peer.connection.send(frame)
            said.append((await peer.hear())["message"])
        await peer.say(type="ping")

        assert ["invalid message format", "unexpected message type after handshake", "no such message"] == said
        assert {"type": "pong"} == await peer.hear()


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [(["client:acme"], True), (["user:acme"], True), (["acme"], False), (["client:other"], False), ([], False)],
)
async def test_a_token_is_for_the_clients_in_its_scope(house, scope, allowed):
    token = house.api.token(Access.READ, *scope)
    async with as_client(house.url, token=token) as (_, answer):
        assert allowed == (answer["type"] == "ack")
        if not allowed:
            assert "insufficient scope" == answer["message"]


async def test_access_admin_may_be_every_client(house):
    async with as_client(house.url, token=house.api.token(Access.ADMIN)) as (_, answer):
        assert "ack" == answer["type"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://evil.example", False), ("https://app.example", True), ("self", True), ("null", False)],
)
async def test_pages_of_other_origins_are_not_let_in(database, redis_url, redis_prefix, origin, allowed):
    settings = Settings(origins=("https://app.example",))
    async with open_house(database, redis_url, redis_prefix, settings) as house:
        given = house.url.removesuffix("/ws").replace("ws:", "http:") if origin == "self" else origin
        try:
            async with connect(house.url, origin=given, compression=None):
                status = 101
        except InvalidStatus as refusal:
            status = refusal.response.status_code

    assert allowed == (status == 101)
    assert allowed or status == 403


async def test_a_frame_that_is_too_long_ends_it(house):
    async with as_client(house.url) as (peer, _):
        await peer.connection.send("x" * (64 * 1024 + 1))

        assert 1009 == await peer.closed()


async def test_too_many_frames_end_it(house):
    async with as_client(house.url) as (peer, _):
        for _ in range(130):
            await peer.say(type="ping")

        assert 4429 == await peer.closed()


async def test_a_token_has_so_many_connections(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix, Settings(connections_per_token=1)) as house:
        token = house.api.token(Access.READ, "client:a", "client:b", sub="two")
        async with as_client(house.url, "a", token) as (_, first), as_client(house.url, "b", token) as (peer, second):
            code = await peer.closed()

    assert ("ack", "error", 4429) == (first["type"], second["type"], code)


async def test_who_says_nothing_is_sent_away(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.service.HANDSHAKE", 0.05)
    async with dial(house.url) as peer:
        said = await peer.hear()

        assert ("handshake timeout", 4408) == (said["message"], await peer.closed())


async def test_a_socket_elsewhere_is_refused(house):
    with pytest.raises(InvalidStatus):
        await connect(house.url.replace("/ws", "/elsewhere"))


async def test_a_gateway_that_ends_asks_to_come_back(house):
    async with open_gateway(house.api) as (gateway, url, _), as_client(url) as (peer, _):
        await gateway.drain()
        said = await peer.hear()
        code = await peer.closed()

    assert ("reconnect", 1012) == (said["type"], code)
    assert 0 <= said["after_ms"] < 5000


async def test_a_listener_acknowledges_nothing(house):
    async with as_listener(house.url, "tea") as (peer, _):
        await peer.say(type="ack", event_id="x")

        assert "acknowledge not supported for tag-listener" == (await peer.hear())["message"]


async def test_strangers_are_few_and_those_who_are_known_are_unaffected(house, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.service.MOST_STRANGERS", 2)
    async with as_client(house.url) as (peer, _), dial(house.url), dial(house.url):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(house.url)
        await create_for(house.api)

        assert 403 == refusal.value.response.status_code
        assert 1 == (await peer.hear())["seq"]


async def test_a_gateway_has_so_many_connections(database, redis_url, redis_prefix):
    async with (
        open_house(database, redis_url, redis_prefix, Settings(max_connections=1)) as house,
        as_client(house.url) as (_, first),
        dial(house.url) as second,
    ):
        code = await second.closed()

    assert ("ack", 4429) == (first["type"], code)


async def test_a_word_while_postgres_is_away_does_not_count_and_is_answered_so(house):
    async with as_client(house.url) as (peer, _):
        await house.api.deps.database.close()
        await peer.say(type="nack", occurrence_id=occurrence_id(Identity(uuid.uuid4(), house.api.deps.clock.now())))

        assert {"type": "error", "message": "unavailable"} == await peer.hear()
