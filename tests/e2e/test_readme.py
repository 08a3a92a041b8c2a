"""What the documentation tells people to type is typed, in order, against a running `up`."""

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.processes import free_port, started, up

ROOT = Path(__file__).parents[2]
TOURS = {
    "README.md": ["signature ok", "completed", "delivered", "02:30 does not exist that day", "paused", "active:"],
    "docs/tutorial/first-event.md": ["signature ok", "attempt 3", "HTTP 503", " delivered  200", "last Friday"],
    "docs/howto/import-and-export.md": [
        "@reboot: nothing boots here",
        "1 created",
        "0 created, 1 edited",
        "BEGIN:VEVENT",
    ],
    "docs/howto/subscribe-to-a-calendar.md": ["Tea times", "deleted"],
    "docs/howto/business-calendars.md": ["germany", "2030-06-28", "rolled from", "active"],
    "docs/howto/join-a-second-dispatcher.md": ["dispatcher.drained"],
    "docs/howto/offline-clients.md": ["dispatched", "printing invoice 1", "printing invoice 2", "completed"],
    "docs/howto/develop-on-your-laptop.md": ["signature ok", "Ready at", "-> 200 in", "completed"],
    "docs/howto/policies.md": ["signature ok", "debit 1", "Every Monday at 18:00, 12 times"],
    "docs/howto/change-one-occurrence.md": ["moved to:", "report, weekly", "UNTIL", "18:30:00Z", " stay"],
}


def tour_of(page):
    """The marked blocks of a page as one script."""
    return "\n".join(re.findall(r"<!-- tour -->\n```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL))


def on_a_free_port(script):
    """Other tests may be listening where the page does."""
    port = free_port()
    return re.sub(r"receive (?!--port)", f"receive --port {port} ", script).replace("9000", str(port))


@asynccontextmanager
async def shell(script, environment=None):
    """A shell that types `script`; it and whatever it left in the background end within 90 s."""
    async with started("sh", "-euc", script, env=environment) as process:
        try:
            async with asyncio.timeout(90):
                yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("page", TOURS)
async def test_every_command_of_a_tour_works(page, tmp_path):
    script = on_a_free_port(tour_of(page))
    environment = {
        "QHRONOS_DATA_DIR": str(tmp_path),
        # Where the page says .venv, the tests may run from another place.
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    }
    async with up(tmp_path), shell(script, environment) as typing:
        code = await typing.ended()

    told = "\n".join(typing.lines)
    assert (0, []) == (code, [text for text in TOURS[page] if text not in told]), told
    assert "WRONG" not in told


@pytest.mark.parametrize("page", TOURS)
def test_what_is_not_in_a_tour_needs_make_or_a_tool_from_elsewhere(page):
    shown = re.findall(r"(?<!-->\n)```sh\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    commands = [line.split()[0] for block in shown for line in block.splitlines()]

    assert set(commands) <= {"make", "python3", "psql", "redis-cli", "curl"}


async def test_the_three_commands_that_up_prints_can_be_pasted(tmp_path):
    async with up(tmp_path) as running:
        await running.process.says("Ctrl-C ends everything")
        commands = [line.strip() for line in running.process.lines if re.search(r"qhronos (receive|event|occ)", line)]
        receive, create, occurrences = on_a_free_port("\n".join(commands)).splitlines()
        async with shell(receive.removesuffix(" &")) as receiver:
            await receiver.says("Ready on http://127.0.0.1:")
            async with shell(create.replace("--in 5s", "--in 1s")) as creating:
                assert 0 == await creating.ended()
            await receiver.says("signature ok")
            # The receiver stays meanwhile: it says so first, and answers then.
            async with shell(f"until {occurrences} | grep completed; do :; done") as listing:
                assert 0 == await listing.ended()
