"""Client credentials of an event from the client to the wire: written once, sealed, shown to the token endpoint alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from qhronos import actions
from qhronos.actions.hidden import CLIENT_SECRET
from qhronos.config import AtRest, Http
from qhronos.http import Client, Egress
from tests.fakes import Answer, Issuer
from tests.service.api import CONFIG, KEYS, Api, open_api, open_deps
from tests.service.engine import DEFAULTS, make_dispatcher, settled
from tests.service.events import create, dispatch, occurrences_of, query, secrets_of

OPEN = Http(egress_allow=("127.0.0.0/8",))
CONFIGURED = msgspec.structs.replace(CONFIG, http=OPEN, secrets=AtRest(keys=KEYS))
TOKEN_URL = "https://id.example.com/token"
SECRET = "cl1ent-s3cret"


@pytest.fixture
async def api(database, redis_url, redis_prefix, clock) -> AsyncIterator[Api]:
    async with open_deps(database, redis_url, redis_prefix, clock, CONFIGURED) as deps, open_api(deps) as api:
        yield api


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


def calling(url: str = "https://api.example.com/hook", **auth: object) -> dict[str, object]:
    said = {"type": "oauth2", "token_url": TOKEN_URL, "client_id": "a", "client_secret": SECRET} | auth
    return {"type": "webhook", "params": {"url": url, "auth": said}}


async def later(api: Api, **said: object) -> dict[str, object]:
    return await create(api, start_time="2027-01-01T00:00:00Z", **said)


async def test_the_secret_is_sealed_and_never_shown(api, clock):
    event = await later(api, action=calling())

    assert {"secret": True} == event["action"]["params"]["auth"]["client_secret"]
    for path in (f"/events/{event['id']}", "/events", "/events/export", "/audit"):
        assert SECRET not in (await api.get(path)).text
    assert not [row for row in await query(api, "SELECT events::text FROM events") if SECRET in row[0]]
    await api.post(f"/events/{event['id']}/run")
    [delivery] = await dispatch(api, clock)
    assert {CLIENT_SECRET: SECRET} == delivery.header_secrets


async def test_what_is_sent_back_as_it_was_shown_stays(api):
    event = await later(api, action=calling(), on_failure=calling(client_secret="an0ther"))
    action = calling("https://api.example.com/other", client_secret={"secret": True}, scope="more")
    edited = await api.patch(f"/events/{event['id']}", {"action": action})

    assert 200 == edited.status_code, edited.text
    assert (None, None, {CLIENT_SECRET: SECRET, "on_failure": {CLIENT_SECRET: "an0ther"}}) == await secrets_of(
        api, event["id"]
    )


@pytest.mark.parametrize(
    "action",
    [
        calling("https://elsewhere.example/hook", client_secret={"secret": True}),
        calling(client_secret={"secret": True}, token_url="https://elsewhere.example/token"),
    ],
)
async def test_it_does_not_go_to_another_address_nor_does_what_is_got_for_it(api, action):
    """Whoever may edit an event could read it there."""
    event = await later(api, action=calling())
    edited = await api.patch(f"/events/{event['id']}", {"action": action})

    assert (422, "action.params.auth.client_secret") == (edited.status_code, edited.json()["field"])
    assert "the client secret does not go along; give it anew" in edited.json()["detail"]
    assert (None, None, {CLIENT_SECRET: SECRET}) == await secrets_of(api, event["id"])


async def test_what_was_never_given_cannot_stay(api):
    new = await api.post("/events", {"name": "a", "action": calling(client_secret={"secret": True})})
    event = await later(api)
    edited = await api.patch(f"/events/{event['id']}", {"action": calling(client_secret={"secret": True})})

    for answer in (new, edited):
        assert (422, "action.params.auth.client_secret") == (answer.status_code, answer.json()["field"])
        assert "the client secret was never given; give it" in answer.json()["detail"]


async def test_an_action_without_it_drops_it(api):
    event = await later(api, action=calling())
    await api.patch(f"/events/{event['id']}", {"webhook": "https://api.example.com/hook"})

    assert (None, None, {}) == await secrets_of(api, event["id"])


async def test_what_cannot_work_is_refused_by_its_field(api):
    answer = await api.post("/events", {"name": "a", "on_success": calling(token_url="http://10.0.0.1/")})

    assert (422, "on_success.params.auth.token_url") == (answer.status_code, answer.json()["field"])


async def test_without_a_key_it_is_refused_with_the_remedy(database, redis_url, redis_prefix, clock):
    config = msgspec.structs.replace(CONFIG, secrets=AtRest())
    async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as api:
        answer = await api.post("/events", {"name": "a", "action": calling()})

    assert (422, "action.params.auth.client_secret") == (answer.status_code, answer.json()["field"])
    assert "the operator sets secrets.keys" in answer.json()["detail"]


async def deliver(api: Api, clock, acts: actions.Performer) -> None:
    """As a dispatcher does."""
    stores = api.deps.changes.stores
    await stores.plan.mark_whole(range(stores.plan.shards), "test")
    dispatcher = make_dispatcher(stores, clock, acts, DEFAULTS._replace(vault=stores.vault))
    await dispatcher.tick()
    await settled(dispatcher)
    await dispatcher.drain()


async def test_a_dispatcher_fetches_a_token_and_replaces_one_that_is_not_taken(api, clock, receiver, issuer):
    receiver.answer = issuer.guard
    login = {"token_url": f"{issuer.url}/token", "client_id": issuer.ID, "client_secret": issuer.SECRET}
    event = await later(api, action=calling(receiver.url, **login), retry={"max_attempts": 3})
    client = Client(Egress(["127.0.0.0/8"]), clock)
    acts = actions.Performer(client)
    for _ in range(2):
        await api.post(f"/events/{event['id']}/run")
        await deliver(api, clock, acts)
    issuer.taken.clear()
    issuer.answer = lambda _: Answer(503)
    await api.post(f"/events/{event['id']}/run")
    await deliver(api, clock, acts)
    [waiting] = [
        row for row in await occurrences_of(api, event) if row["origin"] == "manual" and row["status"] == "scheduled"
    ]
    [attempt] = (await api.get(f"/occurrences/{waiting['id']}/attempts")).json()["data"]
    issuer.answer = issuer.issue
    clock.advance(60)
    await deliver(api, clock, acts)
    await client.close()

    done = [row for row in await occurrences_of(api, event) if row["status"] == "completed"]
    assert f"no access token from {issuer.url}: HTTP 503" == attempt["reason"]
    assert 3 == len(done)
    shown = [request.headers["authorization"] for request in receiver.requests]
    assert [f"Bearer {token}" for token in ("t0ken-0-", "t0ken-0-", "t0ken-0-", "t0ken-1-")] == shown
