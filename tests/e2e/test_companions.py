"""The further dispatchers of `qhronos up`: all deliver, the dead are replaced, none outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from qhronos.clock import SystemClock
from tests.e2e.processes import up
from tests.e2e.test_spine import a_while, silent_endpoint, until
from tests.fakes import Answer

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="which processes there are is read in /proc")
TWO = {"QHRONOS_SCHEDULER__DISPATCHER_PROCESSES": "2", "QHRONOS_LOGGING__FORMAT": "json"}


def companions(pid: int) -> set[int]:
    """The dispatchers among the children of each of its threads."""
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return {int(child) for child in children.split() if "dispatcher" in arguments(child)}


def arguments(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def is_gone(pid: int) -> bool:
    """A zombie that nobody has reaped yet runs no more either."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def works(process, count):
    """Each dispatcher says so once it is ready."""
    return sum("process.started" in line for line in process.lines) >= count


async def are_gone(pids):
    return all(is_gone(pid) for pid in pids)


def soon(url):
    """Late enough that nobody has it in hand yet."""
    return {"name": "soon", "start_time": (SystemClock().now() + timedelta(seconds=3)).isoformat(), "webhook": url}


@asynccontextmanager
async def pair(home):
    """A running `up` with one further dispatcher, which is ready; and who that is."""
    async with up(home, env=TWO) as running:
        await until(lambda: works(running.process, 2))
        (pid,) = companions(running.process.pid)
        yield running, pid


async def test_a_further_dispatcher_of_up_that_dies_is_replaced_and_ends_with_it(tmp_path, receiver):
    async with pair(tmp_path / "data") as (running, first):
        os.kill(first, signal.SIGKILL)
        said = await running.process.says("companion.died")
        await until(lambda: works(running.process, 3))
        (second,) = companions(running.process.pid)
        code = await running.process.end()

    assert f'"pid":{first},"code":-9' in said
    assert first != second
    assert 0 == code
    assert is_gone(second)
    assert 2 == sum("dispatcher.drained" in line for line in running.process.lines)
    assert [] == [line for line in running.process.lines if "Traceback" in line or "service.unavailable" in line]


async def test_a_further_dispatcher_ends_though_up_was_killed(tmp_path):
    async with pair(tmp_path / "data") as (running, pid):
        running.process.kill(signal.SIGKILL)

        assert await until(lambda: are_gone([pid]), within=30)


async def test_each_dispatcher_of_up_delivers_while_the_other_is_frozen(tmp_path, receiver):
    async with pair(tmp_path / "data") as (running, pid):
        for number, frozen in enumerate((running.process.pid, pid), 1):
            status, _ = await running.call("POST", "/events", soon(receiver.url))
            os.kill(frozen, signal.SIGSTOP)
            await receiver.wait_for(number)
            os.kill(frozen, signal.SIGCONT)

            assert 201 == status


async def test_a_second_signal_hurries_the_further_dispatcher_as_well(tmp_path):
    async with silent_endpoint() as (url, asked), pair(tmp_path / "data") as (running, _):
        await running.call("POST", "/events", soon(url))
        running.process.kill(signal.SIGSTOP)  # so it is the other one that asks
        await asyncio.wait_for(asked.wait(), 20)
        running.process.kill(signal.SIGCONT)
        running.process.kill(signal.SIGTERM)
        await running.process.says("process.draining")
        await a_while()
        running.process.kill(signal.SIGTERM)
        began = SystemClock().monotonic()
        code = await running.process.ended()

    assert 0 == code
    assert SystemClock().monotonic() - began < 10  # of the 15 s that the request may take
    assert any('"handed_back":1' in line and "dispatcher.drained" in line for line in running.process.lines)


async def test_a_signal_that_goes_to_all_processes_at_once_is_one_signal(tmp_path, receiver):
    """As systemd sends it; and `up` tells the other one as well."""
    receiver.answer = lambda _: Answer(delay=4)
    async with pair(tmp_path / "data") as (running, pid):
        await running.call("POST", "/events", soon(receiver.url))
        running.process.kill(signal.SIGSTOP)  # so it is the other one that asks
        await receiver.wait_for(1)
        running.process.kill(signal.SIGCONT)
        running.process.kill(signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
        code = await running.process.ended()

    drained = [line for line in running.process.lines if "dispatcher.drained" in line]
    assert 0 == code
    assert [] == [line for line in drained if '"handed_back":0' not in line]
    assert (2, 1) == (len(drained), len(receiver.requests))


async def test_one_process_is_enough_where_one_is_asked_for(tmp_path):
    async with up(tmp_path / "data", env=TWO | {"QHRONOS_SCHEDULER__DISPATCHER_PROCESSES": "1"}) as running:
        beside = companions(running.process.pid)

    assert set() == beside
