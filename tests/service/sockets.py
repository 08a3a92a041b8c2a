"""Gateways as they run, on real stores and ports, and real clients of theirs."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from qhronos import actions
from qhronos.api.app import create_app
from qhronos.api.door import Door
from qhronos.api.server import ApiServer
from qhronos.clock import SystemClock
from qhronos.config import Config
from qhronos.config import Gateway as Settings
from qhronos.dispatcher import Dispatcher
from qhronos.engine.deliver import Defaults
from qhronos.gateway.outlet import Pipe
from qhronos.gateway.service import Gateway, beside
from qhronos.gateway.wire import Wire
from qhronos.http import Client, Egress
from qhronos.service import Service, run
from tests.service.api import CONFIG, MASTER, Api, open_api, open_deps
from tests.service.engine import DEFAULTS, make_dispatcher

WITHIN = 15.0
USUAL = Settings()


async def until(claim: Callable[[], bool]) -> None:
    """Others have their turns until it is so."""
    async with asyncio.timeout(WITHIN):
        while not claim():  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)  # noqa: TID251 - which is not sleep


class House(NamedTuple):
    """A gateway, and what else it takes for something to happen."""

    api: Api
    gateway: Gateway
    dispatcher: Dispatcher
    url: str
    server: ApiServer


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """They tick until they are drained."""
    stop, clock = asyncio.Event(), SystemClock()
    tasks = [asyncio.create_task(run(service, clock, stop)) for service in services]
    try:
        yield
    finally:
        stop.set()
        for service in services:
            service.wake.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def open_gateway(
    api: Api, settings: Settings = USUAL, defaults: Defaults = DEFAULTS, port: int = 0
) -> AsyncIterator[tuple[Gateway, str, ApiServer]]:
    """One on a port of its own, as a process has it."""
    deps, stores = api.deps, api.deps.changes.stores
    door = Door(deps.keyring, deps.revocations, deps.clock)
    gateway = Gateway(stores, defaults, door, deps.clock, settings, deps.changes)
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    app = create_app(msgspec.structs.replace(deps, streams=gateway))
    server = ApiServer(beside(app, gateway), deps.config.server, listener, Wire, Pipe)
    serving = asyncio.create_task(server.serve())
    await server.ready.wait()
    try:
        async with running(gateway):
            yield gateway, f"ws://127.0.0.1:{listener.getsockname()[1]}/ws", server
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def open_house(
    database: str,
    redis_url: str,
    prefix: str,
    settings: Settings = USUAL,
    defaults: Defaults = DEFAULTS,
    config: Config = CONFIG,
) -> AsyncIterator[House]:
    clock = SystemClock()
    async with open_deps(database, redis_url, prefix, clock, config) as deps, open_api(deps) as api:
        stores = deps.changes.stores
        await stores.plan.mark_whole(range(stores.plan.shards), "test")
        http = Client(Egress(["127.0.0.0/8"]), clock)
        dispatcher = make_dispatcher(stores, clock, actions.Performer(http), defaults)
        async with open_gateway(api, settings, defaults) as (gateway, url, server), running(dispatcher):
            yield House(api, gateway, dispatcher, url, server)
        await http.close()


class Peer:
    """A real client of the gateway."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(WITHIN):
            return json.loads(await self.connection.recv())

    async def hear_event(self) -> dict[str, Any]:
        """The next event; what else comes is passed over."""
        while (frame := await self.hear())["type"] != "event":
            pass
        return frame

    async def closed(self) -> int | None:
        """The code with which it was closed; what still comes is passed over."""
        async with asyncio.timeout(WITHIN):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd else None


@asynccontextmanager
async def dial(url: str, **more: Any) -> AsyncIterator[Peer]:
    async with connect(url, compression=None, **more) as connection:
        yield Peer(connection)


@asynccontextmanager
async def as_client(
    url: str, name: str = "acme", token: str = MASTER, **more: Any
) -> AsyncIterator[tuple[Peer, dict[str, Any]]]:
    """Registered; with the answer."""
    async with dial(url) as peer:
        await peer.say(type="client-hook", client_name=name, token=token, **more)
        yield peer, await peer.hear()


@asynccontextmanager
async def as_listener(
    url: str, *tags: str, token: str = MASTER, **more: Any
) -> AsyncIterator[tuple[Peer, dict[str, Any]]]:
    async with dial(url) as peer:
        await peer.say(type="tag-listener", tags=tags, token=token, **more)
        yield peer, await peer.hear()


@asynccontextmanager
async def at_port(api: Api) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]]:
    """A gateway that starts and ends as it is told, always at the same port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stack = AsyncExitStack()

    async def start() -> None:
        await stack.enter_async_context(open_gateway(api, port=port))

    async with stack:
        yield f"ws://127.0.0.1:{port}/ws", start, stack.aclose
