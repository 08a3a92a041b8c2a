"""The outbound client against real sockets: what it keeps, what it cuts, what it never touches.

Every test runs on the plain loop and on uvloop.
"""
# ruff: noqa: RUF001 - letters that look like others are part of the attack

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qhronos.clock import SystemClock
from qhronos.errors import Invalid, Unreachable
from qhronos.http import Busy, Client, Egress, Limits, Request, Response, Tls, Withdrawn
from qhronos.http.connection import Connection
from tests.contract.servers import OK, Authority, Endpoint, Session, blackhole, is_silent, says, says_once
from tests.fakes import FakeClock

LOOPBACK = Egress(["127.0.0.0/8", "::1/128"])
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ENDED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def loopback(host: str, port: int) -> list[str]:
    """Every name leads here."""
    return ["127.0.0.1"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client(LOOPBACK, SystemClock(), lookup=loopback)
    yield client
    await client.close()


def post(url: str, body: bytes = b"{}", timeout: float = 5.0) -> Request:
    return Request(method="POST", url=url, body=body, timeout=timeout)


def get(url: str, method: str = "GET", timeout: float = 5.0) -> Request:
    return Request(method=method, url=url, timeout=timeout)


async def test_a_request_is_written_as_it_was_given(client):
    seen = []

    async def behave(session: Session) -> None:
        seen.append(await session.request())
        await session.send(OK)

    async with Endpoint(behave) as endpoint:
        url = f"http://hooks.test:{endpoint.port}/a?b=c"
        headers = (("Content-Type", "text/plain"), ("x-note", "ü"))
        response = await client.send(Request(method="PUT", url=url, headers=headers, body=b"\0body", timeout=5))

    assert Response(status=200, headers=(("content-length", "2"),), body=b"ok", truncated=False) == response
    assert [
        b"PUT /a?b=c HTTP/1.1\r\nhost: hooks.test:%d\r\naccept: */*\r\naccept-encoding: identity\r\n" % endpoint.port
        + "content-length: 5\r\nContent-Type: text/plain\r\nx-note: ü\r\n\r\n\0body".encode()
    ] == seen


@pytest.mark.parametrize(
    ("name", "value"), [("x", "a\r\nb: c"), ("x\r\ny", "z"), ("host", "other"), ("Transfer-Encoding", "chunked")]
)
async def test_a_header_that_would_break_the_framing_is_never_sent(client, name, value):
    async with Endpoint(says(OK)) as endpoint:
        with pytest.raises(Invalid):
            await client.send(Request(method="POST", url=endpoint.url, headers=((name, value),), timeout=5))

        assert endpoint.accepted == 0


async def test_what_is_wanted_no_more_once_its_connection_is_open_is_not_sent():
    seen, connections = [], []
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1), lookup=loopback)

    def wanted() -> bool:
        connections.append(len(client._connections))
        return False

    async def behave(session: Session) -> None:
        while True:
            seen.append(await session.request())
            await session.send(OK)

    async with Endpoint(behave) as endpoint:
        with pytest.raises(Withdrawn):
            await client.send(Request(method="POST", url=endpoint.url, timeout=5, wanted=wanted))
        response = await client.send(get(endpoint.url))

        assert ([1], 200, ["GET"]) == (connections, response.status, [one[:3].decode() for one in seen])
        assert endpoint.accepted == 1
    await client.close()


async def test_a_redirect_is_not_followed_for_what_is_wanted_no_more(client):
    answers = iter([True, False])
    location = b"HTTP/1.1 307 Onward\r\nLocation: /on\r\nContent-Length: 0\r\n\r\n"
    async with Endpoint(says(location)) as endpoint:
        request = Request(method="POST", url=endpoint.url, timeout=5, redirects=1, wanted=lambda: next(answers))
        with pytest.raises(Unreachable) as caught:
            await client.send(request)

    assert not isinstance(caught.value, Withdrawn)  # which says that nothing was sent


async def test_a_request_is_with_the_kernel_when_its_exchange_has_begun():
    """A loop that gathers what is written would send it when it goes on, and that may be long after it was decided."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection: Connection
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(IPv4Address("127.0.0.1"), 0.0, Limits(), lambda _: None), *server.getsockname()
        )
        peer, _ = server.accept()
        with peer:
            peer.setblocking(False)
            answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", get("http://127.0.0.1/"))

            assert b"GET / HTTP/1.1\r\n\r\n" == peer.recv(100)
            answer.cancel()
            connection.abort()
            await connection.lost


async def test_a_connection_is_kept_and_used_again(client):
    async with Endpoint(says(OK)) as endpoint:
        for _ in range(5):
            assert (await client.send(post(endpoint.url))).status == 200

        assert endpoint.accepted == 1


async def test_origins_do_not_share_connections(client):
    async with Endpoint(says(OK)) as endpoint:
        for host in ("127.0.0.1", "a.test", "b.test", "a.test"):
            await client.send(post(f"http://{host}:{endpoint.port}/"))

        assert endpoint.accepted == 3


@pytest.mark.parametrize(
    "answer",
    [
        ENDED,
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"garbage",
        OK + b"\0" * 70_000,
    ],
    ids=["close", "http10", "second response", "garbage", "much garbage"],
)
async def test_a_connection_that_cannot_be_trusted_again_is_closed(client, answer):
    async with Endpoint(says(answer)) as endpoint:
        for _ in range(2):
            response = await client.send(post(endpoint.url))

            assert (200, b"ok", False) == (response.status, response.body, response.truncated)
        await endpoint.until_open(0)

        assert endpoint.accepted == 2


async def test_what_comes_on_an_idle_connection_ends_it(client):
    async def behave(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await answered.wait()
        await session.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await session.gone()

    answered = asyncio.Event()
    async with Endpoint(behave) as endpoint:
        await client.send(post(endpoint.url))
        answered.set()
        await endpoint.until_open(0)

        assert (await client.send(post(endpoint.url))).status == 200
        assert endpoint.accepted == 2


@pytest.mark.parametrize(
    ("parts", "body", "truncated"),
    [
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n", b"1\r\nd\r\n0\r\nT: x\r\n\r\n"], b"abcd", False),
        ([b"HTTP/1.0 200 OK\r\n\r\nabc", b"d"], b"abcd", False),
        ([b"HTTP/1.1 200 OK\r\n\r\nabc"], b"abc", False),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], b"abc", True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"], b"abc", True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"], b"abc", True),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b"", False),
        ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"], b"", False),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"], b"\x1f\x8b\x08", False),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ENDED], b"ok", False),
        ([bytes([byte]) for byte in ENDED], b"ok", False),
    ],
)  # fmt: skip
async def test_a_body_is_read_as_far_as_it_goes(client, parts, body, truncated):
    async with Endpoint(says_once(*parts)) as endpoint:
        response = await client.send(post(endpoint.url))

    assert (body, truncated) == (response.body, response.truncated)


@pytest.mark.parametrize("status", [200, 302, 404, 503])
async def test_every_status_is_a_response_and_no_redirect_is_followed(client, status):
    async with Endpoint(
        says_once(b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)
    ) as endpoint:
        response = await client.send(post(endpoint.url))

        assert (status, "/elsewhere") == (response.status, response.header("location"))
        assert endpoint.accepted == 1


class Place:
    """An endpoint that notes what it is asked and answers each path as it is told."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def behave(self, session: Session) -> None:
        while True:
            head, _, body = (await session.request()).partition(b"\r\n\r\n")
            self.heads.append(head)
            self.bodies.append(body)
            path = head.split(b" ")[1].strip(b"/").decode().partition("?")[0]
            await session.send(self.answers.get(path, OK))


def to(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def following(url: str, redirects: int = 3, **fields: object) -> Request:
    given = {"method": "POST", "body": b"{}", "timeout": 5.0} | fields
    return Request(url=url, redirects=redirects, **given)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/there?x=1", b"/there?x=1"),
        ("there", b"/a/there"),
        ("../there#part", b"/there"),
        ("?q", b"/a/hook?q"),
        ("//hooks.test:%d/there", b"/there"),
        ("HTTP://HOOKS.test:%d/there", b"/there"),
        ("/ü", b"/%C3%BC"),
    ],
)
async def test_a_redirect_is_followed_where_a_request_asks_for_it(client, location, path):
    place = Place()
    async with Endpoint(place.behave) as endpoint:
        place.answers["a/hook"] = to(location.replace("%d", str(endpoint.port)))
        if location == "?q":
            place.answers["a/hook"], before = OK, "start"
            place.answers[before] = to("/a/hook?q")
        else:
            before = "a/hook"
        response = await client.send(following(f"http://hooks.test:{endpoint.port}/{before}"))

    assert (200, 2, b"{}") == (response.status, len(place.heads), place.bodies[1])
    assert place.heads[1].startswith(b"POST " + path + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", b"POST", b"{}"),
        (302, "PUT", b"PUT", b"{}"),
        (303, "POST", b"GET", b""),
        (303, "HEAD", b"HEAD", b""),
        (307, "PATCH", b"PATCH", b"{}"),
        (308, "DELETE", b"DELETE", b"{}"),
    ],
)
async def test_a_303_is_followed_with_get_and_all_others_as_they_were(client, status, method, then, body):
    place = Place(hook=to("/there", status), there=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    sent = b"" if method == "HEAD" else b"{}"
    async with Endpoint(place.behave) as endpoint:
        headers = (("Content-Type", "application/json"), ("X-Note", "1"))
        await client.send(following(endpoint.url, method=method, body=sent, headers=headers))

    assert (then, body) == (place.heads[1].split(b" ")[0], place.bodies[1])
    assert b"X-Note: 1" in place.heads[1]
    assert (then == b"GET") == (b"Content-Type" not in place.heads[1])
    assert (then == b"GET") == (b"content-length" not in place.heads[1].lower()) or method == "HEAD"


@pytest.mark.parametrize("status", [300, 304, 305, 306])
async def test_other_3xx_are_not_redirects(client, status):
    place = Place(hook=to("/there", status))
    async with Endpoint(place.behave) as endpoint:
        assert (await client.send(following(endpoint.url))).status == status
    assert len(place.heads) == 1


async def test_a_redirect_without_a_location_is_the_answer(client):
    async with Endpoint(says(b"HTTP/1.1 302 Moved\r\nContent-Length: 0\r\n\r\n")) as endpoint:
        assert (await client.send(following(endpoint.url))).status == 302


@pytest.mark.parametrize(("redirects", "asked"), [(0, 1), (1, 2), (3, 4), (50, 4)])
async def test_a_redirect_in_a_circle_ends_after_as_many_as_were_asked_for_and_three_at_most(client, redirects, asked):
    place = Place(hook=to("/hook"))
    async with Endpoint(place.behave) as endpoint:
        response = await client.send(following(endpoint.url, redirects))

    assert (302, asked) == (response.status, len(place.heads))


SECRETS = (("Authorization", "Bearer x"), ("cookie", "a=b"), ("X-Api-Key", "k"), ("X-Note", "n"))


@pytest.mark.parametrize("other", ["localhost", "other.test"])
async def test_credentials_stay_with_the_origin_they_were_meant_for(client, other):
    place = Place(hook=to("/again"))
    async with Endpoint(place.behave) as endpoint:
        place.answers["again"] = to(f"http://{other}:{endpoint.port}/there")
        request = following(f"http://hooks.test:{endpoint.port}/hook", headers=SECRETS, credentials=("x-api-key",))
        await client.send(request)

    first, again, there = place.heads
    for head in (first, again):
        assert all(f"{name}: {value}".encode() in head for name, value in SECRETS)
    assert b"X-Note: n" in there
    assert not any(secret in there.lower() for secret in (b"authorization", b"cookie", b"x-api-key"))
    assert f"host: {other}:".encode() in there


async def test_another_port_is_another_origin_and_what_was_dropped_does_not_come_back(client):
    first, second = Place(), Place()
    async with Endpoint(first.behave) as one, Endpoint(second.behave) as two:
        first.answers["hook"] = to(f"http://127.0.0.1:{two.port}/hook")
        second.answers["hook"] = to(f"http://127.0.0.1:{one.port}/back")
        await client.send(following(one.url, headers=SECRETS))

    assert [True, False] == [b"Authorization" in head for head in first.heads]
    assert [False] == [b"Authorization" in head for head in second.heads]


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("http://10.0.0.1/", "egress"),
        ("http://169.254.169.254/latest/meta-data", "egress"),
        ("http://[::1]:6379/", "egress"),
        ("http://inside.test:8080/", "egress"),
        ("http://127.1/", "redirect"),
        ("http://user:pw@hooks.test/", "redirect"),
        ("ftp://hooks.test/", "redirect"),
        ("javascript:alert(1)", "redirect"),
        ("http://[", "redirect"),
        ("http://a b/", "redirect"),
        ("http://hooks.test\\@10.0.0.1/", "redirect"),
    ],
)
async def test_every_hop_is_vetted_like_the_first(location, kind):
    async def lookup(host: str, port: int) -> list[str]:
        return ["10.0.0.1"] if host == "inside.test" else ["127.0.0.1"]

    client = Client(LOOPBACK, SystemClock(), lookup=lookup)
    async with Endpoint(says(to(location))) as endpoint:
        with pytest.raises(Unreachable) as error:
            await client.send(following(f"http://hooks.test:{endpoint.port}/"))

        assert (kind, 1) == (error.value.kind, endpoint.accepted)
    await client.close()


async def test_a_redirect_does_not_lead_out_of_tls(trusting, authority):
    async with Endpoint(says(OK)) as clear:
        answer = to(f"http://hooks.test:{clear.port}/")
        async with Endpoint(says(answer), authority.server("hooks.test")) as endpoint:
            with pytest.raises(Unreachable, match="from https to http"):
                await trusting.send(following(f"https://hooks.test:{endpoint.port}/"))

        assert clear.accepted == 0


async def test_one_deadline_stands_over_all_hops(client):
    clock = SystemClock()

    async def behave(session: Session) -> None:
        while True:
            await session.request()
            await clock.wait(asyncio.Event(), 0.15)
            await session.send(to("/hook"))

    async with Endpoint(behave) as endpoint:
        started = clock.monotonic()
        with pytest.raises(Unreachable, match=r"^timeout after 0.35 s$"):
            await client.send(following(endpoint.url, timeout=0.35))

        assert clock.monotonic() - started < 0.6


async def test_a_redirect_that_comes_when_the_time_is_up_is_not_followed(client):
    async def behave(session: Session) -> None:
        asked.append(await session.request())
        await session.send(b"HTTP/1.1 302 Moved\r\nLocation: /hook\r\nContent-Length: 9\r\n\r\n")
        await session.gone()

    asked = []
    async with Endpoint(behave) as endpoint:
        with pytest.raises(Unreachable, match="timeout"):
            await client.send(following(endpoint.url, timeout=0.1))
        await endpoint.until_open(0)

    assert len(asked) == 1


async def test_head_has_no_body_and_keeps_its_connection(client):
    async with Endpoint(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as endpoint:
        for _ in range(2):
            assert (await client.send(get(endpoint.url, "HEAD"))).body == b""

        assert endpoint.accepted == 1


async def test_a_body_after_head_is_not_taken_for_the_next_response(client):
    async with Endpoint(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")) as endpoint:
        for _ in range(2):
            assert (await client.send(get(endpoint.url, "HEAD"))).body == b""

        assert endpoint.accepted == 2


async def test_an_early_response_counts_and_ends_the_connection(client):
    async def behave(session: Session) -> None:
        await session.head()
        await session.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await over.wait()

    over = asyncio.Event()
    async with Endpoint(behave) as endpoint:
        # More than the buffers of two sockets hold, so that it is never sent to its end.
        response = await client.send(post(endpoint.url, b"x" * 30_000_000))
        over.set()

        assert response.status == 413
        await endpoint.until_open(0)


async def test_a_half_closed_response_is_whole(client):
    async def behave(session: Session) -> None:
        await session.request()
        await session.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await session.finish()

    async with Endpoint(behave) as endpoint:
        response = await client.send(post(endpoint.url))

        assert (b"all of it", False) == (response.body, response.truncated)
        await endpoint.until_open(0)


async def test_a_huge_body_is_cut_and_the_connection_ended(client):
    async def behave(session: Session) -> None:
        await session.request()
        await session.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await session.send(b"x" * 65536)

    async with Endpoint(behave) as endpoint:
        response = await client.send(post(endpoint.url))

        assert (200, b"x" * Limits().most_body, True) == (response.status, response.body, response.truncated)
        await endpoint.until_open(0)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 102, "too many headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 17_000, "headers too large"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 17_000 + b"\r\n\r\n", "headers too large"),
        (b"HTTP/1.1 200 " + b"O" * 70_000, "headers too large"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 6, "too many interim responses"),
        (b"HTTP/1.1 103 Hints\r\nLink: " + b"x" * 6000 + b"\r\n\r\n", "headers too large"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unexpected status 101"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "unexpected status 101"),
        (b"HTTP/1.1 099 Odd\r\n\r\n", "unexpected status 99"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "not valid HTTP"),
    ],
)
async def test_a_head_that_is_no_head_is_refused_at_once(client, part, reason):
    async def behave(session: Session) -> None:
        await session.request()
        while True:
            await session.send(part)

    async with Endpoint(behave) as endpoint:
        with pytest.raises(Unreachable, match=reason) as error:
            await client.send(post(endpoint.url))
        await endpoint.until_open(0)

    assert error.value.kind == "protocol"


async def drip(session: Session, parts: list[bytes]) -> None:
    await session.request()
    never = asyncio.Event()
    for part in parts:
        await session.send(part)
        await SystemClock().wait(never, 0.02)


async def test_a_head_that_drips_ends_at_the_deadline(client):
    async with Endpoint(lambda session: drip(session, [b"HTTP/1.1 200 OK\r\n"] + [b"A: b\r\n"] * 90)) as endpoint:
        with pytest.raises(Unreachable, match=r"^timeout after 0.3 s$") as error:
            await client.send(post(endpoint.url, timeout=0.3))
        await endpoint.until_open(0)

    assert error.value.kind == "timeout"


async def test_a_body_that_drips_is_cut_at_the_deadline_and_its_status_stands(client):
    async with Endpoint(lambda session: drip(session, [b"HTTP/1.1 200 OK\r\n\r\n"] + [b"x"] * 500)) as endpoint:
        response = await client.send(post(endpoint.url, timeout=0.3))
        await endpoint.until_open(0)

    assert (200, True) == (response.status, response.truncated)
    assert 1 <= len(response.body) < 500


async def test_silence_ends_at_the_deadline_of_each_request(client):
    clock = SystemClock()
    async with Endpoint(is_silent) as endpoint:
        started = clock.monotonic()

        async def ends_after(seconds: float) -> float:
            with pytest.raises(Unreachable, match="timeout"):
                await client.send(post(endpoint.url, timeout=seconds))
            return clock.monotonic() - started

        took = await asyncio.gather(*(ends_after(seconds) for seconds in (0.5, 0.1, 0.3)))

    for seconds, passed in zip((0.5, 0.1, 0.3), took, strict=True):
        assert seconds <= passed < seconds + 1


async def test_a_connect_into_a_black_hole_ends_at_the_deadline(client):
    with blackhole() as port, pytest.raises(Unreachable, match=r"^timeout after 0.2 s$"):
        await client.send(post(f"http://127.0.0.1:{port}/", timeout=0.2))


async def test_connecting_has_a_limit_of_its_own():
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connect_seconds=0.1))
    with blackhole() as port, pytest.raises(Unreachable, match=r"^connect timed out after 0.1 s$") as error:
        await client.send(post(f"http://127.0.0.1:{port}/"))

    assert error.value.kind == "connect"
    await client.close()


async def test_a_closed_port_says_so(client):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"^connection refused$") as error:
            await client.send(post(f"http://127.0.0.1:{unused.getsockname()[1]}/"))

    assert error.value.kind == "connect"


@pytest.mark.parametrize("last", ["close", "reset"])
async def test_an_endpoint_that_hangs_up_on_a_fresh_connection_is_not_asked_twice(client, last):
    async def behave(session: Session) -> None:
        await session.request()
        if last == "reset":
            session.reset()

    async with Endpoint(behave) as endpoint:
        with pytest.raises(Unreachable, match=r"^connection closed before a response$") as error:
            await client.send(post(endpoint.url))

        assert (1, "closed") == (endpoint.accepted, error.value.kind)


def serves_one_then(ending: Callable[[Session], None], *parts: bytes) -> Callable:
    """Answers one request; on the second it says `parts` and ends; a new connection is answered again."""

    async def behave(session: Session) -> None:
        await session.request()
        await session.send(OK)
        await session.request()
        for part in parts:
            await session.send(part)
        ending(session)

    return behave


@pytest.mark.parametrize("ending", [lambda _: None, Session.reset], ids=["close", "reset"])
async def test_a_warm_connection_that_has_gone_stale_is_replaced_once(client, ending):
    async with Endpoint(serves_one_then(ending)) as endpoint:
        assert (await client.send(post(endpoint.url))).status == 200
        assert (await client.send(post(endpoint.url))).status == 200
        assert endpoint.accepted == 2


async def test_a_warm_connection_that_began_to_answer_is_not_replaced(client):
    async with Endpoint(serves_one_then(lambda _: None, b"H")) as endpoint:
        await client.send(post(endpoint.url))
        with pytest.raises(Unreachable, match="closed before a response"):
            await client.send(post(endpoint.url))

        assert endpoint.accepted == 1


async def test_a_stale_connection_whose_replacement_fails_too_is_an_error(client):
    async def behave(session: Session) -> None:
        await session.request()
        if endpoint.accepted == 1:
            await session.send(OK)
            await session.request()

    async with Endpoint(behave) as endpoint:
        await client.send(post(endpoint.url))
        with pytest.raises(Unreachable, match="closed before a response"):
            await client.send(post(endpoint.url))

        assert endpoint.accepted == 2


async def test_a_connection_is_not_used_again_after_a_minute_however_busy_it_is():
    clock = FakeClock()
    client = Client(LOOPBACK, clock)
    async with Endpoint(says(OK)) as endpoint:
        for _ in range(6):
            await client.send(post(endpoint.url))
            clock.advance(11)

        assert endpoint.accepted == 1
        await client.send(post(endpoint.url))

        assert endpoint.accepted == 2
        await client.close()


async def test_a_connection_that_grew_too_old_in_use_is_not_handed_on(gate):
    clock = FakeClock()
    client = Client(LOOPBACK, clock, limits=Limits(connections_per_origin=1))
    async with Endpoint(gate.behave) as endpoint:
        first = await start(client, Request(method="POST", url=endpoint.url, timeout=300))
        await gate.came.get()
        second = await start(client, Request(method="POST", url=endpoint.url, timeout=300))
        clock.advance(60)
        gate.let.release()
        gate.let.release()

        assert [200, 200] == [(await task).status for task in (first, second)]
        assert endpoint.accepted == 2
        await client.close()


async def test_what_is_idle_and_too_old_is_closed():
    client = Client(LOOPBACK, SystemClock(), limits=Limits(age_seconds=0.1, tidy_seconds=0.05))
    async with Endpoint(says(OK)) as endpoint:
        await client.send(post(endpoint.url))
        await endpoint.until_open(0)

        assert (await client.send(post(endpoint.url))).status == 200
        await client.close()


class Gate:
    """An endpoint that answers each request when it is let through, and notes in which order they came."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self.let = asyncio.Semaphore(0)

    async def behave(self, session: Session) -> None:
        while True:
            self.came.put_nowait((await session.request()).rpartition(b"\r\n")[2])
            await self.let.acquire()
            await session.send(OK)


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def narrow() -> AsyncIterator[Client]:
    """A client with room for one connection to an origin."""
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1, patience_seconds=5))
    yield client
    await client.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Client]:
    """The same, which nobody waits for."""
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1, patience_seconds=0.02))
    yield client
    await client.close()


async def start(client: Client, request: Request) -> asyncio.Task[Response]:
    """The request under way, as far as it gets by itself."""
    task = asyncio.create_task(client.send(request))
    await SystemClock().wait(asyncio.Event(), 0)
    return task


async def test_an_origin_gets_no_more_connections_than_its_limit(gate):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=3, patience_seconds=5))
    async with Endpoint(gate.behave) as endpoint:
        tasks = [await start(client, post(endpoint.url)) for _ in range(12)]
        for _ in range(12):
            await gate.came.get()
            gate.let.release()
        answers = await asyncio.gather(*tasks)

        assert [200] * 12 == [answer.status for answer in answers]
        assert (3, 3) == (endpoint.accepted, endpoint.most_open)
        await client.close()


async def test_who_waits_for_a_connection_is_served_in_turn(narrow, gate):
    async with Endpoint(gate.behave) as endpoint:
        bodies = [b"%d" % number for number in range(6)]
        tasks = [await start(narrow, post(endpoint.url, body)) for body in bodies]
        came = []
        for _ in bodies:
            came.append(await gate.came.get())
            gate.let.release()
        await asyncio.gather(*tasks)

        assert bodies == came
        assert endpoint.accepted == 1


async def test_a_turn_is_waited_for_a_moment_and_then_the_origin_is_busy(hasty, gate):
    async with Endpoint(gate.behave) as endpoint:
        first = await start(hasty, post(endpoint.url, b"first"))
        await gate.came.get()
        with pytest.raises(Busy, match=r"has no room for more requests just now$") as busy:
            await hasty.send(post(endpoint.url, b"late"))
        gate.let.release()
        gate.let.release()

        assert (f"http://127.0.0.1:{endpoint.port}", None) == (busy.value.place, busy.value.pause)
        assert (await first).status == 200
        assert (await hasty.send(post(endpoint.url, b"third"))).status == 200
        assert await gate.came.get() == b"third"


async def test_who_waited_for_a_turn_as_long_as_a_request_may_take_has_not_been_sent(narrow, gate):
    async with Endpoint(gate.behave) as endpoint:
        first = await start(narrow, post(endpoint.url))
        with pytest.raises(Busy):
            await narrow.send(post(endpoint.url, timeout=0.01))
        gate.let.release()

        assert (await first).status == 200


async def test_nobody_waits_where_waiting_was_in_vain_until_an_answer_comes_at_once(gate):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1, patience_seconds=0.2))
    async with Endpoint(gate.behave) as endpoint:
        first = await start(client, post(endpoint.url))
        with pytest.raises(Busy):
            await client.send(post(endpoint.url))
        for _ in range(5):
            [end] = await asyncio.gather(await start(client, post(endpoint.url)), return_exceptions=True)

            assert isinstance(end, Busy)
        gate.let.release()  # which took too long to make anybody wait again
        await first
        gate.let.release()
        await client.send(post(endpoint.url))
        third, fourth = [await start(client, post(endpoint.url)) for _ in range(2)]
        gate.let.release()
        gate.let.release()

        assert [200, 200] == [(await task).status for task in (third, fourth)]
        await client.close()


async def test_not_more_than_a_few_wait(gate):
    client = Client(
        LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1, patience_seconds=5, most_waiting=2)
    )
    async with Endpoint(gate.behave) as endpoint:
        tasks = [await start(client, post(endpoint.url)) for _ in range(3)]
        with pytest.raises(Busy):
            await client.send(post(endpoint.url))
        for _ in tasks:
            gate.let.release()

        assert [200] * 3 == [(await task).status for task in tasks]
        await client.close()


async def test_an_origin_that_is_not_known_gets_few_requests_at_once(client, gate):
    async with Endpoint(gate.behave) as endpoint:
        ends = await asyncio.gather(
            *[await start(client, post(endpoint.url, timeout=0.3)) for _ in range(50)], return_exceptions=True
        )

        assert (10, 40) == (endpoint.most_open, sum(isinstance(end, Busy) for end in ends))


async def test_a_fast_origin_gets_more_and_more_and_a_slow_one_less(gate):
    limits = Limits(least_per_origin=1, connections_per_origin=4, fast_seconds=60, slow_seconds=60, patience_seconds=60)
    client = Client(LOOPBACK, SystemClock(), limits=limits)
    async with Endpoint(gate.behave) as endpoint:
        tasks = [await start(client, post(endpoint.url)) for _ in range(12)]
        for _ in tasks:
            gate.let.release()
        await asyncio.gather(*tasks)

        assert endpoint.most_open == 4
        slow = [await start(client, post(endpoint.url, timeout=0.1)) for _ in range(4)]
        ends = await asyncio.gather(*slow, return_exceptions=True)

        assert ["timeout"] * 4 == [end.kind for end in ends]
        one = await start(client, post(endpoint.url))
        with pytest.raises(Busy):
            await client.send(post(endpoint.url))
        for _ in range(5):  # those that were given up wait at the gate as well
            gate.let.release()

        assert (await one).status == 200
        await client.close()


async def test_who_was_turned_away_is_called_back_when_there_is_room(gate):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1, patience_seconds=0.01))
    called = []
    client.on_room = lambda place, count: called.append((place, count))
    async with Endpoint(gate.behave) as endpoint:
        first = await start(client, post(endpoint.url))
        for _ in range(3):
            with pytest.raises(Busy):
                await client.send(post(endpoint.url))
        gate.let.release()
        await first
        gate.let.release()
        await client.send(post(endpoint.url))
        gate.let.release()
        await client.send(post(endpoint.url))

        place = f"http://127.0.0.1:{endpoint.port}"
        assert 3 == sum(count for _, count in called)
        assert {place} == {each for each, _ in called}
        await client.close()


async def test_an_origin_gets_no_more_requests_a_second_than_an_operator_says():
    clock = FakeClock()
    client = Client(LOOPBACK, clock, limits=Limits(rate_per_origin=2))
    pauses = []
    async with Endpoint(says(OK)) as endpoint:
        for _ in range(6):
            try:
                await client.send(post(endpoint.url))
            except Busy as busy:
                pauses.append(round(busy.pause, 3))
        await client.send(post(f"http://localhost:{endpoint.port}/"))  # another origin
        clock.advance(0.5)
        await client.send(post(endpoint.url))
        with pytest.raises(Busy):
            await client.send(post(endpoint.url))

    assert [0.5, 1.0, 1.5, 2.0] == pauses
    await client.close()


async def test_a_full_origin_further_on_is_no_reason_to_send_again(hasty, gate):
    place = Place()
    async with Endpoint(gate.behave) as full, Endpoint(place.behave) as endpoint:
        place.answers["hook"] = to(full.url)
        first = await start(hasty, post(full.url))
        with pytest.raises(Unreachable, match="no room") as error:
            await hasty.send(following(endpoint.url))
        gate.let.release()

        assert not isinstance(error.value, Busy)
        assert (await first).status == 200


async def test_a_name_server_that_is_silent_does_not_take_more_than_the_places_of_its_origin():
    async def lookup(host: str, port: int) -> list[str]:
        if host == "silent.test":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=2, lookup_seconds=0.5), lookup=lookup)
    async with Endpoint(says(OK)) as endpoint:
        tasks = [asyncio.create_task(client.send(post("http://silent.test/"))) for _ in range(20)]
        assert (await client.send(post(f"http://hooks.test:{endpoint.port}/"))).status == 200
        ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert (18, 2) == (sum(isinstance(end, Busy) for end in ends), sum(end.kind == "dns" for end in ends))
    await client.close()


async def test_not_too_many_names_are_looked_up_at_once():
    async def hangs(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    client = Client(LOOPBACK, SystemClock(), limits=Limits(most_lookups=2, lookup_seconds=0.1), lookup=hangs)
    sent = [client.send(post(f"http://{name}.test/")) for name in "abc"]
    ends = await asyncio.gather(*sent, return_exceptions=True)

    assert [False, False, True] == ["too many names" in str(end) for end in ends]
    await client.close()


async def test_a_request_that_is_cancelled_under_way_ends_its_connection_and_gives_its_place_on(narrow, gate):
    async with Endpoint(gate.behave) as endpoint:
        first = await start(narrow, post(endpoint.url, b"first"))
        await gate.came.get()
        second = await start(narrow, post(endpoint.url, b"second"))
        first.cancel()

        assert await gate.came.get() == b"second"
        gate.let.release()
        gate.let.release()
        assert (await second).status == 200
        assert first.cancelled()


async def test_a_request_that_is_cancelled_while_it_waits_is_passed_over(narrow, gate):
    async with Endpoint(gate.behave) as endpoint:
        first = await start(narrow, post(endpoint.url, b"first"))
        await gate.came.get()
        second = await start(narrow, post(endpoint.url, b"second"))
        third = await start(narrow, post(endpoint.url, b"third"))
        second.cancel()
        gate.let.release()
        await first

        assert await gate.came.get() == b"third"
        gate.let.release()
        assert (await third).status == 200


@pytest.mark.parametrize("answer", [OK, ENDED], ids=["connection", "slot"])
async def test_a_request_that_is_cancelled_just_when_its_turn_comes_loses_nothing(narrow, answer):
    async def send_and_cancel() -> None:
        await narrow.send(post(endpoint.url))
        second.cancel()  # it has been given its turn, and does not know yet

    async with Endpoint(says(answer)) as endpoint:
        first = asyncio.create_task(send_and_cancel())
        second = await start(narrow, post(endpoint.url))
        third = await start(narrow, post(endpoint.url))
        await asyncio.wait([first, second])

        assert (await third).status == 200
        assert second.cancelled()


async def test_a_failing_origin_does_not_leak_its_places(narrow):
    async with Endpoint(says_once(b"nonsense\r\n")) as endpoint:
        for _ in range(3):
            with pytest.raises(Unreachable, match="not valid HTTP"):
                await narrow.send(post(endpoint.url))
    for _ in range(3):
        with pytest.raises(Unreachable, match="connection refused"):
            await narrow.send(post(endpoint.url))


async def test_closing_ends_what_is_under_way_and_what_waits(gate):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(connections_per_origin=1))
    async with Endpoint(gate.behave) as endpoint:
        tasks = [await start(client, post(endpoint.url)) for _ in range(3)]
        await gate.came.get()
        await client.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)

        assert ["closed"] * 3 == [end.kind for end in ends]
        gate.let.release()
        await endpoint.until_open(0)


async def test_a_connection_that_opens_while_the_client_closes_is_ended(trusting, authority):
    async with Endpoint(says(OK), authority.server("127.0.0.1")) as endpoint:
        task = await start(trusting, post(endpoint.url))
        await trusting.close()
        [end] = await asyncio.gather(task, return_exceptions=True)

        assert end.kind == "closed"
        await endpoint.until_open(0)


class Names:
    """A name service that can be steered, and counts."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers


async def test_a_name_is_looked_up_once_for_all_who_ask_and_remembered_for_a_while():
    names, clock = Names("127.0.0.1"), FakeClock()
    client = Client(LOOPBACK, clock, lookup=names)
    async with Endpoint(says(OK)) as endpoint:
        url = f"http://hooks.test:{endpoint.port}/"
        await asyncio.gather(*(client.send(post(url)) for _ in range(10)))

        assert names.asked == 1
        clock.advance(31)
        await client.send(post(url))

        assert names.asked == 2
        await client.close()


async def test_not_every_name_is_remembered():
    names = Names("127.0.0.1")
    client = Client(LOOPBACK, FakeClock(), limits=Limits(most_remembered=2), lookup=names)
    async with Endpoint(says(OK)) as endpoint:
        for name in "abca":
            await client.send(post(f"http://{name}.test:{endpoint.port}/"))

        assert names.asked == 4
        await client.close()


async def test_a_connection_to_an_address_that_is_no_longer_the_name_s_is_not_handed_on(gate):
    names, clock = Names("127.0.0.1"), FakeClock()
    client = Client(LOOPBACK, clock, lookup=names, limits=Limits(connections_per_origin=1))
    async with Endpoint(gate.behave) as endpoint:
        first = await start(client, post(f"http://hooks.test:{endpoint.port}/"))
        await gate.came.get()
        names.answers = ["127.0.0.2"]
        clock.advance(31)
        second = await start(client, post(f"http://hooks.test:{endpoint.port}/"))
        gate.let.release()

        assert (await first).status == 200
        with pytest.raises(Unreachable, match="connection refused"):
            await second
        await client.close()


async def test_the_next_address_is_tried_when_one_does_not_answer():
    names, limits = Names("127.0.0.9", "::1", "127.0.0.1"), Limits(connect_seconds=0.6)
    async with Endpoint(says(OK)) as endpoint:
        client = Client(LOOPBACK, SystemClock(), limits=limits, lookup=names)
        with blackhole("127.0.0.9", endpoint.port):
            response = await client.send(post(f"http://hooks.test:{endpoint.port}/"))

        assert response.status == 200
        await client.close()


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%lo"]])
async def test_one_forbidden_answer_spoils_them_all(answers):
    async with Endpoint(says(OK)) as endpoint:
        client = Client(LOOPBACK, SystemClock(), lookup=Names(*answers))
        with pytest.raises(Unreachable, match="is not open to deliveries") as error:
            await client.send(post(f"http://hooks.test:{endpoint.port}/"))

        assert ("egress", 0) == (error.value.kind, endpoint.accepted)
        assert "10.0.0.1" not in str(error.value)
        await client.close()


async def test_networks_of_our_own_are_refused_though_they_look_public():
    egress = Egress(["8.8.4.0/24:8443"], deny=["8.8.0.0/16", "2620:1::/32"])
    for answer, port in (("8.8.1.1", 443), ("8.8.4.4", 443), ("2620:1::1", 443), ("::ffff:8.8.1.1", 443)):
        client = Client(egress, SystemClock(), lookup=Names(answer))
        with pytest.raises(Unreachable, match="is not open to deliveries") as error:
            await client.send(get(f"https://hooks.test:{port}/"))

        assert error.value.kind == "egress"
        await client.close()


async def test_where_only_https_is_open_nothing_goes_out_in_the_clear():
    client = Client(Egress(["127.0.0.0/8"], https_only=True), SystemClock(), lookup=loopback)
    async with Endpoint(says(OK)) as endpoint:
        with pytest.raises(Unreachable, match="only https") as error:
            await client.send(post(endpoint.url))

        assert ("egress", 0) == (error.value.kind, endpoint.accepted)
    await client.close()


async def test_a_name_that_is_bound_anew_does_not_reach_its_new_address_nor_its_warm_connection():
    names, clock = Names("127.0.0.1"), FakeClock()
    client = Client(LOOPBACK, clock, lookup=names)
    async with Endpoint(says(OK)) as endpoint:
        url = f"http://hooks.test:{endpoint.port}/"
        await client.send(post(url))
        names.answers = ["10.0.0.1"]
        clock.advance(31)
        with pytest.raises(Unreachable, match="is not open to deliveries"):
            await client.send(post(url))
        names.answers = ["127.0.0.2"]
        with pytest.raises(Unreachable, match="connection refused"):
            await client.send(post(url))

        assert endpoint.accepted == 1
        await client.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "?"), "host name not found"),
        (socket.gaierror(socket.EAI_AGAIN, "?"), "name lookup failed"),
        (UnicodeError("label too long"), "name lookup failed"),
    ],
)
async def test_a_name_that_is_not_found_is_said_in_plain_words(error, reason):
    async def fails(host: str, port: int) -> list[str]:
        raise error

    client = Client(LOOPBACK, SystemClock(), lookup=fails)
    with pytest.raises(Unreachable, match=f"^{reason}$") as end:
        await client.send(post("http://hooks.test/"))

    assert end.value.kind == "dns"
    await client.close()


async def test_a_name_without_an_address_is_an_error():
    client = Client(LOOPBACK, SystemClock(), lookup=Names())
    with pytest.raises(Unreachable, match="host name has no address"):
        await client.send(post("http://hooks.test/"))
    await client.close()


async def test_a_name_lookup_has_a_limit_of_its_own():
    async def hangs(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    client = Client(LOOPBACK, SystemClock(), limits=Limits(lookup_seconds=0.1), lookup=hangs)
    with pytest.raises(Unreachable, match=r"^name lookup timed out after 0.1 s$"):
        await client.send(post("http://hooks.test/"))
    with pytest.raises(Unreachable, match=r"^timeout after 0.05 s$"):
        await client.send(post("http://hooks.test/", timeout=0.05))
    await client.close()


async def test_a_name_lookup_that_fails_after_all_have_given_up_is_nobodys_error():
    failing, failed, complaints = asyncio.Event(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fails_late(host: str, port: int) -> list[str]:
        await failing.wait()
        asyncio.current_task().add_done_callback(lambda _: failed.set())
        raise socket.gaierror(socket.EAI_NONAME, "?")

    client = Client(LOOPBACK, SystemClock(), limits=Limits(lookup_seconds=0.05), lookup=fails_late)
    with pytest.raises(Unreachable):
        await client.send(post("http://hooks.test/"))
    failing.set()
    await failed.wait()
    gc.collect()

    assert [] == complaints
    await client.close()


async def test_localhost_is_found_by_the_system():
    client = Client(LOOPBACK, SystemClock())
    async with Endpoint(says(OK)) as endpoint:
        response = await client.send(post(f"http://localhost:{endpoint.port}/"))

        assert response.status == 200
        await client.close()


FORMS = """
127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 0 0.0.0.0 0.0.0.0. 0x0 00 2130706433 2130706433. 0x7f000001 0X7F000001
017700000001 0x7f.1 0x7f.0.0.1 0177.1 0177.0.0.1 0177.0.0.01 127.0.0.0x1 127.0.0.01 127.00.0.1 0127.0.0.1 127.0x0.1
127.0.0.1.0x7f 1.127.0.0.1 [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [::127.0.0.1] [::7f00:1] [::ffff:127.0.0.1]
[::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:0:127.0.0.1] [::ffff:0.0.0.0] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b:1::127.0.0.1] [2002:7f00:1::] [2002:7f00:1::1] [2001:0:4136:e378:8000:63bf:80ff:fffe] [fe80::1] [fe80::1%25lo]
[::1%25lo] [::1%lo] [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1] [100::1] [5f00::1] [3fff::1] localhost LOCALHOST localhost.
foo.localhost １２７.0.0.1 １２７.１ ①②⑦.0.0.1 127。0。0。1 127｡0｡0｡1 ０x7f.1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ lo%63alhost 127.0.0.1%00.example.com
user@127.0.0.1 example.com@127.0.0.1 127.0.0.1\\@example.com 127.0.0.1#@example.com example.com#@127.0.0.1
10.0.0.1 169.254.169.254 168.63.129.16 192.0.0.192 255.255.255.255 224.0.0.1 rebound.test
""".split()  # noqa: SIM905 - a list of words reads as a list of words


async def system(host: str, port: int) -> list[str]:
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


async def seven_lies(host: str, port: int) -> list[str]:
    """What a hostile name service might say; asked for anything but a plain name, it says what the system would."""
    return ["127.0.0.1"] if host == "rebound.test" else await system(host, port)


@pytest.mark.parametrize("form", FORMS)
async def test_no_form_of_a_local_address_is_ever_connected_to(form):
    client = Client(Egress(), SystemClock(), lookup=seven_lies)
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        with socket.create_server(("::1", port), family=socket.AF_INET6) as six:
            with pytest.raises((Invalid, Unreachable)) as error:
                await client.send(post(f"http://{form}:{port}/", timeout=3))
            for listening in (four, six):
                listening.setblocking(False)
                with pytest.raises(BlockingIOError):
                    listening.accept()

    assert getattr(error.value, "kind", "egress") in {"egress", "dns"}
    await client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(SystemClock().now(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def trusting(authority: Authority) -> AsyncIterator[Client]:
    client = Client(LOOPBACK, SystemClock(), lookup=loopback, tls=Tls(authority.trusted()))
    yield client
    await client.close()


async def test_tls_checks_and_names_the_host_while_the_address_is_pinned(trusting, authority):
    context, named = authority.server("hooks.test"), []
    context.sni_callback = lambda _sock, name, _context: named.append(name)
    async with Endpoint(says(OK), context) as endpoint:
        for _ in range(2):
            response = await trusting.send(post(f"https://hooks.test:{endpoint.port}/"))

            assert (200, b"ok") == (response.status, response.body)
        assert (["hooks.test"], 1) == (named, endpoint.accepted)


async def test_tls_to_a_literal_address_needs_a_certificate_for_it(trusting, authority):
    async with Endpoint(says(OK), authority.server("127.0.0.1")) as endpoint:
        assert (await trusting.send(post(endpoint.url))).status == 200


@pytest.mark.parametrize(
    ("name", "ends", "reason"),
    [("other.test", 1, "Hostname mismatch"), ("hooks.test", -1, "certificate has expired")],
)
async def test_tls_refuses_a_certificate_that_does_not_hold(trusting, authority, name, ends, reason):
    async with Endpoint(says(OK), authority.server(name, timedelta(days=ends))) as endpoint:
        with pytest.raises(Unreachable, match=f"^certificate refused: {reason}") as error:
            await trusting.send(post(f"https://hooks.test:{endpoint.port}/"))

        assert (error.value.kind, endpoint.accepted) == ("tls", 0)


async def test_tls_refuses_an_authority_that_is_not_known(client, authority):
    async with Endpoint(says(OK), authority.server("hooks.test")) as endpoint:
        with pytest.raises(Unreachable, match=r"^certificate refused: unable to get local issuer"):
            await client.send(post(f"https://hooks.test:{endpoint.port}/"))


async def test_tls_with_an_endpoint_that_speaks_something_else_fails(trusting):
    async with Endpoint(lambda session: session.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as endpoint:
        with pytest.raises(Unreachable, match=r"^TLS handshake failed$"):
            await trusting.send(post(f"https://hooks.test:{endpoint.port}/"))


async def test_a_tls_handshake_has_a_limit_of_its_own():
    client = Client(LOOPBACK, SystemClock(), limits=Limits(tls_seconds=0.1), lookup=loopback)
    async with Endpoint(is_silent) as endpoint:
        with pytest.raises(Unreachable, match=r"^TLS handshake timed out after 0.1 s$"):
            await client.send(post(f"https://hooks.test:{endpoint.port}/"))
        with pytest.raises(Unreachable, match=r"^timeout after 0.05 s$"):
            await client.send(post(f"https://hooks.test:{endpoint.port}/", timeout=0.05))
        await endpoint.until_open(0)
    await client.close()


async def test_a_stale_tls_connection_is_replaced(trusting, authority):
    async with Endpoint(serves_one_then(lambda _: None), authority.server("hooks.test")) as endpoint:
        for _ in range(2):
            assert (await trusting.send(post(f"https://hooks.test:{endpoint.port}/"))).status == 200

        assert endpoint.accepted == 2


# What a response may be made of, in any order and any state of repair.
pieces = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 204\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n", b"Trailer: T\r\n",
        b"\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n", b"ffffffffffffffff\r\n", b"\0", b" folded\r\n",
    ]
)  # fmt: skip
responses = st.lists(pieces | st.binary(max_size=6), max_size=14).map(b"".join)


@given(raw=responses)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_an_endpoint_says_a_request_ends(client, raw):
    async with Endpoint(says_once(raw)) as endpoint:
        [end] = await asyncio.gather(client.send(post(endpoint.url)), return_exceptions=True)

    assert isinstance(end, Response) or end.kind in {"protocol", "closed"}


def test_a_request_that_follows_redirects_has_no_headers_that_cannot_be_taken_out_again():
    with pytest.raises(ValueError, match="give `headers` instead"):
        Request(method="GET", url="http://127.0.0.1/", timeout=5, redirects=1, lines=b"authorization: Bearer x\r\n")
