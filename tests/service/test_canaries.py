"""Secrets are planted, sent, and sent back by endpoints that mean no good. Then everything that is kept is searched."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import msgspec
import pytest
import redis
from psycopg import sql
from structlog.testing import capture_logs

from qhronos import actions
from qhronos.actions.base import Act, Acts
from qhronos.clock import SystemClock
from qhronos.config import Archival, AtRest, Hmac, Http, Retention
from qhronos.core.attempt import Delivery, Performed
from qhronos.core.vault import Vault
from qhronos.http import Client, Egress
from qhronos.janitor import Janitor
from tests.contract.servers import Endpoint, says
from tests.fakes import Answer
from tests.service.api import CONFIG, KEYS, MASTER, Api, open_api, open_deps
from tests.service.engine import DEFAULTS, make_dispatcher, settled
from tests.service.events import create

FIRST = "whsec_" + base64.b64encode(b"canary-of-the-first-signing-key!").decode()
SECOND = 'canary "of" the/second+signing key'
HEADER = "Bearer canary-of-a-header/+="
PASSWORD = "canary-of-a-password"
BASIC = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
COOKIE = "session=canary-of-a-callback"
CLIENT = "canary-of-a-client-secret/+="
ACCESS = "canary-of-an-access-token"
DEFAULT = "canary-of-the-default-secret"
CONFIGURED = msgspec.structs.replace(
    CONFIG,
    http=Http(egress_allow=("127.0.0.0/8",)),
    hmac=Hmac(default_secret=DEFAULT),
    secrets=AtRest(keys=KEYS),
)
TOKEN = {"sub": "canary", "access": "read", "scope": ["a"], "expires_in": "24h"}
SENT = (FIRST, SECOND, HEADER, BASIC, COOKIE, DEFAULT)  # what an endpoint could send back
HELD = (MASTER, CONFIG.auth.jwt_secret, *KEYS)


def spellings(secret: str) -> set[str]:
    """As it may stand in a dump."""
    raw = secret.removeprefix("whsec_")
    told = {raw, *raw.split(" ")} if raw != SECOND else {raw}
    told |= {PASSWORD} if secret == BASIC else set()
    return {
        form
        for each in told
        if len(each) > 6
        for form in (
            each,
            each.encode().hex(),
            base64.b64encode(each.encode()).decode().rstrip("="),
            quote(each, safe=""),
            quote_plus(each),
            json.dumps(each)[1:-1],
        )
    }


def found_in(text: str, secrets: tuple[str | None, ...]) -> list[str]:
    return sorted({form for secret in secrets if secret for form in spellings(secret) if form in text})


@pytest.fixture
async def api(database, redis_url, redis_prefix, clock) -> AsyncIterator[Api]:
    async with open_deps(database, redis_url, redis_prefix, clock, CONFIGURED) as deps, open_api(deps) as api:
        yield api


class Crashing(NamedTuple):
    """As the dispatcher performs; what is asked to crash does so with all it knows."""

    act: Act
    delivery: Delivery
    type: str = "crashing"
    place: None = None

    async def perform(self, now: datetime) -> Performed:
        outcome = await self.act.perform(now)
        if self.delivery.name == "crash":
            told = self.delivery
            raise RuntimeError(f"{told} {told.secrets} {dict(told.header_secrets)}")
        return outcome


class CrashingActs:
    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self.capacity = acts.capacity

    def prepare(self, stored: msgspec.Raw, delivery: Delivery) -> Act:
        return Crashing(self._acts.prepare(stored, delivery), delivery)


@asynccontextmanager
async def performing() -> AsyncIterator[Acts]:
    client = Client(Egress(["127.0.0.0/8"]), SystemClock())
    yield CrashingActs(actions.Performer(client))
    await client.close()


def echo(status: int):
    """All secrets that it may know in the body, in every spelling, and in headers; and a token for client credentials."""
    known = {"/no-token": (*SENT, CLIENT), "/with-token": (*SENT, CLIENT, ACCESS)}

    def answer(request) -> Answer:
        if request.path == "/token":
            return Answer(200, {}, json.dumps({"access_token": ACCESS, "token_type": "Bearer"}).encode())
        sent = known.get(request.path, SENT)
        body = json.dumps([[secret, base64.b64encode(secret.encode()).decode(), quote(secret)] for secret in sent])
        headers = {"x-echo": HEADER, "retry-after": PASSWORD, "set-cookie": f"a={quote(SECOND)}"}
        told = json.dumps(dict(request.headers)) if len(request.body) % 2 else ""
        return Answer(status, headers, (body + told + request.body.decode()).encode())

    return answer


def authorised(token_url: str) -> dict[str, object]:
    auth = {"type": "oauth2", "token_url": token_url, "client_id": "canary", "client_secret": CLIENT, "style": "post"}
    return {"auth": auth, "headers": {"X-First": {"secret": HEADER}, "X-Other": {"secret": BASIC}}}


async def plant(api: Api, name: str, url: str, **more: object) -> None:
    headers = {"Authorization": {"secret": HEADER}, "X-Other": {"secret": BASIC}}
    action = {"type": "webhook", "params": {"url": url, "headers": headers, **more}}
    # A callback knows nothing of the token, which is no secret of the event; so it goes where nobody was shown it.
    callback = {
        "type": "webhook",
        "params": {"url": url.removesuffix("/with-token"), "headers": {"Cookie": {"secret": COOKIE}}},
    }
    said = {"on_success": callback, "on_failure": callback, "start_time": "2027-01-01T00:00:00Z"}
    event = await create(api, name=name, action=action, hmac_secret=FIRST, **said)
    path = f"/events/{event['id']}"
    assert 200 == (await api.patch(path, {"hmac_secret": SECOND})).status_code
    kept = await api.patch(path, {"action": event["action"], "description": "edited"})
    assert (200, event["action"]) == (kept.status_code, kept.json()["action"])
    await api.post(f"{path}/run")


async def deliver(api: Api, clock) -> None:
    stores = api.deps.changes.stores
    await stores.plan.mark_whole(range(stores.plan.shards), "test")
    async with performing() as acts:
        for _ in range(2):  # the second time finds what the first left to be tried again
            dispatcher = make_dispatcher(stores, clock, acts, DEFAULTS._replace(secret=DEFAULT, vault=stores.vault))
            await dispatcher.tick()
            await settled(dispatcher)
            await dispatcher.drain()
            clock.advance(60)


async def tables(api: Api) -> str:
    """Every row of every table, as text; bytes are in hexadecimal."""
    async with api.deps.database.connection() as conn:
        listed = await conn.execute(
            "SELECT c.relname FROM pg_class AS c WHERE c.relkind IN ('r', 'm') AND pg_table_is_visible(c.oid)"
            " AND c.relnamespace <> 'pg_catalog'::regnamespace"
        )
        text = ""
        for (name,) in await listed.fetchall():
            rows = await conn.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(name)))
            text += f"\n{name}: " + "\n".join(row for (row,) in await rows.fetchall())
        return text


def plan(url: str, prefix: str) -> str:
    """Every key with what it holds."""
    readers = {
        b"string": lambda client, key: client.get(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
        b"set": lambda client, key: client.smembers(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
    }
    with redis.from_url(url) as client:
        keys = list(client.scan_iter(f"{prefix}*"))
        return "\n".join(f"{key} {readers[client.type(key)](client, key)}" for key in keys)


async def reads(api: Api) -> str:
    paths = ["/events", "/events/export", "/occurrences", "/audit", "/status", "/stats", "/tokens", "/metrics"]
    events = (await api.get("/events")).json()["data"]
    occurrences = (await api.get("/occurrences")).json()["data"]
    paths += [f"/events/{event['id']}" for event in events]
    paths += [f"/occurrences/{one['id']}{more}" for one in occurrences for more in ("", "/attempts")]
    answers = [await api.get(path) for path in paths]
    assert [] == [answer.url for answer in answers if answer.status_code != 200]
    return "\n".join(answer.text for answer in answers)


async def test_no_planted_secret_is_found_anywhere(api, clock, receiver, redis_url, redis_prefix, caplog):
    malformed = Endpoint(says(f"HTTP/1.1 200 OK\r\n{HEADER}\r\n\r\n".encode()))
    async with Endpoint(says(b"")) as gone:
        pass
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with malformed:
            token = (await api.post("/tokens", TOKEN)).json()["token"]
            for status in (200, 302, 404, 503):
                receiver.answer = echo(status)
                await plant(api, f"status {status}", receiver.url)
                await plant(api, f"callback {status}", receiver.url, envelope="callback")
                await plant(api, f"token {status}", f"{receiver.url}/with-token", **authorised(f"{receiver.url}/token"))
                await plant(api, f"none {status}", receiver.url, **authorised(f"{receiver.url}/no-token"))
                await deliver(api, clock)
            await plant(api, "crash", receiver.url)
            await plant(api, "malformed", malformed.url)
            await plant(api, "unreachable", gone.url)
            await deliver(api, clock)
        await api.patch("/events/00000000-0000-0000-0000-000000000000", {"hmac_secret": FIRST})
        await api.post("/events", {"name": "a", "action": {"type": "webhook", "params": {"headers": {"a": HEADER}}}})
        new_key = Vault([b"x" * 32, *(base64.b64decode(key) for key in KEYS)])
        await Janitor(api.deps.changes.stores._replace(vault=new_key), clock, Retention(), Archival()).tick()

        places = {
            "tables": await tables(api),
            "redis": plan(redis_url, redis_prefix),
            "answers": await reads(api),
            "logs": repr(logs) + caplog.text,
        }

    searched = (*SENT, CLIENT, ACCESS, *HELD, token)
    assert {"tables": [], "redis": [], "answers": [], "logs": []} == {
        name: found_in(text, searched) for name, text in places.items()
    }


async def test_the_search_would_find_them(api, clock, receiver):
    """They are sent, they come back, they are masked, and what is plain in a table is seen."""
    receiver.answer = echo(404)
    await plant(api, "canary", receiver.url)
    await deliver(api, clock)
    request = receiver.requests[0]
    await plant(api, "token", f"{receiver.url}/with-token", **authorised(f"{receiver.url}/token"))
    await deliver(api, clock)
    assert f"Bearer {ACCESS}" == receiver.requests[-2].headers["authorization"]

    assert COOKIE == receiver.requests[-1].headers["cookie"]
    assert (HEADER, BASIC) == (request.headers["authorization"], request.headers["x-other"])
    assert found_in(receiver.answer(request).body.decode(), SENT)
    async with api.deps.database.connection() as conn:
        [(excerpt,), *_] = await (await conn.execute("SELECT excerpt FROM attempts")).fetchall()
        await conn.execute("UPDATE events SET description = %s", (HEADER,))
    assert "[secret]" in excerpt
    assert found_in(await tables(api), SENT)
