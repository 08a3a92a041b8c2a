"""Gateways as processes of their own: killed, ended, and beside an API."""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import AsyncExitStack

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.e2e.processes import QHRONOS, free_port, started, up
from tests.e2e.test_spine import UNLIMITED
from tests.service.sockets import Peer, as_client, as_listener
from tests.service.sse import following

CLIENT = {"type": "websocket", "params": {"client_name": "desk"}}


async def gateway(stack, env):
    """Running, and its address."""
    port = free_port()
    process = await stack.enter_async_context(started(*QHRONOS, "gateway", "--port", str(port), env=env))
    await process.says("process.started")
    return process, f"ws://127.0.0.1:{port}/ws"


async def dialled(stack, url, **hello):
    """Registered, as soon as the port is open."""
    while True:
        try:
            connection = await stack.enter_async_context(connect(url, compression=None))
            break
        except ConnectionRefusedError:
            continue
    peer = Peer(connection)
    await peer.say(**hello)
    return peer, await peer.hear()


async def test_what_a_killed_gateway_had_sent_comes_again_from_another(tmp_path):
    async with (
        up(tmp_path / "data", "--roles", "api,expander,dispatcher,janitor", env=UNLIMITED) as running,
        AsyncExitStack() as stack,
    ):
        env = await running.environment() | {"QHRONOS_LOGGING__FORMAT": "json"}
        (first, one), (second, two) = [await gateway(stack, env) for _ in range(2)]
        hello = {"type": "client-hook", "client_name": "desk", "token": running.token}
        peer, _ = await dialled(stack, one, **hello)
        assert 201 == (await running.call("POST", "/events", {"name": "tea", "action": CLIENT}))[0]
        sent = await peer.hear()
        first.kill(signal.SIGKILL)
        await peer.closed()
        other, _ = await dialled(stack, two, **hello)
        again = await other.hear()
        await other.say(type="ack", seq=again["seq"])
        await other.hear()
        _, found = await running.call("GET", "/occurrences")
        second.kill(signal.SIGTERM)
        ending = await other.hear()
        closed = await other.closed()

        assert 0 == await second.ended()
        assert (1, True, sent["occurrence_id"]) == (again["seq"], again["redelivered"], again["occurrence_id"])
        assert [(sent["occurrence_id"], "completed")] == [(one["id"], one["status"]) for one in found["data"]]
        assert ("reconnect", 1012) == (ending["type"], closed)
        assert [] == await running.violations()


async def test_what_a_killed_gateway_had_lent_goes_to_another_worker_of_that_name(tmp_path):
    shared = {"type": "websocket", "params": {"client_name": "desk", "mode": "one_of", "ack_timeout": 1}}
    async with (
        up(tmp_path / "data", "--roles", "api,expander,dispatcher,janitor", env=UNLIMITED) as running,
        AsyncExitStack() as stack,
    ):
        env = await running.environment() | {"QHRONOS_LOGGING__FORMAT": "json"}
        (first, one), (_, two) = [await gateway(stack, env) for _ in range(2)]
        hello = {"type": "client-hook", "client_name": "desk", "token": running.token}
        peer, _ = await dialled(stack, one, **hello)
        assert 201 == (await running.call("POST", "/events", {"name": "tea", "action": shared}))[0]
        sent = await peer.hear()
        other, _ = await dialled(stack, two, **hello)
        first.kill(signal.SIGKILL)
        again = await other.hear()
        await other.say(type="ack", occurrence_id=again["occurrence_id"])
        await other.hear()
        _, found = await running.call("GET", "/occurrences")

        assert (sent["seq"], sent["occurrence_id"], True) == (
            again["seq"],
            again["occurrence_id"],
            again["redelivered"],
        )
        assert [("completed", 1)] == [(one["status"], one["attempt"]) for one in found["data"]]
        assert [] == await running.violations()


async def test_a_gateway_has_its_probes_beside_its_sockets(tmp_path):
    async with up(tmp_path / "data") as running, AsyncExitStack() as stack:
        _, url = await gateway(stack, await running.environment())
        await dialled(stack, url, type="tag-listener", tags=["tea"], token=running.token)
        async with httpx.AsyncClient(base_url=url.replace("ws:", "http:").removesuffix("/ws")) as client:
            answers = [(await client.get(path)).status_code for path in ("/healthz", "/metrics", "/events")]
            told = (await client.get("/metrics")).text

    assert [200, 200, 404] == answers
    assert 'qhronos_gateway_connections{type="tag-listener"} 1.0' in told


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else says what another process may open")
async def test_a_gateway_may_open_as_many_sockets_as_the_machine_lets_it(tmp_path):
    async with up(tmp_path / "data") as running:
        few = ("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh", *QHRONOS, "gateway", "--port", str(free_port()))
        async with started(*few, env=await running.environment()) as process:
            await process.says("process.started")
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)

    assert soft == hard


async def test_streams_are_served_by_gateways_and_end_with_them_in_good_order(tmp_path):
    """Who tells is another process than who is read from."""
    async with (
        up(tmp_path / "data", "--roles", "api,expander,dispatcher,janitor", env=UNLIMITED) as running,
        AsyncExitStack() as stack,
    ):
        process, url = await gateway(stack, await running.environment())
        status, problem = await running.call("GET", "/events/stream")
        await dialled(stack, url, type="subscribe", topics=["events"], token=running.token)  # the port is open
        reader, _ = await stack.enter_async_context(following(url, token=running.token))
        await running.call("POST", "/events", {"name": "tea", "action": CLIENT})
        told = [(piece.name, piece.data["kind"]) for piece in [await reader.hear(), await reader.hear()]]
        process.kill(signal.SIGTERM)
        last = [piece.name for piece in await reader.ended() if piece.name]

        assert 0 == await process.ended()
    assert (404, True) == (status, "a gateway does" in problem["detail"])
    assert [("change", "created"), ("event", "due")] == told
    assert ["reconnect"] == last


async def test_up_serves_sockets_on_the_port_of_the_api(tmp_path):
    async with up(tmp_path / "data", env=UNLIMITED) as running:
        url = running.url.replace("http:", "ws:") + "/ws"
        async with (
            as_client(url, "desk", running.token) as (client, _),
            as_listener(url, "tea", token=running.token) as (listener, _),
        ):
            await running.call("POST", "/events", {"name": "tea", "tags": ["tea"], "action": CLIENT})
            told, heard = await client.hear(), await listener.hear()

    assert told["occurrence_id"] == heard["occurrence_id"]
