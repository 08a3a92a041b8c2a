"""Bare aiohttp on uvloop, and no scheduler: COUNT signed requests by its usual client, as fast as it goes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator

import aiohttp
import uvloop

CALLERS = 64  # with more it becomes slower
SECRET = b"the-hmac-secret-of-the-benchmarks-0123456789"


async def main() -> None:
    items = iter(range(int(os.environ["COUNT"])))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLERS)) as session:
        began, cpu = time.time(), time.process_time()
        await asyncio.gather(*(caller(session, items, began * 1e3) for _ in range(CALLERS)))
        print(time.process_time() - cpu, flush=True)


async def caller(session: aiohttp.ClientSession, items: Iterator[int], due_ms: float) -> None:
    for item in items:
        body = json.dumps({"item": item, "due_ms": due_ms}).encode()
        signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": signature}
        async with session.post(os.environ["URL"], data=body, headers=headers) as response:
            await response.read()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
