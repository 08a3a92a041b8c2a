"""Events made and looked at over the API, for the tests of what changes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from qhronos.broadcast import Notice
from qhronos.clock import Clock, SystemClock
from qhronos.core.attempt import Delivery
from qhronos.core.vault import place_of
from qhronos.engine.deliver import Defaults
from qhronos.store import secrets
from tests.rows import rows
from tests.service.api import Api
from tests.service.engine import DEFAULTS, Noting, make_dispatcher, settled

HOOK = "https://example.com/hook"


class Anything:
    """Equal to everything."""

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANY = Anything()


async def create(api: Api, **said: Any) -> dict[str, Any]:
    answer = await api.post("/events", {"name": "tea", "webhook": HOOK} | said)
    assert 201 == answer.status_code, answer.text
    return answer.json()


async def event_of(api: Api, event: dict[str, Any]) -> dict[str, Any]:
    """The event as it stands now."""
    return (await api.get(f"/events/{event['id']}")).json()


def picked(event: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(event[name] for name in names)


async def occurrences_of(api: Api, event: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    return (await api.get(f"/occurrences?event_id={event['id']}&limit=200{query}")).json()["data"]


async def open_of(api: Api, event: dict[str, Any]) -> list[dict[str, Any]]:
    return await occurrences_of(api, event, "&status=scheduled,dispatched")


async def audit_of(api: Api, event: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Newest first."""
    found = await query(api, "SELECT action, actor, details FROM audit WHERE object = %s ORDER BY id DESC", event["id"])
    return [(action, actor, msgspec.json.decode(details)) for action, actor, details in found]


async def secrets_of(api: Api, event_id: str) -> tuple[str | None, str | None, dict[str, Any]]:
    """What signs, what signed before, and the headers, opened; those of callbacks under their names."""
    stores, row = api.deps.changes.stores, UUID(event_id)
    async with stores.database.connection() as conn:
        sealed = await secrets.get(conn, row)
    assert sealed.hmac_plain is None

    def opened(column: str, secret: bytes | None) -> str | None:
        return secret and stores.vault.open(secret, place_of("events", column, row))

    headers = msgspec.json.decode(opened("headers", sealed.headers_sealed) or "{}")
    told = headers.pop("action", {}) | headers
    return opened("hmac_secret", sealed.hmac_sealed), opened("hmac_secret", sealed.hmac_previous), told


@asynccontextmanager
async def heard_of(api: Api) -> AsyncIterator[asyncio.Queue[Notice]]:
    """What is broadcast meanwhile."""
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    subscribed = asyncio.Event()
    follower = asyncio.create_task(api.deps.broadcast.follow(SystemClock(), subscribed, heard.put_nowait))
    async with asyncio.timeout(15):
        await subscribed.wait()
        yield heard
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)


async def dispatch(api: Api, clock: Clock, defaults: Defaults = DEFAULTS) -> list[Delivery]:
    """What a dispatcher delivers now; all of it is taken."""
    stores = api.deps.changes.stores
    await stores.plan.mark_whole(range(stores.plan.shards), "test")
    noting = Noting()
    dispatcher = make_dispatcher(stores, clock, noting, defaults)
    await dispatcher.tick()
    await settled(dispatcher)
    await dispatcher.drain()
    return noting.deliveries


async def query(api: Api, text: str, *params: object) -> list[tuple[Any, ...]]:
    async with api.deps.database.connection() as conn:
        return await rows(conn, text, *params)


async def execute(api: Api, text: str, *params: object) -> None:
    """Plant something straight into the tables."""
    async with api.deps.database.connection() as conn:
        await conn.execute(text, params)
