"""Those who ask the API, in a process of their own: CALLERS of them, COUNT requests in all, all alike."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator

import uvloop

from qhronos.clock import SystemClock
from qhronos.http import Client, Egress, Limits, Request

CALLERS = int(os.environ["CALLERS"])
COUNT = int(os.environ["COUNT"])
LIMITS = Limits(least_per_origin=CALLERS, connections_per_origin=CALLERS)


async def main() -> None:
    client = Client(Egress(("127.0.0.0/8",)), SystemClock(), limits=LIMITS)
    headers = (("authorization", f"Bearer {os.environ['TOKEN']}"), ("content-type", "application/json"))
    request = Request(
        method=os.environ["METHOD"],
        url=os.environ["URL"],
        headers=headers,
        body=os.environ["BODY"].encode(),
        timeout=60.0,
        most_body=1 << 20,
    )
    turns = iter(range(COUNT))
    took: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(caller(client, request, turns, took) for _ in range(CALLERS)))
    rate = COUNT / (time.perf_counter() - began)
    took.sort()
    print(json.dumps({"rate": rate, "p50": took[COUNT // 2], "p99": took[int(COUNT * 0.99)]}), flush=True)
    await client.close()


async def caller(client: Client, request: Request, turns: Iterator[int], took: list[float]) -> None:
    for _ in turns:
        began = time.perf_counter()
        response = await client.send(request)
        assert response.status < 300, (response.status, response.body)
        took.append((time.perf_counter() - began) * 1e3)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
