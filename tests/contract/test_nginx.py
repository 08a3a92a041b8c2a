"""The outbound client against the server that most endpoints stand behind: how it keeps, closes, cuts and hurries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
import uvloop

from qhronos.clock import SystemClock
from qhronos.config import ClientCertificate
from qhronos.errors import Unreachable
from qhronos.http import Client, Egress, Limits, Proxy, Request, Response, Tls
from tests.contract import nginx
from tests.contract.nginx import IS_REQUIRED, PROGRAM, WHY, Nginx
from tests.contract.servers import Authority

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LOOPBACK = Egress(["127.0.0.0/8"])
pytestmark = pytest.mark.skipif(PROGRAM is None and not IS_REQUIRED, reason=WHY)


async def lookup(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(SystemClock().now(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "authority.pem").write_text(authority.pem)
    with nginx.running(folder, authority.issue("*.nginx.test"), folder / "authority.pem") as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client(LOOPBACK, SystemClock(), lookup=lookup)
    yield client
    await client.close()


def post(url: str, body: bytes = b"{}", timeout: float = 10.0, **more: object) -> Request:
    return Request(method="POST", url=url, body=body, timeout=timeout, **more)


async def which(client: Client, url: str) -> list[int]:
    """The worker, the connection, and how many requests it has carried."""
    return [int(word) for word in (await client.send(post(url))).body.split()]


async def test_a_request_arrives_as_it_was_meant_and_the_answer_is_not_compressed(client, server):
    response = await client.send(post(server.url("said"), b"12345"))

    assert f"POST usual.test:{server.port} [identity] 5" == response.body.decode()
    assert response.header("content-encoding") is None


@pytest.mark.parametrize(
    ("path", "status"), [("ok", 200), ("empty", 204), ("gone", 410), ("moved", 301), ("none", 404)]
)
async def test_every_status_is_an_answer(client, server, path, status):
    assert status == (await client.send(post(server.url(path)))).status


async def test_a_redirect_is_followed_where_a_request_asks_for_it(client, server):
    assert b"ok" == (await client.send(post(server.url("moved"), redirects=1))).body


async def test_a_connection_is_kept_for_many_requests(client, server):
    carried = [await which(client, server.url("which")) for _ in range(20)]

    assert 1 == len({connection for _, connection, _ in carried})
    assert list(range(1, 21)) == [count for _, _, count in carried]


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE", "OPTIONS"])
async def test_any_method_leaves_the_connection_fit_for_the_next(client, server, method):
    first = await which(client, server.url("which"))
    body = b"" if method in ("HEAD", "GET") else b"{}"
    await client.send(Request(method=method, url=server.url("said"), body=body, timeout=5))
    last = await which(client, server.url("which"))

    assert (first[1], first[2] + 2) == (last[1], last[2])


async def test_a_connection_that_has_carried_what_it_may_is_replaced(client, server):
    carried = [await which(client, server.url("which", "twice.test")) for _ in range(6)]

    assert [1, 2, 1, 2, 1, 2] == [count for _, _, count in carried]


async def test_a_connection_that_was_idle_for_too_long_is_forgotten(client, server):
    first = await which(client, server.url("which", "hasty.test"))
    async with asyncio.timeout(10):
        await asyncio.gather(*[connection.lost for connection in client._connections])
    second = await which(client, server.url("which", "hasty.test"))

    assert first[1] != second[1]


async def test_a_reload_loses_nothing(client, server):
    """Its workers close what is idle, in the moment in which it may be used."""
    url = server.url("which")
    [worker, *_], seen = await which(client, url), set()
    server.reload()
    async with asyncio.timeout(20):
        while seen <= {worker}:
            answers = await asyncio.gather(*[client.send(post(url)) for _ in range(5)])
            assert [200] * 5 == [answer.status for answer in answers]
            seen |= {int(answer.body.split()[0]) for answer in answers}


async def test_many_at_once_are_answered(client, server):
    patient = Client(LOOPBACK, SystemClock(), lookup=lookup, limits=Limits(patience_seconds=10, most_waiting=500))
    answers = await asyncio.gather(*[patient.send(post(server.url("ok"))) for _ in range(300)])

    assert {200} == {answer.status for answer in answers}
    await patient.close()


async def test_an_answer_in_chunks_is_whole(client, server):
    response = await client.send(post(server.url("chunked")))
    assert 405 == response.status  # a file takes no POST, and says so in whole

    response = await client.send(Request(method="GET", url=server.url("chunked"), timeout=5))
    assert ("chunked", b"in pieces", False) == (
        response.header("transfer-encoding"),
        response.body,
        response.truncated,
    )


async def test_a_big_file_is_cut_and_the_next_request_answered(client, server):
    response = await client.send(Request(method="GET", url=server.url("big"), timeout=5))

    assert (200, Limits().most_body, True) == (response.status, len(response.body), response.truncated)
    assert b"ok" == (await client.send(post(server.url("ok")))).body


async def test_a_file_that_drips_is_cut_at_the_deadline(client, server):
    clock = SystemClock()
    began = clock.monotonic()
    response = await client.send(Request(method="GET", url=server.url("drip"), timeout=1.5))

    assert (200, True) == (response.status, response.truncated)
    assert len(response.body) < nginx.BIG
    assert clock.monotonic() - began < 3


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(client, server):
    response = await client.send(post(server.url("ok"), b"x" * 30_000_000))

    assert 413 == response.status
    assert b"ok" == (await client.send(post(server.url("ok")))).body


async def test_a_header_that_is_too_large_is_refused_by_it(client, server):
    headers = tuple([(f"x-{number}", "a" * 4096) for number in range(30)])
    response = await client.send(post(server.url("ok"), headers=headers))

    assert (400, True) == (response.status, b"Too Large" in response.body)


async def test_a_connection_that_it_closes_without_a_word_is_no_answer(client, server):
    with pytest.raises(Unreachable, match="closed before a response"):
        await client.send(post(server.url("closed")))


@pytest.mark.parametrize(("path", "status"), [("upstream", 200), ("unreachable", 502)])
async def test_what_stands_behind_it_answers_or_does_not(client, server, path, status):
    assert status == (await client.send(post(server.url(path)))).status


async def secure(authority: Authority, server: Nginx, host: str, *entries: ClientCertificate) -> Response:
    def trusted() -> ssl.SSLContext:
        context = authority.trusted()
        context.set_alpn_protocols(["http/1.1"])
        return context

    client = Client(LOOPBACK, SystemClock(), lookup=lookup, tls=Tls.read(entries, trusted))
    try:
        return await client.send(post(server.url("said", host)))
    finally:
        await client.close()


async def test_tls_is_spoken_in_its_newest_version_and_http_in_ours(authority, server):
    response = await secure(authority, server, "tls.nginx.test")

    assert "TLSv1.3 tls.nginx.test HTTP/1.1" == response.body.decode()


async def test_a_certificate_of_ours_is_taken_and_without_it_is_refused(authority, server):
    entry = ClientCertificate(hosts=("mutual.nginx.test",), certificate=str(authority.issue("ours")))

    assert "CN=ours" == (await secure(authority, server, "mutual.nginx.test", entry)).body.decode()
    assert 400 == (await secure(authority, server, "mutual.nginx.test")).status


async def test_a_web_server_is_no_proxy(server):
    client = Client(LOOPBACK, SystemClock(), lookup=lookup, proxy=Proxy.read(f"http://proxy.test:{server.port}"))
    with pytest.raises(Unreachable, match=rf"^proxy proxy.test:{server.port}: HTTP 40[05] to a request for a tunnel"):
        await client.send(post("http://public.test/"))
    await client.close()
