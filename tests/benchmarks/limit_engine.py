"""The bare HTTP engine of Qhronos: what its dispatcher could do at most. COUNT signed requests to one origin, as its limits allow.

COUNT=10000 URL=http://127.0.0.1:1/hook python -m tests.benchmarks.limit_engine
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import msgspec
import uvloop

from qhronos.clock import SystemClock
from qhronos.core.signing import sign
from qhronos.http import Busy, Client, Egress, Request

CALLERS = 128  # as many as go to one origin at most
SECRETS = ("the-hmac-secret-of-the-benchmarks-0123456789",)


async def main() -> None:
    clock = SystemClock()
    client = Client(Egress(("127.0.0.0/8",)), clock)
    items = iter(range(int(os.environ["COUNT"])))
    began = time.time()
    cpu = time.process_time()
    await asyncio.gather(*(caller(client, clock, items, began * 1e3) for _ in range(CALLERS)))
    print(time.process_time() - cpu, flush=True)
    await client.close()


async def caller(client: Client, clock: SystemClock, items: Iterator[int], due_ms: float) -> None:
    for item in items:
        body = msgspec.json.encode({"item": item, "due_ms": due_ms})
        signed = sign(SECRETS, str(item), clock.now(), body)
        headers = (("content-type", "application/json"), *signed)
        request = Request(method="POST", url=os.environ["URL"], headers=headers, body=body, timeout=30.0)
        while not await is_sent(client, request):
            pass


async def is_sent(client: Client, request: Request) -> bool:
    """False: there was no room; it waited for that, so to ask again at once is no busy loop."""
    try:
        return (await client.send(request)).status == 200
    except Busy:
        await asyncio.sleep(0)
        return False


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
