"""Several processes of a role, started and ended as one; those of the API on one port."""

from __future__ import annotations

import os
import re
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.e2e.processes import QHRONOS, free_port, started, up
from tests.e2e.test_spine import UNLIMITED, until
from tests.fakes import Answer

HANDLED = re.compile(r'^http_server_request_duration_seconds_count\{.*route="/healthz".*\} (\S+)$', re.MULTILINE)


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@asynccontextmanager
async def workers(home, count, port, probes=None):
    """The API against the stores of a running `up`."""
    async with up(home, "--roles", "janitor") as running:
        env = await running.environment() | UNLIMITED | {"QHRONOS_LOGGING__FORMAT": "json"}
        env |= {"QHRONOS_HEALTH__PORT": str(probes)} if probes else {}
        command = (*QHRONOS, "api", "--port", str(port), "--workers", str(count))
        async with started(*command, env=env) as process:
            yield process


async def started_all(process, count):
    """Each says so once it is about to listen; that it does is asked of the port."""
    return sum("process.started" in line for line in process.lines) >= count


async def answered(port):
    """By a connection of its own, which the kernel gives to any of them."""
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code


async def is_closed(port):
    try:
        await answered(port)
    except httpx.ConnectError:
        return True
    return False


async def handled(port):
    async with httpx.AsyncClient() as client:
        found = HANDLED.search((await client.get(f"http://127.0.0.1:{port}/metrics")).text)
    return float(found[1]) if found else 0.0


async def test_workers_share_a_port_and_each_tells_its_own_metrics(tmp_path):
    port, probes = free_port(), free_port()
    async with workers(tmp_path / "data", 2, port, probes) as process:
        await until(lambda: started_all(process, 2), within=60)
        statuses = [await answered(port) for _ in range(40)]
        shares = [await handled(probes), await handled(probes + 1)]
        code = await process.end()

    assert [200] * 40 == statuses
    assert 40 == sum(shares)
    assert min(shares) > 0
    assert 0 == code
    assert 2 == sum("process.stopped" in line for line in process.lines)


async def test_a_worker_that_dies_is_replaced(tmp_path):
    port = free_port()
    async with workers(tmp_path / "data", 2, port) as process:
        await until(lambda: started_all(process, 2), within=60)
        first = children(process.pid)
        os.kill(min(first), signal.SIGKILL)
        await process.says("copy.died")
        await until(lambda: started_all(process, 3), within=60)
        second = children(process.pid)
        status = await answered(port)

    assert 200 == status
    assert (2, 1) == (len(second), len(first & second))


async def test_workers_end_with_whoever_started_them(tmp_path):
    port = free_port()
    async with workers(tmp_path / "data", 2, port) as process:
        await until(lambda: started_all(process, 2), within=60)
        process.kill(signal.SIGKILL)

        assert await until(lambda: is_closed(port))


async def test_workers_that_cannot_start_end_all_with_their_exit_code(tmp_path, database, redis_url):
    env = {"DATABASE_URL": database, "REDIS_URL": redis_url, "QHRONOS_AUTH__MASTER_TOKEN": "short"}
    async with started(*QHRONOS, "api", "--port", str(free_port()), "--workers", "2", env=env) as process:
        code = await process.ended()

    assert 1 == code
    assert any("auth.master_token is too easy to guess" in line for line in process.lines)


async def test_processes_of_a_dispatcher_share_the_work_and_a_lost_one_is_replaced(tmp_path, receiver):
    async with up(tmp_path / "data", "--roles", "api,expander,janitor") as running:
        env = await running.environment() | {"QHRONOS_LOGGING__FORMAT": "json"}
        async with started(*QHRONOS, "dispatcher", "--processes", "2", env=env) as process:
            await until(lambda: started_all(process, 2), within=60)
            os.kill(min(children(process.pid)), signal.SIGKILL)
            await until(lambda: started_all(process, 3), within=60)
            events = [{"name": f"n{number}", "webhook": receiver.url} for number in range(20)]
            status, _ = await running.call("POST", "/events/bulk", {"events": events})
            requests = await receiver.wait_for(20, within=30)
            code = await process.end()

    assert 200 == status
    assert 20 == len({request.headers["webhook-id"] for request in requests})
    assert 0 == code


async def test_one_ctrl_c_ends_the_processes_of_a_dispatcher_in_good_order(tmp_path, receiver):
    """The terminal tells all of them, and the first of them tells the others."""
    receiver.answer = lambda _: Answer(delay=4)
    async with up(tmp_path / "data", "--roles", "api,expander,janitor") as running:
        env = await running.environment() | {"QHRONOS_LOGGING__FORMAT": "json"}
        async with started(*QHRONOS, "dispatcher", "--processes", "2", env=env) as process:
            await until(lambda: started_all(process, 2), within=60)
            await running.call("POST", "/events", {"name": "slow", "webhook": receiver.url})
            await receiver.wait_for(1)
            os.killpg(process.pid, signal.SIGINT)
            code = await process.ended()

    drained = [line for line in process.lines if "dispatcher.drained" in line]
    assert 0 == code
    assert [] == [line for line in drained if '"handed_back":0' not in line]
    assert (2, 1) == (len(drained), len(receiver.requests))
