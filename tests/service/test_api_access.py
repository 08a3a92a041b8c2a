"""Every route × every kind of token, and what a scope hides."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from litestar.routes import HTTPRoute

from qhronos.api import app as api_app
from qhronos.api.access import access_of
from qhronos.api.auth import GRANTABLE, Access, Grant, Keyring
from qhronos.config import Auth
from qhronos.core.occurrence import Identity, occurrence_id
from qhronos.errors import ConfigError
from tests.service.api import MASTER

READ, WRITE, ADMIN = Access.READ, Access.WRITE, Access.ADMIN

ROUTES = {
    "GET /events": READ,
    "POST /events": WRITE,
    "POST /events/bulk": WRITE,
    "POST /events/import": WRITE,
    "GET /events/export": READ,
    "GET /events/stream": READ,
    "GET /feeds": READ,
    "POST /feeds": WRITE,
    "DELETE /feeds/{feed_id}": WRITE,
    "GET /calendar/{feed_file}": Access.PUBLIC,
    "GET /events/{event_id}": READ,
    "PUT /events/{event_id}": WRITE,
    "PATCH /events/{event_id}": WRITE,
    "DELETE /events/{event_id}": WRITE,
    "POST /events/{event_id}/pause": WRITE,
    "POST /events/{event_id}/resume": WRITE,
    "POST /events/{event_id}/run": WRITE,
    "POST /events/{event_id}/skip": WRITE,
    "POST /events/{event_id}/backfill": WRITE,
    "POST /events/{event_id}/override": WRITE,
    "POST /events/{event_id}/split": WRITE,
    "POST /events/{event_id}/diff": READ,
    "GET /events/{event_id}/occurrences": READ,
    "GET /events/{event_id}/ledger": READ,
    "GET /occurrences": READ,
    "GET /occurrences/{occurrence_id}": READ,
    "PATCH /occurrences/{occurrence_id}": WRITE,
    "GET /occurrences/{occurrence_id}/attempts": READ,
    "POST /occurrences/{occurrence_id}/replay": WRITE,
    "POST /occurrences/{occurrence_id}/cancel": WRITE,
    "POST /occurrences/replay": WRITE,
    "POST /occurrences/purge": WRITE,
    "POST /recurrences/preview": READ,
    "POST /recurrences/explain": READ,
    "GET /timezones": READ,
    "GET /calendars": READ,
    "GET /calendars/{calendar}": READ,
    "PUT /calendars/{calendar}": ADMIN,
    "DELETE /calendars/{calendar}": ADMIN,
    "GET /tzdata": READ,
    "GET /tzdata/changes": READ,
    "POST /tzdata/adopt": ADMIN,
    "GET /tokens": ADMIN,
    "POST /tokens": Access.MASTER,
    "DELETE /tokens/{token_id}": ADMIN,
    "GET /audit": ADMIN,
    "GET /stats": READ,
    "GET /health": Access.PUBLIC,
    "GET /healthz": Access.PUBLIC,
    "GET /readyz": Access.PUBLIC,
    "GET /metrics": Access.PUBLIC,
    "GET /status": Access.PUBLIC,
    "GET /schema": Access.PUBLIC,
    "GET /schema/openapi.json": Access.PUBLIC,
    "GET /schema/docs.css": Access.PUBLIC,
    "GET /schema/docs.js": Access.PUBLIC,
    "GET /schema/docs.svg": Access.PUBLIC,
}
NEEDING_A_TOKEN = [route for route, access in ROUTES.items() if access is not Access.PUBLIC]
OF_ONE_EVENT = [route for route in ROUTES if "{event_id}" in route or "{occurrence_id}" in route]
# What makes the routes that take a body go beyond reading it.
BODIES = {
    "PUT /events/{event_id}": {"name": "changed"},
    "PATCH /events/{event_id}": {"name": "changed"},
    "POST /events/{event_id}/skip": {"scheduled_at": "2026-03-01T13:00:00Z"},
    "POST /events/{event_id}/backfill": {"since": "2026-02-28T13:00:00Z", "until": "2026-02-28T14:00:00Z"},
    "POST /events/{event_id}/override": {"scheduled_at": "2026-03-01T13:00:00Z", "metadata": {}},
    "POST /events/{event_id}/split": {"scheduled_at": "2026-03-01T13:00:00Z"},
    "POST /events/{event_id}/diff": {},
    "PATCH /occurrences/{occurrence_id}": {"metadata": {}},
}
EVENT = {"name": "bill", "webhook": "https://example.com/hook", "start_time": "2026-03-01T12:30:00Z"}


def declared(app) -> Iterator[tuple[str, Access]]:
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]:
            for method in handler.http_methods:
                if method != "OPTIONS":
                    yield f"{method} {route.path_format}", access_of(handler)


async def call(api, route: str, **more):
    method, path = route.split()
    for name in ("event_id", "token_id", "occurrence_id", "feed_id", "feed_file", "calendar"):
        unknown = Identity(uuid.uuid4(), api.deps.clock.now())
        path = path.replace(f"{{{name}}}", more.pop(name, None) or _unknown(name, unknown))
    if route in BODIES:
        more["json"] = BODIES[route]
    return await api.send(method, path, **more)


def _unknown(name: str, identity: Identity) -> str:
    return occurrence_id(identity) if name == "occurrence_id" else str(identity.event_id)


async def test_every_route_declares_the_access_that_the_table_says(api):
    assert ROUTES == dict(declared(api.app))


async def test_a_route_without_a_declaration_stops_the_start(deps, monkeypatch):
    from litestar import get  # noqa: PLC0415 - a route of this test alone

    @get("/forgotten")
    async def forgotten() -> None: ...

    monkeypatch.setattr(api_app, "HANDLERS", [forgotten])

    with pytest.raises(ConfigError, match=r"/forgotten.*does not declare its access"):
        api_app.create_app(deps)


@pytest.mark.parametrize("access", [*GRANTABLE, Access.MASTER])
async def test_each_kind_of_token_opens_what_its_rank_covers(api, access):
    token = MASTER if access is Access.MASTER else api.token(access, "billing")
    statuses = {route: (await call(api, route, token=token)).status_code for route in ROUTES}

    assert {route: access.covers(required) for route, required in ROUTES.items()} == {
        route: status not in (401, 403) for route, status in statuses.items()
    }
    assert not [route for route, status in statuses.items() if status >= 500]


async def revoked(api) -> str:
    minted = (await api.post("/tokens", {"sub": "ada", "access": "admin", "expires_in": 60})).json()
    await api.delete(f"/tokens/{minted['id']}")
    return minted["token"]


async def foreign(api) -> str:
    keyring = Keyring.from_config(Auth(master_token=MASTER, jwt_secret="the-secret-of-another-installation"))
    now = api.deps.clock.now()
    return keyring.mint(Grant(uuid.uuid4(), "ada", ADMIN, (), now, now + timedelta(hours=1)))


async def expired(api) -> str:
    return api.token(ADMIN, lifetime=-3600)


async def junk(_api) -> str:
    return "junk"


async def missing(_api) -> None:
    return None


@pytest.mark.parametrize("kind", [missing, junk, expired, foreign, revoked])
async def test_no_route_takes_a_token_that_does_not_hold(api, clock, kind):
    """The first Qhronos took any text for a token."""
    token = await kind(api)
    answers = {}
    for route in NEEDING_A_TOKEN:
        answers[route] = await call(api, route, token=token)
        clock.advance(2)  # or guessing is slowed down

    assert dict.fromkeys(NEEDING_A_TOKEN, (401, "Bearer")) == {
        route: (answer.status_code, answer.headers.get("WWW-Authenticate")) for route, answer in answers.items()
    }


async def test_what_is_refused_says_which_right_is_missing(api):
    reader = api.token(READ, "billing")

    assert "insufficient access level" == (await api.post("/events", EVENT, token=reader)).json()["error"]
    assert "Master token required" == (await api.post("/tokens", {}, token=api.token(ADMIN))).json()["error"]


async def test_a_public_route_looks_at_no_token(api):
    assert 200 == (await api.get("/health", token="junk")).status_code


@pytest.fixture
async def billed(api):
    """An event of billing and its one occurrence."""
    event = (await api.post("/events", {**EVENT, "tags": ["billing", "user:ada"]})).json()
    occurrences = (await api.get(f"/events/{event['id']}/occurrences")).json()["data"]
    return {"event_id": event["id"], "occurrence_id": occurrences[0]["id"]}


async def test_an_event_outside_the_scope_is_not_there(api, billed):
    stranger = api.token(Access.READ_WRITE, "shipping")
    before = (await api.get(f"/events/{billed['event_id']}")).json()
    hidden, absent = {}, {}
    for route in OF_ONE_EVENT:
        ids = {name: given for name, given in billed.items() if f"{{{name}}}" in route}
        hidden[route] = await call(api, route, token=stranger, **ids)
        absent[route] = await call(api, route, token=stranger)

    assert dict.fromkeys(OF_ONE_EVENT, 404) == {route: answer.status_code for route, answer in hidden.items()}
    assert {route: answer.json()["detail"] for route, answer in absent.items()} == {
        route: answer.json()["detail"] for route, answer in hidden.items()
    }
    assert before == (await api.get(f"/events/{billed['event_id']}")).json()


@pytest.mark.parametrize("scope", ["billing", "user:ada"])
async def test_one_tag_in_common_is_enough(api, billed, scope):
    friend = api.token(Access.READ_WRITE, scope, "elsewhere")

    assert 200 == (await api.get(f"/events/{billed['event_id']}", token=friend)).status_code
    assert 200 == (await api.get(f"/occurrences/{billed['occurrence_id']}", token=friend)).status_code


async def test_lists_leave_out_what_the_scope_hides(api, billed):
    for path in ("/events", "/occurrences", "/events?tags=billing", "/occurrences?tags=billing"):
        seen = await api.get(path, token=api.token(READ, "billing"))
        hidden = await api.get(path, token=api.token(READ, "shipping"))

        assert (1, 0) == (len(seen.json()["data"]), len(hidden.json()["data"])), path


async def test_statistics_count_what_the_scope_shows(api, billed):
    seen = (await api.get("/stats", token=api.token(READ, "billing"))).json()
    hidden = (await api.get("/stats", token=api.token(READ, "shipping"))).json()

    assert (1, 1) == (seen["events"]["active"], seen["occurrences"]["scheduled"])
    assert (0, 0) == (hidden["events"]["active"], hidden["occurrences"]["scheduled"])
    assert seen["closed"] is None


async def test_nobody_writes_what_they_could_not_see(api):
    writer = api.token(Access.READ_WRITE, "billing")
    for tags in ([], ["shipping"]):
        response = await api.post("/events", {**EVENT, "tags": tags}, token=writer)

        assert 403 == response.status_code
        assert response.json()["error"].startswith("insufficient scope")

    assert 201 == (await api.post("/events", {**EVENT, "tags": ["shipping", "billing"]}, token=writer)).status_code


async def test_a_token_holds_for_its_lifetime_and_no_longer(api, clock):
    token = api.token(READ, "billing", lifetime=60)

    assert 200 == (await api.get("/stats", token=token)).status_code

    clock.advance(timedelta(seconds=91).total_seconds())

    assert "token has expired" == (await api.get("/stats", token=token)).json()["error"]
