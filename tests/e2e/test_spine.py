"""From the request over HTTP to the delivered webhook and back to the recorded attempt, in real processes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from standardwebhooks import Webhook

from qhronos.clock import SystemClock
from qhronos.wiring import ECHO_SECONDS
from tests.e2e.processes import QHRONOS, started, up

UNLIMITED = {"QHRONOS_RATE_LIMIT__ENABLED": "false"}
CALLERS = 64


def parse(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def until(check, within=20.0):
    """What `check` gives, once it gives something."""
    clock, never = SystemClock(), asyncio.Event()
    async with asyncio.timeout(within):
        while not (found := await check()):
            await clock.wait(never, 0.05)
    return found


async def a_while():
    """As long as it takes until another signal counts as a second one."""
    await SystemClock().wait(asyncio.Event(), ECHO_SECONDS + 0.2)


async def closed(running, event_id):
    _, page = await running.call("GET", f"/events/{event_id}/occurrences")
    return [one for one in page["data"] if one["status"] not in ("scheduled", "dispatched")]


async def test_an_event_arrives_at_its_instant_signed_and_is_recorded(tmp_path, receiver):
    async with up(tmp_path / "data") as running:
        due_at = SystemClock().now() + timedelta(seconds=2)
        body = {
            "name": "hello",
            "start_time": due_at.isoformat(),
            "webhook": receiver.url + "/hook",
            "hmac_secret": "a secret of its own",
            "metadata": {"n": 1},
            "tags": ["greeting"],
        }
        status, event = await running.call("POST", "/events", body)
        (request,) = await receiver.wait_for(1)
        (occurrence,) = await until(lambda: closed(running, event["id"]))
        _, attempts = await running.call("GET", f"/occurrences/{occurrence['id']}/attempts")
        _, after = await running.call("GET", f"/events/{event['id']}")

    payload = json.loads(request.body)
    assert 201 == status
    assert 0 <= (request.arrived_at - due_at).total_seconds() < 0.25  # 50 ms when idle; the suite shares the machine
    assert ["event_id", "occurrence_id", "name", "description", "scheduled_at", "attempt", "metadata", "tags"] == list(
        payload
    )
    assert (event["id"], occurrence["id"], 1) == (payload["event_id"], payload["occurrence_id"], payload["attempt"])
    assert due_at == parse(payload["scheduled_at"]) == parse(occurrence["scheduled_at"])
    legacy = hmac.new(b"a secret of its own", request.body, hashlib.sha256).hexdigest()
    assert legacy == request.headers["x-qhronos-signature"]
    Webhook(b"a secret of its own").verify(request.body, dict(request.headers))
    assert ("completed", 1, "once") == (occurrence["status"], occurrence["attempt"], occurrence["origin"])
    (attempt,) = attempts["data"]
    assert ("delivered", 200) == (attempt["outcome"], attempt["status_code"])
    assert "completed" == after["status"]


async def test_sigkill_of_everything_and_a_restart_lose_nothing(tmp_path, receiver):
    home = tmp_path / "data"
    async with up(home, env=UNLIMITED) as running:
        start = (SystemClock().now() + timedelta(seconds=4)).isoformat()
        event = {"name": "kept", "start_time": start, "webhook": receiver.url}
        ids = [(await running.call("POST", "/events", event))[1]["id"] for _ in range(20)]
        os.killpg(running.process.pid, signal.SIGKILL)
        await running.process.end()

    async with up(home) as running:
        requests = await receiver.wait_for(20, within=30)
        violations = await running.violations()

    assert [] == violations
    assert Counter(ids) == Counter(json.loads(request.body)["event_id"] for request in requests)


async def test_ctrl_c_ends_everything_in_good_order(tmp_path):
    async with up(tmp_path / "data") as running:
        code = await running.process.end(signal.SIGINT)

    assert 0 == code
    assert not [line for line in running.process.lines if "Traceback" in line]


async def test_a_second_signal_ends_the_waiting_for_what_is_under_way(tmp_path):
    async with silent_endpoint() as (url, asked), up(tmp_path / "data") as running:
        await running.call("POST", "/events", {"name": "slow", "webhook": url})
        await asyncio.wait_for(asked.wait(), 20)
        running.process.kill(signal.SIGTERM)
        await running.process.says("process.draining")
        await a_while()
        running.process.kill(signal.SIGTERM)
        began = SystemClock().monotonic()
        code = await running.process.ended()

    assert 0 == code
    assert SystemClock().monotonic() - began < 10  # of the 15 s that the request may take
    assert any("handed_back" in line and "dispatcher.drained" in line for line in running.process.lines)


@asynccontextmanager
async def silent_endpoint():
    """Takes a request and says nothing."""
    asked = asyncio.Event()

    async def listen(reader, writer):
        await reader.readline()
        asked.set()
        await reader.read()  # until the other side goes
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked


async def test_a_taken_port_ends_it_with_one_sentence(tmp_path, receiver):
    port = receiver.url.rsplit(":", 1)[1]
    async with started(*QHRONOS, "up", "--port", port, "--data-dir", str(tmp_path)) as process:
        sentence = await process.says("--port", within=20)
        code = await process.ended()

    assert code == 1
    assert [sentence] == process.lines


@pytest.mark.parametrize("count", [int(os.environ.get("QHRONOS_TEST_SPREAD", "1000"))])
async def test_events_of_many_callers_all_arrive_though_a_dispatcher_is_killed(tmp_path, receiver, count):
    """Two dispatchers join a running `up`; one of them is killed in the middle. QHRONOS_TEST_SPREAD=10000 is the full
    size: due over 20 s."""
    spread = timedelta(milliseconds=2) * count
    async with up(tmp_path / "data", "--roles", "api,expander,janitor", env=UNLIMITED) as running:
        joining = await running.environment()
        async with (
            started(*QHRONOS, "dispatcher", env=joining) as victim,
            started(*QHRONOS, "dispatcher", env=joining) as other,
        ):
            await victim.says("process.started")
            await other.says("process.started")
            first = SystemClock().now() + timedelta(seconds=3) + spread / 4
            numbers = iter(range(count))
            ids: set[str] = set()

            async def caller() -> None:
                for number in numbers:
                    due_at = first + spread * number / count
                    event = {"name": f"n{number}", "start_time": due_at.isoformat(), "webhook": receiver.url}
                    status, created = await running.call("POST", "/events", event)
                    assert status == 201
                    ids.add(created["id"])

            await asyncio.gather(*[caller() for _ in range(CALLERS)])
            await receiver.wait_for(count // 2, within=120)
            victim.kill()
            await until(lambda: arrived(receiver, count), within=120)
            await until(lambda: nothing_open(running), within=60)
            violations = await running.violations()

    assert [] == violations
    by_event = Counter(json.loads(request.body)["event_id"] for request in receiver.requests)
    occurrences = {(json.loads(r.body)["event_id"], r.headers["webhook-id"]) for r in receiver.requests}
    assert ids == set(by_event)
    assert count == len(occurrences)  # whatever came twice came under the same id
    early = [
        r
        for r in receiver.requests
        if r.arrived_at < parse(json.loads(r.body)["scheduled_at"]) - timedelta(milliseconds=50)
    ]
    assert [] == early


async def arrived(receiver, count):
    return len({request.headers["webhook-id"] for request in receiver.requests}) >= count


async def nothing_open(running):
    _, scheduled = await running.call("GET", "/occurrences?status=scheduled&status=dispatched&limit=1")
    return not scheduled["data"]
