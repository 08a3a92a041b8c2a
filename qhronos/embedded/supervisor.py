"""Service: starts an embedded server again when it died."""

from __future__ import annotations

import asyncio

from qhronos.embedded import Embedded
from qhronos.errors import ConfigError, Unavailable
from qhronos.log import get_logger

REST = 2.0

log = get_logger()


class Supervisor:
    name = "supervisor"

    def __init__(self, embedded: Embedded) -> None:
        self.wake = asyncio.Event()
        self._embedded = embedded

    async def tick(self) -> float:
        try:
            restarted = await asyncio.to_thread(self._embedded.check)
        except ConfigError as error:  # it does not come up again; the next tick tries once more
            raise Unavailable("embedded server", str(error)) from error
        for server in restarted:
            log.warning("server.restarted", server=server)
        return REST

    async def drain(self) -> None:
        """The servers outlive the services; wiring ends them."""
