"""The outbound client through a proxy: what it asks of it, what it keeps from it, and what it says when that fails."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
import uvloop

from qhronos.clock import SystemClock
from qhronos.errors import ConfigError, Unreachable
from qhronos.http import Client, Egress, Limits, Proxy, Request, Tls
from tests.contract.servers import OK, Authority, Endpoint, ForwardProxy, Session, blackhole, is_silent, says

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LOOPBACK = Egress(["127.0.0.0/8", "::1/128"])
NAMES = {"public.test": ["127.0.0.1"], "two.test": ["127.0.0.9", "127.0.0.1"], "private.test": ["10.0.0.1"]}
PASSWORD = "p@ss:w/rd"


async def lookup(host: str, port: int) -> list[str]:
    return NAMES.get(host, ["127.0.0.1"])


def post(url: str, timeout: float = 5.0) -> Request:
    return Request(method="POST", url=url, body=b"{}", timeout=timeout)


def through(port: int, *spared: str, login: str = "", **options: object) -> Client:
    """A client behind the proxy on that port."""
    proxy = Proxy.read(f"http://{login}proxy.test:{port}", spared)
    return Client(LOOPBACK, SystemClock(), lookup=lookup, proxy=proxy, **options)


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    async with ForwardProxy() as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: ForwardProxy) -> AsyncIterator[Client]:
    client = through(proxy.port)
    yield client
    await client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(SystemClock().now(), tmp_path_factory.mktemp("certificates"))


async def test_the_proxy_is_asked_for_the_address_that_was_vetted_and_the_endpoint_for_its_name(client, proxy):
    seen = []

    async def behave(session: Session) -> None:
        seen.append(await session.request())
        await session.send(OK)

    async with Endpoint(behave) as endpoint:
        response = await client.send(post(f"http://public.test:{endpoint.port}/hook?a=b"))

    there = f"127.0.0.1:{endpoint.port}"
    assert (200, b"ok") == (response.status, response.body)
    assert [f"CONNECT {there} HTTP/1.1\r\nhost: {there}\r\n\r\n".encode()] == proxy.heads
    assert seen[0].startswith(f"POST /hook?a=b HTTP/1.1\r\nhost: public.test:{endpoint.port}\r\n".encode())


async def test_a_tunnel_is_kept_and_used_again_by_its_origin_alone(client, proxy):
    async with Endpoint(says(OK)) as endpoint:
        for host in ("public.test", "public.test", "other.test", "public.test"):
            await client.send(post(f"http://{host}:{endpoint.port}/"))

        assert (2, 2) == (len(proxy.heads), endpoint.accepted)


async def test_tls_goes_through_the_tunnel_and_names_the_host(proxy, authority):
    context, named = authority.server("public.test"), []
    context.sni_callback = lambda _sock, name, _context: named.append(name)
    client = through(proxy.port, tls=Tls(authority.trusted()))
    async with Endpoint(says(OK), context) as endpoint:
        for _ in range(2):
            assert (await client.send(post(f"https://public.test:{endpoint.port}/"))).status == 200
        with pytest.raises(Unreachable, match="certificate refused: Hostname mismatch"):
            await client.send(post(f"https://other.test:{endpoint.port}/"))

    assert ["public.test", "other.test"] == named
    await client.close()


@pytest.mark.parametrize("url", ["http://private.test/", "http://10.0.0.1/", "http://[fd00::1]/"])
async def test_what_is_closed_is_not_asked_of_the_proxy(client, proxy, url):
    with pytest.raises(Unreachable, match="is not open to deliveries") as error:
        await client.send(post(url))

    assert ("egress", 0) == (error.value.kind, proxy.accepted)


async def test_the_next_address_is_asked_for_when_the_proxy_does_not_get_to_the_first(client, proxy):
    async with Endpoint(says(OK)) as endpoint:
        response = await client.send(post(f"http://two.test:{endpoint.port}/"))

    asked = [head.split(b" ")[1].partition(b":")[0] for head in proxy.heads]
    assert (200, [b"127.0.0.9", b"127.0.0.1"]) == (response.status, asked)


async def test_the_proxy_is_shown_its_credentials_and_nobody_else_is(proxy):
    client = through(proxy.port, login="user:p%40ss%3Aw%2Frd@")
    seen = []

    async def behave(session: Session) -> None:
        seen.append(await session.request())
        await session.send(OK)

    async with Endpoint(behave) as endpoint:
        await client.send(post(f"http://public.test:{endpoint.port}/"))

    basic = base64.b64encode(f"user:{PASSWORD}".encode())
    assert b"proxy-authorization: Basic " + basic in proxy.heads[0]
    assert basic not in seen[0]
    await client.close()


@pytest.mark.parametrize(
    ("spared", "host", "is_spared"),
    [
        ("public.test", "public.test", True),
        (".public.test", "public.test", True),
        ("*.public.test", "a.public.test", True),
        ("test", "a.b.test", True),
        ("public.test", "notpublic.test", False),
        ("127.0.0.0/8", "public.test", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "public.test", False),
    ],
)
async def test_what_is_spared_is_reached_without_the_proxy(proxy, spared, host, is_spared):
    client = through(proxy.port, spared)
    async with Endpoint(says(OK)) as endpoint:
        assert (await client.send(post(f"http://{host}:{endpoint.port}/"))).status == 200

    assert is_spared == (proxy.accepted == 0)
    await client.close()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP 407; it takes other credentials"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "HTTP 401; it takes other credentials"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "HTTP 403 to a request for a tunnel"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP 502 to a request for a tunnel"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "HTTP 100 to a request for a tunnel"),
        (b"SSH-2.0 OpenSSH\r\n\r\n", "its answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + OK, "it says more than that the tunnel stands"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20_000, "its answer is too large"),
        (b"HTTP/1.1 200 OK\r\n", "connection closed before an answer"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel_is_named_and_its_password_is_not(answer, complaint):
    async def behave(session: Session) -> None:
        await session.head()
        await session.send(answer)

    async with Endpoint(behave) as proxy:
        client = through(proxy.port, login="user:p%40ss%3Aw%2Frd@")
        with pytest.raises(Unreachable, match=complaint) as error:
            await client.send(post("http://public.test/"))
        await proxy.until_open(0)

    assert "proxy" == error.value.kind
    assert str(error.value).startswith(f"proxy proxy.test:{proxy.port}: ")
    assert PASSWORD not in f"{error.value} {client._connector._tunnels.proxy!r}"
    await client.close()


async def test_a_proxy_that_resets_is_named():
    async def behave(session: Session) -> None:
        await session.head()
        session.reset()

    async with Endpoint(behave) as proxy:
        client = through(proxy.port)
        with pytest.raises(Unreachable, match="connection closed before an answer"):
            await client.send(post("http://public.test/"))
    await client.close()


async def test_a_proxy_that_is_away_is_named_and_looked_up_again():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = through(port)
        for _ in range(2):
            with pytest.raises(Unreachable, match=rf"^proxy proxy.test:{port}: connection refused$"):
                await client.send(post("http://public.test/"))
    await client.close()


async def test_a_proxy_without_an_address_is_named():
    async def finds_no_proxy(host: str, port: int) -> list[str]:
        if host == "proxy.test":
            raise socket.gaierror(socket.EAI_NONAME, "?")
        return ["127.0.0.1"]

    client = Client(LOOPBACK, SystemClock(), lookup=finds_no_proxy, proxy=Proxy.read("http://proxy.test:3128"))
    with pytest.raises(Unreachable, match=r"^proxy proxy.test:3128: host name not found$"):
        await client.send(post("http://public.test/"))
    await client.close()


async def test_a_proxy_that_is_silent_is_named_when_the_time_for_connecting_is_over():
    async with Endpoint(is_silent) as proxy:
        client = through(proxy.port, limits=Limits(connect_seconds=0.1))
        with pytest.raises(
            Unreachable, match=rf"^connect through proxy proxy.test:{proxy.port} timed out after 0.1 s$"
        ):
            await client.send(post("http://public.test/"))
        with pytest.raises(Unreachable, match=r"^timeout after 0.05 s$"):
            await client.send(post("http://public.test/", timeout=0.05))
        await proxy.until_open(0)
    await client.close()


async def test_a_proxy_into_which_no_connection_gets_is_named():
    with blackhole() as port:
        client = through(port, limits=Limits(connect_seconds=0.1))
        with pytest.raises(Unreachable, match="connect through proxy"):
            await client.send(post("http://public.test/"))
        await client.close()


async def test_a_tunnel_that_was_given_up_meanwhile_is_replaced(proxy):
    async def behave(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.request()

    client = through(proxy.port)
    async with Endpoint(behave) as endpoint:
        for _ in range(2):
            assert (await client.send(post(f"http://public.test:{endpoint.port}/"))).status == 200

    assert len(proxy.heads) == 2
    await client.close()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("https://proxy.test:3128", "must begin with http://"),
        ("socks5://u:hunter2@proxy.test", "must begin with http://"),
        ("proxy.test:3128", "must begin with http://"),
        ("http://u:hunter2@proxy.test:99999", "port outside"),
        ("http://u:hunter2@", "no valid host"),
        ("http://u:hunter2/x@y:1/path", "has a path"),
    ],
)
def test_a_proxy_that_cannot_be_is_refused_without_its_password(text, complaint):
    with pytest.raises(ConfigError, match=complaint) as error:
        Proxy.read(text)

    assert str(error.value).startswith("http.proxy: ")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("entry", ["a b", "10.0.0.0/40", "example.com:8080", "example.com/x", "*", ""])
def test_what_is_neither_a_name_nor_a_network_cannot_be_spared(entry):
    with pytest.raises(ConfigError, match=r"http.no_proxy: .* is neither a name nor a network"):
        Proxy.read("http://proxy.test", [entry])


def test_an_address_of_the_sixth_version_is_asked_for_in_brackets():
    assert Proxy.read("http://proxy.test").request(ip_address("2600::1"), 443).startswith(b"CONNECT [2600::1]:443 HTTP")
