"""A real browser, driven by the protocol of its own developer tools."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.processes import started

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IS_REQUIRED = os.environ.get("QHRONOS_TEST_BROWSER") == "required"
WHY = "there is no browser here (Debian: chromium); QHRONOS_TEST_BROWSER=required makes that a failure"
WITHIN = 60.0


class Tab:
    """A page of the browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def attach(self) -> None:
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self.ask("Page.enable")

    async def visit(self, url: str) -> None:
        """Until the page is loaded."""
        number = next(self._numbers)
        await self._send(number, "Page.navigate", {"url": url})
        await self._until(lambda said: said.get("method") == "Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """What the script comes to in the page; a promise is waited for."""
        answer = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._send(number, method, params)
        answer = await self._until(lambda said: said.get("id") == number)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def _send(self, number: int, method: str, params: dict[str, Any]) -> None:
        session = {} if self._session is None else {"sessionId": self._session}
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params, **session}))

    async def _until(self, claim: Any) -> Any:
        async with asyncio.timeout(WITHIN):
            while not claim(said := json.loads(await self._connection.recv())):
                pass
        return said


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Tab]:
    """A tab of a browser that has never been used."""
    assert PROGRAM, WHY
    options = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
    # No sandbox: tests run as root where CI does. No shared memory: containers have little. The rest: nothing is fetched.
    options += ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    async with started(PROGRAM, *options, "about:blank") as process:
        address = (await process.says("DevTools listening on")).split(" ")[-1]
        async with connect(address, compression=None, proxy=None, max_size=None) as connection:
            tab = Tab(connection)
            await tab.attach()
            yield tab
