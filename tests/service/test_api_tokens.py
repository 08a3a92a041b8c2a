from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from qhronos.api.auth import Access
from tests.service.api import open_api, open_deps

NEW = {"sub": "billing", "access": "read_write", "scope": ["billing", "user:ada"], "expires_in": "24h"}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def mint(api, **more) -> dict:
    response = await api.post("/tokens", {name: value for name, value in {**NEW, **more}.items() if value is not None})
    assert 200 == response.status_code, response.text
    return response.json()


async def test_a_token_is_minted_as_the_first_qhronos_answered(api):
    minted = await mint(api)

    assert {
        "id": minted["id"],
        "token": minted["token"],
        "type": "jwt",
        "sub": "billing",
        "access": "read_write",
        "scope": ["billing", "user:ada"],
        "issued_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-02T12:00:00Z",
    } == minted


async def test_a_minted_token_opens_the_door(api):
    minted = await mint(api)

    assert 200 == (await api.get("/stats", token=minted["token"])).status_code


async def test_a_minted_token_says_what_its_answer_says(api):
    minted = await mint(api)
    claims = jwt.decode(minted["token"], options={"verify_signature": False})

    assert {
        "iss": "qhronos",
        "aud": "qhronos",
        "sub": "billing",
        "jti": minted["id"],
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(days=1)).timestamp()),
        "access": "read_write",
        "scope": ["billing", "user:ada"],
    } == claims


async def test_the_end_may_be_an_instant(api):
    minted = await mint(api, expires_in=None, expires_at="2026-03-01T14:00:00.5+01:00")

    assert "2026-03-01T13:00:00Z" == minted["expires_at"]


async def test_an_admin_needs_no_scope_and_repeated_tags_are_one(api):
    assert [] == (await mint(api, access="admin", scope=[]))["scope"]
    assert ["a", "b"] == (await mint(api, scope=["a", "b", "a"]))["scope"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "master"}, "sub"),
        ({"access": None}, "access"),
        ({"access": "master"}, "access"),
        ({"access": "everything"}, "access"),
        ({"scope": []}, "scope"),
        ({"scope": [""]}, "scope[0]"),
        ({"scope": "billing"}, "scope"),
        ({"type": "api_key"}, "type"),
        ({"expires_in": None}, "expires_at"),
        ({"expires_at": "2026-03-02T12:00:00Z"}, "expires_at"),
        ({"expires_in": None, "expires_at": "2026-03-02T12:00:00"}, "expires_at"),
        ({"expires_in": None, "expires_at": "2026-03-01T12:00:00Z"}, "expires_at"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -60}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": "366d"}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"expires_in": None, "expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused_by_field(api, change, field):
    asked = {name: value for name, value in {**NEW, **change}.items() if value is not None}
    response = await api.post("/tokens", asked)

    assert (422, field) == (response.status_code, response.json()["field"])


async def test_tokens_are_listed_newest_first_and_never_shown_again(api, clock):
    minted = []
    for number in range(5):
        clock.advance(1)
        minted.append(await mint(api, sub=f"caller-{number}"))
    first = (await api.get("/tokens?limit=3")).json()
    second = (await api.get(f"/tokens?limit=3&cursor={first['pagination']['next_cursor']}")).json()

    assert [token["id"] for token in reversed(minted)] == [token["id"] for token in first["data"] + second["data"]]
    assert second["pagination"]["next_cursor"] is None
    assert {"id", "sub", "access", "scope", "issued_at", "expires_at", "revoked_at"} == set(first["data"][0])


async def test_a_revoked_token_is_refused_here_at_once(api):
    minted = await mint(api)
    await api.get("/stats", token=minted["token"])

    assert 204 == (await api.delete(f"/tokens/{minted['id']}")).status_code
    assert "invalid token" == (await api.get("/stats", token=minted["token"])).json()["error"]
    assert "2026-03-01T12:00:00Z" == (await api.get("/tokens")).json()["data"][0]["revoked_at"]


async def test_a_revoked_token_is_refused_elsewhere_within_seconds(api, database, redis_url, redis_prefix, clock):
    minted = await mint(api)
    async with open_deps(database, redis_url, redis_prefix, clock) as deps, open_api(deps) as elsewhere:
        assert 200 == (await elsewhere.get("/stats", token=minted["token"])).status_code

        await api.delete(f"/tokens/{minted['id']}")
        clock.advance(5.1)

        assert 401 == (await elsewhere.get("/stats", token=minted["token"])).status_code


async def test_revoking_twice_changes_nothing_and_an_unknown_token_is_not_found(api, clock):
    minted = await mint(api)
    await api.delete(f"/tokens/{minted['id']}")
    clock.advance(60)

    assert 204 == (await api.delete(f"/tokens/{minted['id']}")).status_code
    assert "2026-03-01T12:00:00Z" == (await api.get("/tokens")).json()["data"][0]["revoked_at"]
    assert [404, 404] == [(await api.delete(f"/tokens/{other}")).status_code for other in (uuid.uuid4(), "junk")]


async def test_a_token_is_revoked_although_redis_is_away(database, clock):
    async with open_deps(database, "redis://127.0.0.1:1/0", "x", clock) as deps, open_api(deps) as api:
        minted = await mint(api)

        assert 204 == (await api.delete(f"/tokens/{minted['id']}")).status_code
        assert 401 == (await api.get("/stats", token=minted["token"])).status_code


async def test_every_change_is_audited_with_who_and_what(api):
    minted = await mint(api)
    admin = (await mint(api, sub="root", access="admin", scope=[]))["token"]
    await api.delete(f"/tokens/{minted['id']}", token=admin, headers={"X-Request-ID": "r-7"})
    changes = (await api.get("/audit")).json()["data"]

    assert ["token.revoked", "token.created", "token.created"] == [change["action"] for change in changes]
    assert ("root", "r-7", minted["id"]) == (changes[0]["actor"], changes[0]["request_id"], changes[0]["object"])
    assert changes[0]["token_id"] is not None
    assert ("master", None) == (changes[2]["actor"], changes[2]["token_id"])
    assert {"sub": "billing", "access": "read_write", "scope": ["billing", "user:ada"]} == {
        name: value for name, value in changes[2]["details"].items() if name != "expires_at"
    }
    assert minted["token"] not in str(changes)


async def test_a_change_that_cannot_be_audited_does_not_happen(api):
    async with api.deps.database.connection() as conn:
        await conn.execute("ALTER TABLE audit ADD CONSTRAINT full_up CHECK (false) NOT VALID")

    assert 500 == (await api.post("/tokens", NEW)).status_code
    assert [] == (await api.get("/tokens")).json()["data"]


async def test_the_audit_is_filtered_and_paged(api, clock):
    ids = []
    for _ in range(4):
        ids.append((await mint(api))["id"])
        clock.advance(60)
    await api.delete(f"/tokens/{ids[0]}", token=api.token(Access.ADMIN, sub="root"))

    async def objects(query: str) -> list[str]:
        return [change["object"] for change in (await api.get(f"/audit?{query}")).json()["data"]]

    assert [ids[0]] == await objects("actor=root")
    assert [ids[0]] == await objects("action=token.revoked")
    assert [ids[0], ids[0]] == await objects(f"object={ids[0]}")
    assert [ids[2], ids[1]] == await objects("since=2026-03-01T12:01:00Z&until=2026-03-01T12:03:00Z")
    assert [] == await objects("actor=nobody")

    page = (await api.get("/audit?limit=3")).json()
    assert [ids[0], ids[3], ids[2]] == [change["object"] for change in page["data"]]
    assert [ids[1], ids[0]] == await objects(f"limit=3&cursor={page['pagination']['next_cursor']}")


async def test_a_cursor_from_elsewhere_is_refused(api):
    for path in ("/audit", "/tokens"):
        response = await api.get(f"{path}?cursor=bm90IG91cnM")

        assert (400, "cursor") == (response.status_code, response.json()["field"])
