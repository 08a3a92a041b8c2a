"""What the configuration says of the way out reaches the client, or stops the start."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from qhronos import config, wiring
from qhronos.errors import ConfigError, Unreachable
from qhronos.http import Request
from tests.contract.servers import Endpoint, Session


def program(**http: object) -> wiring.Program:
    return wiring.Program(config.build({"http": http}), ("dispatcher",), None)


@pytest.mark.parametrize(
    ("http", "complaint"),
    [
        ({"proxy": "socks5://proxy"}, "http.proxy: must begin with http://"),
        ({"proxy": "http://proxy", "no_proxy": ["a b"]}, "http.no_proxy: 'a b'"),
        (
            {"client_certificates": [{"hosts": ["a.test"], "certificate": "/none.pem"}]},
            r"http.client_certificates\[0\].certificate: cannot read /none.pem",
        ),
    ],
)
async def test_what_cannot_be_stops_the_start(http, complaint):
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigError, match=complaint):
            program(**http)._client(stack)


async def test_what_is_sent_goes_through_the_proxy_that_is_set():
    async def forbids(session: Session) -> None:
        await session.head()
        await session.send(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    async with Endpoint(forbids) as proxy, AsyncExitStack() as stack:
        client = program(proxy=f"http://127.0.0.1:{proxy.port}")._client(stack)
        with pytest.raises(Unreachable, match=rf"^proxy 127.0.0.1:{proxy.port}: HTTP 403"):
            await client.send(Request(method="GET", url="http://8.8.8.8/", timeout=5))
