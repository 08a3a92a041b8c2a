"""Clients that forward: they are sent what a webhook would have been, signed where the secrets are."""

from __future__ import annotations

import asyncio
import json

import pytest

from qhronos.api.auth import Access
from qhronos.clock import SystemClock
from qhronos.core.signing import FIRST_SIGNATURE, verify
from qhronos.core.vault import Vault
from qhronos.errors import Invalid
from tests.service.engine import DEFAULTS
from tests.service.events import occurrences_of
from tests.service.mail import create_for
from tests.service.sockets import WITHIN, as_client, as_listener, open_gateway, open_house


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


def holds(frame, secret):
    try:
        verify(secret, frame["headers"], frame["body"].encode(), SystemClock().now())
    except Invalid:
        return False
    return True


async def failed(api, event):
    async with asyncio.timeout(WITHIN):
        while True:
            found = await occurrences_of(api, event)
            if found and found[0]["status"] == "failed":
                return found[0]["reason"]
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn


async def test_a_message_comes_with_what_a_webhook_would_have_been_sent(house):
    async with as_client(house.url, forward=True) as (peer, _):
        event = await create_for(house.api, metadata={"kettle": 1}, tags=["tea"])
        frame = await peer.hear()

    body = json.loads(frame["body"])
    said = {name: frame[name] for name in body}
    assert (event["id"], {"kettle": 1}) == (body["event_id"], body["metadata"])
    assert said == body
    assert (frame["occurrence_id"], "application/json", "1") == tuple(
        frame["headers"][name] for name in ("webhook-id", "content-type", "x-qhronos-attempt")
    )
    assert FIRST_SIGNATURE in frame["headers"]
    assert (True, False) == (holds(frame, "default-secret"), holds(frame, "another"))


async def test_an_event_with_a_secret_is_signed_with_it_and_with_the_one_before(house):
    async with as_client(house.url, forward=True) as (peer, _):
        event = await create_for(house.api, hmac_secret="first", start_time="2099-01-01T00:00:00Z")
        await house.api.patch(f"/events/{event['id']}", {"hmac_secret": "second"})
        await house.api.post(f"/events/{event['id']}/run")
        frame = await peer.hear()

    assert [True, True, False] == [holds(frame, secret) for secret in ("first", "second", "default-secret")]


async def test_what_is_sent_again_has_the_same_id_and_a_signature_of_its_own(house):
    frames = []
    await create_for(house.api, hmac_secret="first")
    async with as_client(house.url, forward=True) as (peer, _):
        frames.append(await peer.hear())
    event = frames[0]["event_id"]
    await house.api.patch(f"/events/{event}", {"hmac_secret": "second", "hmac_secret_overlap": 0})
    async with as_client(house.url, forward=True) as (peer, _):
        frames.append(await peer.hear())

    assert frames[0]["headers"]["webhook-id"] == frames[1]["headers"]["webhook-id"]
    assert frames[0]["body"] == frames[1]["body"]
    assert [(True, False), (False, True)] == [(holds(frame, "first"), holds(frame, "second")) for frame in frames]


async def test_none_waits_signed_for_its_turn(house):
    for _ in range(3):
        await create_for(house.api)
    async with as_client(house.url, forward=True) as (peer, _):
        got = []
        for _ in range(3):
            frame = await peer.hear_event()
            await peer.say(type="ping")
            got.append((frame["seq"], (await peer.hear())["type"]))
            await peer.say(type="ack", seq=frame["seq"])

    assert [(1, "pong"), (2, "pong"), (3, "pong")] == got


async def test_what_cannot_be_opened_is_a_failed_attempt(house):
    locked = DEFAULTS._replace(vault=Vault())
    await create_for(house.api, "other")
    async with open_gateway(house.api, defaults=locked) as (_, url, _), as_client(url, forward=True) as (peer, _):
        event = await create_for(house.api, hmac_secret="own", retry={"max_attempts": 1})
        reason = await failed(house.api, event)
        await create_for(house.api)
        other = await peer.hear_event()

    assert f"the secrets of event {event['id']} cannot be opened" in reason
    assert holds(other, "default-secret")


async def test_without_asking_for_it_nothing_is_signed(house):
    async with as_client(house.url) as (peer, _):
        await create_for(house.api)
        frame = await peer.hear()

    assert not {"headers", "body"} & frame.keys()


@pytest.mark.parametrize(("access", "allowed"), [(Access.READ, False), (Access.WRITE, True), (Access.READ_WRITE, True)])
async def test_only_who_may_write_is_sent_what_is_signed(house, access, allowed):
    token = house.api.token(access, "client:acme")
    async with as_client(house.url, token=token, forward=True) as (peer, answer):
        code = None if allowed else await peer.closed()

    assert (("ack", None) if allowed else ("error", 4403)) == (answer["type"], code)
    assert allowed or answer["message"] == "insufficient access level"


async def test_a_listener_forwards_by_itself(house):
    async with as_listener(house.url, "tea", forward=True) as (peer, answer):
        code = await peer.closed()

    assert ("forward is for client-hook alone", 4400) == (answer["message"], code)


async def test_a_gateway_without_a_secret_says_so(house):
    defaults = DEFAULTS._replace(secret="")
    async with open_gateway(house.api, defaults=defaults) as (_, url, _):
        async with as_client(url, forward=True) as (peer, answer):
            code = await peer.closed()
        async with as_client(url) as (_, usual):
            pass

    assert ("error", 4400, "ack") == (answer["type"], code, usual["type"])
    assert "hmac.default_secret is not set at this gateway" in answer["message"]
