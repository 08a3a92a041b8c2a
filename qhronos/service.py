"""The run loop that all background services share: tick, rest, wait out an outage, drain."""

from __future__ import annotations

import asyncio
from typing import Protocol

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.errors import Unavailable
from qhronos.log import get_logger

OUTAGE_REST = 0.2  # seconds; the first probe after a store went away, doubling to the longest
LONGEST_OUTAGE_REST = 1.0
BUG_REST = 1.0

log = get_logger()


class Service(Protocol):
    """A role is one of these. Setting `wake` ends its rest early."""

    name: str
    wake: asyncio.Event

    async def tick(self) -> float:
        """One pass; returns the seconds to rest until the next."""
        ...

    async def drain(self) -> None:
        """Finish or hand back what is in hand. No tick follows."""
        ...


async def run(service: Service, clock: Clock, stop: asyncio.Event) -> None:
    """Tick until `stop` is set (and `wake`, to end a rest), then drain. A tick in flight always finishes."""
    outage = 0.0
    while not stop.is_set():
        service.wake.clear()
        began = clock.monotonic()
        try:
            rest = await service.tick()
            outage = 0.0
        except Unavailable as error:
            rest = outage = min(max(2 * outage, OUTAGE_REST), LONGEST_OUTAGE_REST)
            log.warning("service.unavailable", service=service.name, error=str(error))
        except Exception:  # a bug in one pass must not end the service; it is logged here, once, with its traceback
            rest = BUG_REST
            log.exception("service.failed", service=service.name)
        metrics.TICK_SECONDS.labels(service.name).observe(clock.monotonic() - began)
        if not stop.is_set():
            await clock.wait(service.wake, rest)
    await service.drain()
