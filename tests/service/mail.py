"""Occurrences handed to clients, for the tests of what becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qhronos import actions
from qhronos.clock import Clock
from qhronos.core.attempt import Outcome
from qhronos.dispatcher import Dispatcher
from qhronos.engine.deliver import Defaults
from qhronos.engine.outbox import Words
from qhronos.http import Client, Egress
from qhronos.store import Connection, outbox
from qhronos.store.outbox import Asking, Connected, Message, Sending
from tests.service.api import Api
from tests.service.engine import DEFAULTS, make_dispatcher, settled
from tests.service.events import create

ACTION = {"type": "websocket", "params": {"client_name": "acme"}}


def to_client(name: str = "acme", **params: Any) -> dict[str, Any]:
    return {"type": "websocket", "params": {"client_name": name, **params}}


async def create_for(
    api: Api, client: str = "acme", *, params: dict[str, Any] | None = None, **said: Any
) -> dict[str, Any]:
    """An event that tells a client, due at once."""
    return await create(api, **{"webhook": None, "action": to_client(client, **(params or {})), **said})


@asynccontextmanager
async def postal(api: Api, clock: Clock, defaults: Defaults = DEFAULTS) -> AsyncIterator[Dispatcher]:
    """A dispatcher that acts in earnest."""
    stores = api.deps.changes.stores
    await stores.plan.mark_whole(range(stores.plan.shards), "test")
    http = Client(Egress(["127.0.0.0/8"]), clock)
    dispatcher = make_dispatcher(stores, clock, actions.Performer(http), defaults)
    yield dispatcher
    await dispatcher.drain()
    await http.close()


async def post(dispatcher: Dispatcher) -> None:
    """Hand over what is due."""
    await dispatcher.tick()
    await settled(dispatcher)


async def pull(
    api: Api, name: str = "acme", *, after: int = 0, limit: int = 100, most_bytes: int = 1 << 20
) -> list[Sending]:
    """What a connection that is made now would be sent."""
    async with api.deps.database.connection() as conn:
        connected = await outbox.connect(conn, name, api.deps.clock.now())
        return await pull_as(conn, api, name, connected, after=after, limit=limit, most_bytes=most_bytes)


async def pull_as(
    conn: Connection,
    api: Api,
    name: str,
    connected: Connected,
    *,
    after: int = 0,
    limit: int = 100,
    most_bytes: int = 1 << 20,
) -> list[Sending]:
    """What that connection would be sent next."""
    asking = Asking(
        client=name,
        generation=connected.generation,
        shared=connected.shared,
        sent_before=connected.sent_seq,
        after=after,
    )
    return await outbox.pull(conn, asking, api.deps.clock.now(), limit=limit, most_bytes=most_bytes)


async def say(dispatcher: Dispatcher, message: Message, outcome: Outcome) -> bool:
    """The client's word; whether it counted."""
    heard: list[bool] = []
    Words(dispatcher.settler, DEFAULTS.retry, dispatcher._clock).say(message, outcome, heard.append)
    await dispatcher.settler.idle.wait()
    return heard[0]
