"""Actions that show a token for which client credentials were given: from the params to the wire, by real endpoints."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from qhronos import actions
from qhronos.actions import tokens as kept
from qhronos.actions.hidden import CLIENT_SECRET
from qhronos.actions.oauth2 import Grant, OAuth2
from qhronos.actions.tokens import NoToken, Tokens
from qhronos.clock import SystemClock
from qhronos.core.attempt import Delivered, Failed, Outcome, Parked, Refused, Withdrawn
from qhronos.errors import Invalid
from qhronos.http import Client, Egress, Limits
from qhronos.plan.breakers import Breakers
from qhronos.redis_link import connect
from tests.contract.servers import Endpoint, is_silent, says
from tests.contract.test_actions import DELIVERY, LOOPBACK, NOW, example
from tests.fakes import Answer, FakeClock, Issuer

Perform = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


@pytest.fixture(params=sorted(set(actions.TYPES) - {"websocket"}))  # which sends nothing itself
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(clock) -> AsyncIterator[Client]:
    client = Client(LOOPBACK, clock)
    yield client
    await client.close()


@pytest.fixture
def perform(client, kind, issuer, receiver) -> Perform:
    """Read an action as the API does, keep its secret apart, and act as the dispatcher does."""
    receiver.answer = issuer.guard
    return performing(client, kind, issuer, receiver)


def auth_of(issuer: Issuer, **said: object) -> dict[str, object]:
    url = f"{issuer.url}/token"
    return {"type": "oauth2", "token_url": url, "client_id": issuer.ID, "client_secret": issuer.SECRET} | said


def performing(client: Client, kind: str, issuer: Issuer, receiver, breakers: Breakers | None = None) -> Perform:
    acts = actions.Performer(client, breakers)

    async def perform(delivery: dict[str, object] | None = None, **said: object) -> Outcome:
        params = example(kind, receiver.url) | {"auth": auth_of(issuer, **said)}
        shown, secrets = actions.conceal(actions.parse({"type": kind, "params": params}, LOOPBACK), "action")
        values = secrets["action"]
        changed = {"header_secrets": values} | (delivery or {})
        return await acts.prepare(
            msgspec.Raw(actions.encode(shown)), msgspec.structs.replace(DELIVERY, **changed)
        ).perform(NOW)

    return perform


async def test_a_token_is_fetched_shown_and_kept(perform, issuer, receiver):
    outcomes = [await perform() for _ in range(3)]

    assert [Delivered(status_code=200, excerpt="you sent [secret]")] * 3 == outcomes
    assert ["Bearer t0ken-0-"] * 3 == [request.headers["authorization"] for request in receiver.requests]
    [asked] = issuer.requests
    assert ("POST", "/token") == (asked.method, asked.path)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"grant_type=client_credentials" == asked.body


@pytest.mark.parametrize("style", ["basic", "post"])
async def test_id_and_secret_go_where_it_is_said_and_nowhere_else(perform, issuer, style):
    outcome = await perform(style=style, scope="a:read b", audience="https://api.example.com/")
    [asked] = issuer.requests

    assert isinstance(outcome, Delivered)
    assert (style == "basic") == ("authorization" in asked.headers)
    assert (style == "post") == (b"client_secret=" in asked.body)
    assert b"scope=a%3Aread+b&audience=https%3A%2F%2Fapi.example.com%2F" in asked.body


async def test_who_says_something_else_gets_a_token_of_its_own(perform, issuer, receiver):
    await perform(scope="a")
    await perform(scope="b")
    stranger = await perform(scope="a", client_secret="wrong-s3cret")
    await perform(scope="a")

    assert ["t0ken-0-a", "t0ken-1-b"] == issuer.issued
    assert f"no access token from {issuer.url}: HTTP 401 (invalid_client)" == stranger.reason
    assert len(receiver.requests) == 3


async def test_many_at_once_ask_once(perform, issuer, receiver):
    outcomes = await asyncio.gather(*(perform() for _ in range(8)))

    assert [200] * 8 == [outcome.status_code for outcome in outcomes]
    assert (1, 8) == (len(issuer.requests), len(receiver.requests))


@pytest.mark.parametrize(
    ("life", "still", "over"),
    [(3600, 3560, 15), (100, 85, 6), (None, 260, 15), (10_000_000, 86_300, 80), ("60", 50, 5)],
)
async def test_a_token_is_used_until_shortly_before_it_ends(perform, issuer, clock, life, still, over):
    issuer.life = life
    await perform()
    clock.advance(still)
    await perform()
    assert 1 == len(issuer.issued)

    clock.advance(over)
    await perform()
    assert 2 == len(issuer.issued)


async def test_a_token_that_has_no_life_is_used_once(perform, issuer):
    issuer.life = 0
    for _ in range(2):
        assert isinstance(await perform(), Delivered)

    assert 2 == len(issuer.issued)


async def test_a_token_that_is_not_taken_any_more_is_replaced_once(perform, issuer, receiver):
    await perform()
    issuer.taken.clear()
    outcomes = await asyncio.gather(*(perform() for _ in range(5)))

    assert [200] * 5 == [outcome.status_code for outcome in outcomes]
    assert 2 == len(issuer.issued)
    assert 11 == len(receiver.requests)


async def test_an_endpoint_that_takes_no_token_refuses_after_two(perform, issuer, receiver):
    receiver.answer = lambda request: Answer(401, {}, f"not {request.headers['authorization']}".encode())
    outcome = await perform()

    assert Refused(reason="HTTP 401", status_code=401, excerpt="not Bearer [secret]") == outcome
    assert (2, 2) == (len(issuer.issued), len(receiver.requests))


async def test_for_an_endpoint_that_takes_no_token_one_is_fetched_a_second(perform, issuer, receiver, clock):
    receiver.answer = lambda _: Answer(401)
    outcomes = [await perform() for _ in range(5)]
    assert (2, 6) == (len(issuer.issued), len(receiver.requests))

    clock.advance(1)
    outcomes += [await perform() for _ in range(5)]
    assert [Refused(reason="HTTP 401", status_code=401)] * 10 == outcomes
    assert (3, 12) == (len(issuer.issued), len(receiver.requests))


async def test_where_there_are_too_many_tokens_the_oldest_goes(client, issuer, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 2)
    tokens = Tokens(client)
    grants = [Grant(issuer.url, issuer.ID, issuer.SECRET, scope, None, "basic") for scope in "abc"]
    for grant in [*grants, grants[2], grants[1], grants[0]]:
        await tokens.get(grant, 5.0)

    assert ["t0ken-0-a", "t0ken-1-b", "t0ken-2-c", "t0ken-3-a"] == issuer.issued


async def test_what_was_sent_once_is_an_attempt_though_it_is_not_sent_again(perform, issuer, receiver):
    """It was withdrawn, or there was no room any more, after the endpoint had said that the token is no good."""
    await perform()
    issuer.taken.clear()
    outcome = await perform({"wanted": lambda: len(receiver.requests) < 2})

    assert Failed(reason="HTTP 401", status_code=401, excerpt="you sent [secret]") == outcome
    assert 2 == len(receiver.requests)


async def test_what_is_not_wanted_any_more_when_its_token_comes_is_not_sent(perform, receiver):
    assert Withdrawn() == await perform({"wanted": lambda: False})
    assert [] == receiver.requests


async def test_a_token_that_cannot_be_replaced_is_tried_again_later(perform, issuer):
    await perform()
    issuer.taken.clear()
    issuer.answer = lambda _: Answer(503)
    outcome = await perform()

    assert Failed(reason=f"no access token from {issuer.url}: HTTP 503") == outcome


TOKEN = {"access_token": "t0ken-that-nobody-sees", "token_type": "Bearer", "expires_in": 60}
NO_ANSWER = "its answer is not that of RFC 6749, JSON with an access_token"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, b'{"error": "invalid_scope"}', "HTTP 400 (invalid_scope)"),
        (401, b'{"error": "cl1ent s&cret"}', "HTTP 401"),
        (401, b'{"error": 1}', "HTTP 401"),
        (403, b"<html>", "HTTP 403"),
        (302, b"", "HTTP 302"),
        (500, b"\xff", "HTTP 500"),
        (201, json.dumps(TOKEN).encode(), "HTTP 201"),
        (200, b"", NO_ANSWER),
        (200, b"t0ken-that-nobody-sees", NO_ANSWER),
        (200, b'"\xff"', NO_ANSWER),
        (200, b'{"access_token": ["t0ken-that-nobody-sees"]}', NO_ANSWER),
        (200, json.dumps(TOKEN | {"expires_in": "t0ken-that-nobody-sees"}).encode(), NO_ANSWER),
        (200, json.dumps(TOKEN | {"x": "x" * 70_000}).encode(), NO_ANSWER),
        (200, json.dumps(TOKEN | {"access_token": "a\r\nb: c"}).encode(), "the token cannot be sent in a header"),
        (200, json.dumps(TOKEN | {"access_token": ""}).encode(), "the token cannot be sent in a header"),
        (200, json.dumps(TOKEN | {"access_token": "a" * 8193}).encode(), "the token cannot be sent in a header"),
        (200, json.dumps(TOKEN | {"token_type": "mac"}).encode(), "the token is of another type than Bearer"),
    ],
)
async def test_a_token_endpoint_that_gives_none_is_tried_again_and_named(perform, issuer, receiver, status, body, why):
    issuer.answer = lambda _: Answer(status, {"location": "/x"}, body)
    outcome = await perform()

    assert Failed(reason=f"no access token from {issuer.url}: {why}") == outcome
    assert receiver.connections == 0


async def test_a_token_endpoint_that_gives_none_is_asked_once_a_second(perform, issuer, clock):
    issuer.answer = lambda _: Answer(503)
    outcomes = [await perform() for _ in range(3)]
    issuer.answer = issuer.issue
    clock.advance(0.9)
    outcomes.append(await perform())
    assert [Failed(reason=f"no access token from {issuer.url}: HTTP 503")] * 4 == outcomes
    assert 1 == len(issuer.requests)

    assert isinstance(await perform(scope="other"), Delivered)
    clock.advance(0.1)
    assert isinstance(await perform(), Delivered)
    assert isinstance(await perform(), Delivered)
    assert 3 == len(issuer.requests)


async def test_what_could_not_be_got_keeps_nothing_of_those_who_asked(client, issuer):
    issuer.answer = lambda _: Answer(429, {"retry-after": "7"})
    tokens, grant = Tokens(client), Grant(issuer.url, "a", "b", None, None, "basic")
    missed = []
    for _ in range(30):
        with pytest.raises(NoToken, match="HTTP 429") as raised:
            await tokens.get(grant, 5.0)
        missed.append(raised.value)

    assert 30 == len({id(error) for error in missed})
    assert {("token", "7")} == {(error.kind, error.retry_after) for error in missed}
    assert 1 == len(issuer.requests)


async def test_an_answer_without_a_type_or_an_end_will_do(perform, issuer):
    issuer.taken.add("t0ken")
    issuer.answer = lambda _: Answer(200, {}, b'{"access_token": "t0ken", "scope": "a"}')

    assert isinstance(await perform(), Delivered)


async def test_a_token_endpoint_may_say_when_to_ask_again(perform, issuer):
    issuer.answer = lambda _: Answer(429, {"retry-after": "7"})
    outcome = await perform()

    assert Failed(reason=f"no access token from {issuer.url}: HTTP 429", retry_after=timedelta(seconds=7)) == outcome


async def test_a_token_endpoint_that_is_away_is_named(perform):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"
        outcome = await perform(token_url=origin)

    assert Failed(reason=f"no access token from {origin}: connection refused") == outcome


async def test_one_deadline_stands_over_token_and_delivery(kind, issuer, receiver):
    client = Client(LOOPBACK, SystemClock())
    perform = performing(client, kind, issuer, receiver)
    short = {"timeout": timedelta(seconds=0.2)}
    async with Endpoint(is_silent) as silent:
        outcome = await perform(short, token_url=silent.url)

    origin = f"http://127.0.0.1:{silent.port}"
    assert Failed(reason=f"no access token from {origin}: it did not come in time") == outcome
    issuer.answer = lambda request: issuer.issue(request)._replace(delay=0.2)
    receiver.answer = lambda _: Answer(delay=5)
    clock = SystemClock()
    began = clock.monotonic()
    outcome = await perform({"timeout": timedelta(seconds=1)})

    assert outcome.reason.startswith("timeout after 0.")
    assert 1 <= clock.monotonic() - began < 3
    await client.close()


async def test_a_fetch_goes_on_when_the_first_who_waited_gives_up(kind, issuer, receiver):
    client = Client(LOOPBACK, SystemClock())
    perform = performing(client, kind, issuer, receiver)
    receiver.answer = issuer.guard
    issuer.answer = lambda request: issuer.issue(request)._replace(delay=0.3)
    outcomes = await asyncio.gather(perform({"timeout": timedelta(seconds=0.05)}), perform())

    assert [Failed, Delivered] == [type(outcome) for outcome in outcomes]
    assert 1 == len(issuer.issued)
    await client.close()


async def test_where_there_is_no_room_for_tokens_what_needs_one_is_parked(kind, issuer, receiver):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(rate_per_origin=0.01))
    perform = performing(client, kind, issuer, receiver)
    await perform(scope="a")
    outcome = await perform(scope="b")

    assert ("rate", issuer.url) == (outcome.cause, outcome.place)
    await client.close()


async def test_what_the_token_endpoint_does_is_no_failure_of_the_endpoint(
    kind, issuer, receiver, client, clock, redis_url, redis_prefix
):
    redis = connect(redis_url)
    perform = performing(client, kind, issuer, receiver, Breakers(redis, redis_prefix, clock))
    issuer.answer = lambda _: Answer(503)
    for _ in range(12):
        await perform()
    clock.advance(1.1)
    assert isinstance(await perform(), Failed)

    clock.advance(1.1)
    issuer.answer = issuer.issue
    receiver.answer = lambda _: Answer(503)
    for _ in range(12):
        await perform()
    clock.advance(1.1)
    assert isinstance(await perform(), Parked)
    await redis.aclose()


async def test_a_token_endpoint_that_is_closed_to_deliveries_is_final(kind, issuer, receiver, client):
    """An operator has closed it since the event was made."""
    auth = OAuth2(token_url="http://10.0.0.1/", client_id="a", client_secret={"secret": True})
    stored = msgspec.json.encode({"type": kind, "params": example(kind, receiver.url) | {"auth": auth}})
    delivery = msgspec.structs.replace(DELIVERY, header_secrets={CLIENT_SECRET: "s3cret"})
    outcome = await actions.Performer(client).prepare(msgspec.Raw(stored), delivery).perform(NOW)

    assert Refused(reason="no access token from http://10.0.0.1: 10.0.0.1 is not open to deliveries") == outcome


async def test_without_its_secret_it_is_not_performed(kind, issuer, receiver, client):
    params = example(kind, receiver.url) | {"auth": auth_of(issuer, client_secret={"secret": True})}
    stored = msgspec.json.encode({"type": kind, "params": params})
    outcome = await actions.Performer(client).prepare(msgspec.Raw(stored), DELIVERY).perform(NOW)

    assert Refused(reason="the client secret is missing; edit the event and give it") == outcome
    assert (0, 0) == (issuer.connections, receiver.connections)


async def test_a_token_does_not_go_to_another_origin(issuer, receiver, client):
    async with Issuer() as other:
        receiver.answer = lambda request: Answer(302, {"location": f"{other.url}/there"})
        params = {"method": "GET", "url": receiver.url, "follow_redirects": 1, "auth": auth_of(issuer)}
        shown, secrets = actions.conceal(actions.parse({"type": "apicall", "params": params}, LOOPBACK), "action")
        values = secrets["action"]
        delivery = msgspec.structs.replace(DELIVERY, header_secrets=values)
        await actions.Performer(client).prepare(msgspec.Raw(actions.encode(shown)), delivery).perform(NOW)

        assert "authorization" in receiver.requests[0].headers
        assert "authorization" not in other.requests[0].headers


async def test_nothing_of_it_is_shown(perform, issuer, receiver):
    echo = f"{issuer.SECRET} t0ken-0-"
    receiver.answer = lambda _: Answer(500, {}, echo.encode())
    outcome = await perform()

    assert Failed(reason="HTTP 500", status_code=500, excerpt="[secret] [secret]") == outcome


@pytest.mark.parametrize("given", ["s3cret", {"secret": "s3cret"}])
def test_the_secret_is_kept_apart_however_it_is_written(kind, given):
    auth = {"type": "oauth2", "token_url": "https://id.example.com/token", "client_id": "a", "client_secret": given}
    params = example(kind, "https://example.com/") | {"auth": auth | {"scope": "a"}}
    shown, secrets = actions.conceal(actions.parse({"type": kind, "params": params}, Egress()), "action")
    values = secrets["action"]

    assert {CLIENT_SECRET: "s3cret"} == values
    assert (
        auth | {"scope": "a", "client_secret": {"secret": True}} == json.loads(actions.encode(shown))["params"]["auth"]
    )
    assert "s3cret" not in repr(shown.params.auth.grant(values))


AUTH = {"type": "oauth2", "token_url": "https://id.example.com/t", "client_id": "a", "client_secret": "s3cret"}


@pytest.mark.parametrize(
    ("said", "field", "message"),
    [
        ({"type": ...}, "auth.type", "type is required in action.params.auth$"),
        ({"type": "basic"}, "auth.type", "Invalid value 'basic'; give oauth2"),
        ({"type": None}, "auth.type", "Expected `str`"),
        ({"token_url": "http://10.0.0.1/"}, "auth.token_url", "URL cannot be reached"),
        ({"token_url": "ftp://a/"}, "auth.token_url", "URL must start with"),
        ({"token_url": ...}, "auth.token_url", "token_url is required in action.params.auth$"),
        ({"client_id": ""}, "auth.client_id", "length"),
        ({"client_id": "é"}, "auth.client_id", "client_id is printable ASCII"),
        ({"client_secret": ...}, "auth.client_secret", "client_secret is required"),
        ({"client_secret": ""}, "auth.client_secret", "the client secret is its value"),
        ({"client_secret": {"secret": False}}, "auth.client_secret", "the client secret is its value"),
        ({"client_secret": {"secret": "a\nb"}}, "auth.client_secret", "client_secret is printable ASCII"),
        ({"client_secret": "a" * 4097}, "auth.client_secret", "longer than 4096"),
        ({"scope": "a  b"}, "auth.scope", "one space between"),
        ({"scope": 'a"'}, "auth.scope", "one space between"),
        ({"audience": "a\tb"}, "auth.audience", "audience is printable ASCII"),
        ({"client_secret": [1]}, "auth.client_secret", "got `array`; give its value, or {"),
        ({"style": "jwt"}, "auth.style", "Invalid enum value 'jwt'; give basic or post"),
        ({"secret": "a"}, "auth.secret", "unknown field `secret`"),
    ],
)
def test_what_cannot_work_is_refused_by_its_field(kind, said, field, message):
    auth = {name: value for name, value in (AUTH | said).items() if value is not ...}
    with pytest.raises(Invalid, match=message) as refusal:
        actions.parse({"type": kind, "params": example(kind, "https://example.com/") | {"auth": auth}}, Egress())

    assert f"action.params.{field}" == refusal.value.field
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("said", [[], "Bearer x", 1])
def test_what_is_no_auth_is_refused_with_what_one_has(kind, said):
    params = example(kind, "https://example.com/") | {"auth": said}
    with pytest.raises(Invalid, match="give an object with type, token_url, client_id and client_secret") as refusal:
        actions.parse({"type": kind, "params": params}, Egress())

    assert "action.params.auth" == refusal.value.field


def test_a_header_that_auth_writes_cannot_be_given_beside_it(kind):
    params = example(kind, "https://example.com/") | {"auth": AUTH, "headers": {"Authorization": "Bearer x"}}
    with pytest.raises(Invalid, match="written by `auth`") as refusal:
        actions.parse({"type": kind, "params": params}, Egress())

    assert "action.params.headers.Authorization" == refusal.value.field


async def test_an_endpoint_that_hands_out_a_bomb_costs_a_limit(perform, kind):
    async with Endpoint(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"{" * 100_000)) as bomb:
        outcome = await perform(token_url=bomb.url)

    assert outcome.reason.endswith(NO_ANSWER)
