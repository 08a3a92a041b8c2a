"""Pages in a real browser: what the first script of a user does, and what a page from elsewhere cannot do."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.browser import IS_REQUIRED, PROGRAM, WHY, browsing
from tests.e2e.processes import QHRONOS, free_port, started, up
from tests.e2e.test_spine import UNLIMITED
from tests.fakes import Answer, Receiver

pytestmark = pytest.mark.skipif(PROGRAM is None and not IS_REQUIRED, reason=WHY)

PAGE = (Path(__file__).parent / "sockets.html").read_bytes()
CLIENT = {"type": "websocket", "params": {"client_name": "desk"}}


@asynccontextmanager
async def served():
    """The page, at an origin of its own."""
    async with Receiver() as receiver:
        receiver.answer = lambda _: Answer(200, {"content-type": "text/html"}, PAGE)
        yield receiver.url


class Scene:
    """A browser at the page, and two gateways that it may speak to."""

    def __init__(self, running, tab, gateways):
        self.running = running
        self.tab = tab
        self.processes, self.urls = zip(*gateways, strict=True)

    async def follow(self, who, hello, heed="() => undefined"):
        hello = json.dumps({"token": self.running.token, **hello})
        await self.tab.run(f"follow({json.dumps(who)}, {json.dumps(self.urls)}, {hello}, {heed})")

    async def seen(self, who, claim):
        """The first that the page noted so."""
        return await self.tab.run(f"seen((one) => one.who === {json.dumps(who)} && ({claim}))")

    async def create(self, name):
        asked = {"name": name, "tags": ["tea"], "action": CLIENT}
        status, event = await self.running.call("POST", "/events", asked)
        assert 201 == status
        return event["id"]


@asynccontextmanager
async def scene(tmp_path, origin):
    """The gateways let in pages of that origin; the tab is not there yet."""
    async with AsyncExitStack() as stack:
        roles = ("--roles", "api,expander,dispatcher,janitor")
        running = await stack.enter_async_context(up(tmp_path / "data", *roles, env=UNLIMITED))
        env = await running.environment() | {"QHRONOS_GATEWAY__ORIGINS": origin}
        gateways = []
        for _ in range(2):
            port = free_port()
            process = await stack.enter_async_context(started(*QHRONOS, "gateway", "--port", str(port), env=env))
            await process.says("process.started")
            gateways.append((process, f"ws://127.0.0.1:{port}/ws"))
        tab = await stack.enter_async_context(browsing(tmp_path / "browser"))
        yield Scene(running, tab, gateways)


async def test_a_page_is_told_goes_on_at_another_gateway_and_acknowledges_there(tmp_path):
    async with served() as origin, scene(tmp_path, origin) as here:
        first, second = here.urls
        await here.tab.visit(origin)
        # It takes what it is told a second time: the first is lost with the gateway.
        await here.follow(
            "desk",
            {"type": "client-hook", "client_name": "desk"},
            "(frame) => frame.redelivered || frame.name === 'after' ? {type: 'ack', seq: frame.seq} : undefined",
        )
        await here.follow("listener", {"type": "tag-listener", "tags": ["tea"]})
        welcomes = [await here.seen(who, "one.frame?.type === 'ack'") for who in ("desk", "listener")]
        before = await here.create("before")
        told = await here.seen("desk", "one.frame?.name === 'before'")
        heard = await here.seen("listener", "one.frame?.name === 'before'")
        here.processes[0].kill(signal.SIGKILL)
        ends = [await here.seen(who, "one.code") for who in ("desk", "listener")]
        again = await here.seen("desk", "one.frame?.redelivered")
        await here.seen("listener", f"one.url === {json.dumps(second)} && one.frame?.type === 'ack'")
        await here.create("after")
        after = [await here.seen(who, "one.frame?.name === 'after'") for who in ("desk", "listener")]
        taken = await here.seen(
            "desk", f"one.frame?.message === 'acknowledged' && one.frame.seq === {after[0]['frame']['seq']}"
        )
        _, found = await here.running.call("GET", "/occurrences")
        violations = await here.running.violations()

    assert ["subscription registered"] * 2 == [one["frame"]["message"] for one in welcomes]
    assert [first, first] == [told["url"], heard["url"]]
    assert [before, before] == [told["frame"]["event_id"], heard["frame"]["event_id"]]
    assert [1006, 1006] == [one["code"] for one in ends]
    assert (second, told["frame"]["seq"], told["frame"]["occurrence_id"]) == (
        again["url"],
        again["frame"]["seq"],
        again["frame"]["occurrence_id"],
    )
    assert [second, second, second] == [one["url"] for one in (*after, taken)]
    assert {"completed"} == {one["status"] for one in found["data"]}
    assert [] == violations


async def test_a_page_from_elsewhere_is_not_let_in(tmp_path):
    async with served() as origin, served() as elsewhere, scene(tmp_path, origin) as here:
        await here.tab.visit(elsewhere)
        await here.follow("desk", {"type": "client-hook", "client_name": "desk"})
        refused = await here.seen("desk", "one.code")
        await here.seen("desk", f"one.url === {json.dumps(here.urls[1])} && one.code")
        foreign = await here.tab.run("log")
        await here.tab.visit(origin)
        await here.follow("desk", {"type": "client-hook", "client_name": "desk"})
        welcome = await here.seen("desk", "one.frame?.type === 'ack'")

    assert 1006 == refused["code"]
    assert not [one for one in foreign if "frame" in one]
    assert "subscription registered" == welcome["frame"]["message"]


async def test_a_page_that_is_replaced_does_not_fight(tmp_path):
    async with served() as origin, scene(tmp_path, origin) as here:
        await here.tab.visit(origin)
        hello = {"type": "client-hook", "client_name": "desk"}
        await here.follow("older", hello)
        await here.seen("older", "one.frame?.type === 'ack'")
        await here.follow("newer", hello)
        replaced = await here.seen("older", "one.code")
        await here.create("tea")
        told = await here.seen("newer", "one.frame?.name === 'tea'")
        noted = await here.tab.run("log.filter((one) => one.who === 'older').length")

    assert 4409 == replaced["code"]
    assert 1 == told["frame"]["seq"]
    assert 2 == noted
