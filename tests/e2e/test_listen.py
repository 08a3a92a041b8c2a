"""`qhronos listen` as a process: what goes where, what survives, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from tests.e2e.processes import QHRONOS, clean_environment, free_port, started, up
from tests.e2e.test_spine import UNLIMITED
from tests.service.sockets import as_client

CLIENT = {"type": "websocket", "params": {"client_name": "desk"}}
WITHIN = 60.0


class Listener:
    """The command, with what it prints apart from what it says."""

    def __init__(self, process):
        self._process = process
        self.pid = process.pid
        self.noted = []

    async def notes(self, text):
        async with asyncio.timeout(WITHIN):
            while text not in (line := (await self._process.stderr.readline()).decode()):
                assert line, f"never said {text!r}: {self.noted}"
                self.noted.append(line)
        self.noted.append(line)
        return line

    async def prints(self):
        async with asyncio.timeout(WITHIN):
            return json.loads(await self._process.stdout.readline())

    async def ended(self):
        """Its exit code, and the rest of what it printed and said."""
        async with asyncio.timeout(WITHIN):
            out, err = await self._process.communicate()
        return self._process.returncode, (out or b"").decode(), err.decode()


@asynccontextmanager
async def listen(running, *options, home=None, stdout=asyncio.subprocess.PIPE, token=None, url=None):
    environment = clean_environment() | {"QHRONOS_DATA_DIR": str(home or running.home)}
    environment |= {"QHRONOS_TOKEN": token} if token else {}
    environment |= {"QHRONOS_URL": url} if url else {}
    process = await asyncio.create_subprocess_exec(
        *(*QHRONOS, "listen", *options),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Listener(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def create(running, name, **said):
    status, _ = await running.call("POST", "/events", {"name": name, "action": CLIENT, **said})
    assert 201 == status


async def test_a_server_that_is_killed_and_started_again_is_waited_for(tmp_path):
    port = free_port()
    async with (
        up(tmp_path, port=port, env=UNLIMITED) as first,
        listen(first, "--client", "desk", "--format", "json") as listener,
    ):
        await listener.notes("Ready at")
        await create(first, "before")
        before = await listener.prints()
        first.process.kill(signal.SIGKILL)
        await first.process.ended()
        await listener.notes("The connection is lost")
        async with up(tmp_path, port=port, env=UNLIMITED) as second:
            await create(second, "after")
            after = await listener.prints()
            os.kill(listener.pid, signal.SIGINT)
            code, out, err = await listener.ended()

    said = [*listener.noted, *err.splitlines()]
    assert ["before", "after"] == [each["name"] for each in (before, after)]
    assert (0, "") == (code, out)
    assert [1, 1, 1] == [sum(text in line for line in said) for text in ("Ready at", "is lost", "Back after")]
    assert "Traceback" not in "".join(said)


async def test_what_is_forwarded_is_signed_for_whoever_verifies(tmp_path):
    async with up(tmp_path, env=UNLIMITED) as running:
        port = free_port()
        receive = (*QHRONOS, "receive", "--port", str(port), "--exit-after", "1", "--data-dir", str(tmp_path))
        async with started(*receive) as receiver:
            await receiver.says("Ready on")
            await create(running, "invoice", metadata={"number": 1})
            async with listen(
                running, "--client", "desk", "--forward-to", f"localhost:{port}", "--exit-after", "1"
            ) as listener:
                code, out, _ = await listener.ended()
            line = await receiver.says("invoice")
            verified = await receiver.ended()
        _, found = await running.call("GET", "/occurrences")

    assert (0, 0) == (code, verified)
    assert line.endswith("signature ok")
    assert "-> 200 in " in out
    assert ["completed"] == [each["status"] for each in found["data"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_end_is_an_end_and_a_second_one_makes_no_noise(tmp_path, number):
    async with up(tmp_path) as running, listen(running, "--client", "desk") as listener:
        await listener.notes("Ready at")
        for _ in range(5):
            os.kill(listener.pid, number)
        code, out, err = await listener.ended()

    assert (0, "", "") == (code, out, err)


async def test_it_ends_while_it_waits_for_a_server(tmp_path):
    async with up(tmp_path) as running, listen(running, "--client", "desk") as listener:
        await listener.notes("Ready at")
        await running.process.end(signal.SIGKILL)
        await listener.notes("The connection is lost")
        os.kill(listener.pid, signal.SIGINT)
        code, _, err = await listener.ended()

    assert (0, "") == (code, err)


async def test_how_it_ends_is_in_its_exit_code(tmp_path):
    async with up(tmp_path) as running:
        async with listen(running, "--client", "desk", token="nonsense") as refused:
            no_token = await refused.ended()
        async with listen(running, "--client", "desk") as replaced:
            await replaced.notes("Ready at")
            async with as_client(running.url.replace("http", "ws") + "/ws", "desk", running.token):
                taken = await replaced.ended()
        async with listen(running, "--client", "desk", token="t", url=f"http://127.0.0.1:{free_port()}") as lost:
            nobody = await lost.ended()

    assert (4, "", "qhronos: the gateway does not take the token: invalid token\n") == no_token
    assert (6, "", "qhronos: another connection of client desk is served now, so this one has ended\n") == taken
    assert (9, "") == nobody[:2]
    assert nobody[2].startswith("qhronos: cannot reach http://127.0.0.1:")


async def test_a_reader_that_has_enough_ends_it_and_nothing_unread_is_taken(tmp_path):
    async with up(tmp_path, env=UNLIMITED) as running:
        ours, theirs = os.pipe()
        async with listen(running, "--client", "desk", stdout=theirs) as listener:
            os.close(theirs)
            await listener.notes("Ready at")
            os.close(ours)
            await create(running, "unread")
            code, _, err = await listener.ended()
        _, found = await running.call("GET", "/occurrences")

    assert (0, "") == (code, err)
    assert ["dispatched"] == [each["status"] for each in found["data"]]


async def test_asking_what_it_can_do_imports_no_server():
    """`--help` answers at once, whatever else this command takes."""
    script = "import sys, qhronos.cli.listen; print([m for m in ('litestar', 'psycopg', 'websockets', 'uvicorn') if m in sys.modules])"
    async with started(sys.executable, "-c", script) as process:
        code = await process.ended()

    assert (0, ["[]"]) == (code, process.lines)
