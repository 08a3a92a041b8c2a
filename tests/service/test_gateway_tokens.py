"""A socket lives no longer than its token: ended as that is revoked, and as it expires."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from qhronos.api.auth import Access
from qhronos.gateway import crowd
from tests.service.events import query
from tests.service.sockets import MASTER, as_client, as_listener, open_gateway, open_house
from tests.service.sse import following

SOON = 3.0  # seconds: milliseconds as a rule, more on a machine that is busy; the next look would come after 60


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


async def minted(house, sub="acme"):
    asked = {"type": "jwt", "sub": sub, "access": "read", "scope": ["client:acme", "tea"]}
    answer = await house.api.post("/tokens", asked | {"expires_at": house.api.deps.clock.now() + timedelta(hours=1)})
    ((token_id,),) = await query(house.api, "SELECT id FROM tokens WHERE sub = %s", sub)
    return token_id, answer.json()["token"]


async def test_a_token_that_is_revoked_ends_its_sockets_at_every_gateway_at_once(house):
    token_id, token = await minted(house)
    _, other = await minted(house, "other")
    async with (
        open_gateway(house.api) as (_, url, _),
        as_client(house.url, token=token) as (client, _),
        as_listener(url, "tea", token=token) as (listener, _),
        as_listener(url, "tea", token=other) as (unaffected, _),
        as_listener(url, "tea", token=MASTER) as (master, _),
    ):
        began = time.monotonic()
        await house.api.delete(f"/tokens/{token_id}")
        said = [await client.hear(), await listener.hear()]
        codes = [await client.closed(), await listener.closed()]
        took = time.monotonic() - began
        for peer in (unaffected, master):
            await peer.say(type="ping")

            assert {"type": "pong"} == await peer.hear()

    assert [{"type": "error", "message": "this token was revoked"}] * 2 == said
    assert [4401, 4401] == codes
    assert took < SOON


async def test_a_token_that_is_revoked_does_not_come_in_again(house):
    token_id, token = await minted(house)
    async with as_client(house.url, token=token) as (peer, _):
        await house.api.delete(f"/tokens/{token_id}")
        await peer.closed()
        async with as_client(house.url, token=token) as (again, answer):
            code = await again.closed()

    assert ("invalid token", 4401) == (answer["message"], code)


async def test_a_revocation_that_nobody_heard_of_is_seen_by_the_next_look_at_the_token(house, monkeypatch):
    async def unheard(_token_id):
        """Redis is away."""

    object.__setattr__(house.api.deps.broadcast, "token_revoked", unheard)
    monkeypatch.setattr(crowd, "RECHECK", 0.0)
    token_id, token = await minted(house)
    async with as_client(house.url, token=token) as (peer, _):
        await house.api.delete(f"/tokens/{token_id}")

        assert 4401 == await peer.closed()


async def test_an_expired_token_ends_its_sockets_at_that_instant(house):
    token = house.api.token(Access.READ, "client:acme", "tea", lifetime=4)
    async with (
        as_client(house.url, token=token) as (client, welcome),
        as_listener(house.url, "tea", token=token) as (listener, _),
    ):
        began = time.monotonic()
        said = [await client.hear(), await listener.hear()]
        codes = [await client.closed(), await listener.closed()]
        took = time.monotonic() - began

    assert "ack" == welcome["type"]
    assert [{"type": "error", "message": "token has expired"}] * 2 == said
    assert [4401, 4401] == codes
    assert took < 4 + SOON


async def test_a_token_that_has_just_expired_is_not_let_in_only_to_be_sent_away(house):
    """A request would be answered still: clocks may differ a little."""
    token = house.api.token(Access.READ, "client:acme", lifetime=-5)
    async with as_client(house.url, token=token) as (peer, answer):
        code = await peer.closed()

    assert ("token has expired", 4401) == (answer["message"], code)
    assert 200 == (await house.api.get("/events", token=token)).status_code


async def test_so_it_is_with_streams(house):
    token_id, token = await minted(house)
    short = house.api.token(Access.READ, "tea", lifetime=4)
    async with following(house.url, token=token) as (revoked, _), following(house.url, token=short) as (expired, _):
        began = time.monotonic()
        await house.api.delete(f"/tokens/{token_id}")
        first = [piece for piece in await revoked.ended() if piece.name][-1]
        took = time.monotonic() - began
        second = [piece for piece in await expired.ended() if piece.name][-1]
        lasted = time.monotonic() - began

    assert [("error", "this token was revoked"), ("error", "token has expired")] == [
        (last.name, last.data["message"]) for last in (first, second)
    ]
    assert took < SOON
    assert lasted < 4 + SOON
