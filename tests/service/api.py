"""The API in the test's own event loop, over real stores."""

from __future__ import annotations

import asyncio
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from qhronos.api.app import create_app
from qhronos.api.auth import Access, Grant, Keyring
from qhronos.api.deps import Deps
from qhronos.api.readiness import Readiness
from qhronos.api.revocation import Revocations
from qhronos.broadcast import Broadcast
from qhronos.clock import Clock
from qhronos.config import AtRest, Auth, Config, RateLimit
from qhronos.core.ratelimit import limit_of
from qhronos.core.vault import Vault
from qhronos.engine.announce import Announcer
from qhronos.engine.change import Changes
from qhronos.engine.create import Creator
from qhronos.engine.replay import Replays
from qhronos.engine.stores import Stores
from qhronos.http import Client, Egress
from qhronos.plan import Plan
from qhronos.plan.ratelimit import Limiter
from qhronos.redis_link import connect
from qhronos.store import Database

MASTER = "master-token-of-the-tests-which-nobody-guesses"
KEYS = (b64encode(b"k" * 32).decode(),)
CONFIG = Config(
    secrets=AtRest(keys=KEYS),
    auth=Auth(master_token=MASTER, jwt_secret="jwt-secret-of-the-tests-which-nobody-guesses"),
    rate_limit=RateLimit(per_second=10_000, burst=10_000),
)


class Api:
    """Requests as a caller sends them; without `token` it is the master token's."""

    def __init__(self, app: Litestar, deps: Deps, client: httpx.AsyncClient) -> None:
        self.app = app
        self.deps = deps
        self.client = client

    def token(self, access: Access, *scope: str, sub: str = "tester", lifetime: float = 3600) -> str:
        now = self.deps.clock.now()
        return self.deps.keyring.mint(Grant(uuid.uuid4(), sub, access, scope, now, now + timedelta(seconds=lifetime)))

    async def send(self, method: str, path: str, *, token: str | None = MASTER, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.client.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.send("POST", path, **(with_body(json, more) if json is not None else more))

    async def put(self, path: str, json: Any, **more: Any) -> httpx.Response:
        return await self.send("PUT", path, **with_body(json, more))

    async def patch(self, path: str, json: Any, **more: Any) -> httpx.Response:
        return await self.send("PATCH", path, **with_body(json, more))

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("DELETE", path, **more)


def with_body(json: Any, more: dict[str, Any]) -> dict[str, Any]:
    """msgspec, because it writes times and UUIDs."""
    headers = {"Content-Type": "application/json", **more.get("headers", {})}
    return {"content": msgspec.json.encode(json), **more, "headers": headers}


@asynccontextmanager
async def open_deps(
    database_url: str, redis_url: str, prefix: str, clock: Clock, config: Config = CONFIG
) -> AsyncIterator[Deps]:
    database = Database(database_url, size=4)
    await database.open()
    redis = connect(redis_url)
    plan = Plan(redis, prefix, shards=4)
    broadcast = Broadcast(redis, prefix)
    stores = Stores(database, plan, broadcast, Announcer(broadcast, clock), Vault.read(config.secrets.keys))
    announcing = asyncio.create_task(stores.announcer.run())
    egress = Egress(config.http.egress_allow)
    http = Client(egress, clock)
    limit = limit_of(config.rate_limit.per_second, config.rate_limit.burst)
    try:
        yield Deps(
            config=config,
            clock=clock,
            database=database,
            plan=plan,
            broadcast=stores.broadcast,
            keyring=Keyring.from_config(config.auth),
            revocations=Revocations(database, clock),
            limiter=Limiter(redis, prefix, clock, limit),
            readiness=Readiness(database, plan, clock, claims=False),
            egress=egress,
            http=http,
            creator=Creator(stores, clock),
            changes=Changes(stores, clock, config.scheduler),
            replays=Replays(stores, clock),
            started_at=clock.monotonic(),
        )
    finally:
        announcing.cancel()
        await asyncio.wait([announcing])
        await http.close()
        await redis.aclose()
        await redis.connection_pool.disconnect()
        await database.close()


@asynccontextmanager
async def open_api(deps: Deps) -> AsyncIterator[Api]:
    app = create_app(deps)
    async with open_app(app) as client:
        yield Api(app, deps, client)


@asynccontextmanager
async def open_app(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://qhronos.test") as client:
        yield client
