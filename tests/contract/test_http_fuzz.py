"""Endpoints that say anything at all, in pieces of any size, and end in any way.

Whatever comes, a request ends in a response or in a reason, in time, within its limits, and leaves nothing behind: the
client has room for one connection to an origin, so a place that is not given back would make the next request wait in vain.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from itertools import pairwise

import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qhronos.clock import SystemClock
from qhronos.errors import Unreachable
from qhronos.http import Client, Egress, Limits, Request, Response
from qhronos.http.reader import Reader
from tests.contract.servers import OK, Endpoint, Session

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
EXAMPLES = int(os.environ.get("QHRONOS_TEST_EXAMPLES", "0"))
LIMITS = Limits(
    most_headers=6, most_header_bytes=300, most_interim=2, most_body=64, connections_per_origin=1, patience_seconds=5
)
SECONDS = 0.1
KINDS = {"protocol", "closed", "timeout"}

# What a response may be made of, in any order and any state of repair.
pieces = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 \r\n", b"HTTP/1.1 204\r\n", b"HTTP/1.1 304 Not Modified\r\n", b"HTTP/2 200\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 101 Switching\r\n", b"HTTP/1.1 99999 X\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
        b"Upgrade: x\r\nConnection: upgrade\r\n", b"Trailer: T\r\n", b"Set-Cookie: " + b"a" * 90 + b"\r\n", b"A: b\r\n" * 4,
        b"\r\n", b"\n", b"\r", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n", b"ffffffffffffffff\r\n", b"5;a=b\r\nhello\r\n",
        b"\0", b" folded\r\n", b"x" * 70, OK,
    ]
)  # fmt: skip
streams = st.lists(pieces | st.binary(max_size=6), max_size=12).map(b"".join)
cuts = st.lists(st.integers(1, 120), max_size=8)


@dataclass
class Said:
    """What an endpoint does once it has been asked."""

    parts: list[bytes]
    ending: str


def cut_up(raw: bytes, places: list[int]) -> list[bytes]:
    inside = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    return [raw[start:end] for start, end in pairwise(inside)]


said = st.builds(
    Said,
    parts=st.builds(cut_up, streams, cuts),
    ending=st.sampled_from(["goes on", "close", "close", "reset", "half-close", "silent"]),
)


async def act(session: Session, script: list[Said]) -> None:
    while True:
        await session.request()
        step = script.pop(0) if script else Said([OK], "goes on")
        for part in step.parts:
            await session.send(part)
            await SystemClock().wait(asyncio.Event(), 0)
        match step.ending:
            case "close":
                return
            case "reset":
                session.reset()
                return
            case "half-close":
                await session.finish()
                return
            case "silent":
                await session.gone()
                return


async def ask(client: Client, url: str, method: str) -> Response | Unreachable:
    body = b"" if method == "HEAD" else b"{}"
    try:
        return await client.send(Request(method=method, url=url, body=body, timeout=SECONDS))
    except Unreachable as error:
        return error


def holds(response: Response) -> bool:
    size = sum(len(name) + len(value) for name, value in response.headers)
    return (
        200 <= response.status <= 999
        and len(response.body) <= LIMITS.most_body
        and len(response.headers) <= LIMITS.most_headers
        and size <= LIMITS.most_header_bytes
    )


@given(script=st.lists(said, min_size=1, max_size=4), method=st.sampled_from(["POST", "HEAD"]))
@settings(max_examples=EXAMPLES or 60, deadline=None)
async def test_whatever_comes_a_request_ends_in_time_and_leaves_nothing_behind(script, method):
    clock, count, rest = SystemClock(), len(script) + 1, list(script)
    client = Client(Egress(["127.0.0.0/8"]), clock, limits=LIMITS)
    async with Endpoint(lambda session: act(session, rest)) as endpoint:
        began = clock.monotonic()
        ends = [await ask(client, endpoint.url, method) for _ in range(count)]
        took = clock.monotonic() - began
        await clock.wait(asyncio.Event(), 0.001)  # in which what was cut is lost
        kept = len(client._connections)
        await client.close()
        await endpoint.until_open(0)

    assert [] == [end for end in ends if not (holds(end) if isinstance(end, Response) else end.kind in KINDS)]
    assert took < count * (SECONDS + 2)  # on a machine that has much else to do
    assert kept <= 1
    assert not client._connections


def numbered(number: int, body: bytes, framing: str, interim: int, status: bytes) -> bytes:
    """A good response that says which it is."""
    head = b"HTTP/1.1 %b X\r\nX-Number: %d\r\n" % (status, number)
    early = b"HTTP/1.1 103 Hints\r\nX-Number: 99\r\n\r\n" * interim
    if framing == "length":
        return early + head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return early + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\nX-Number: 98\r\n\r\n"


answers = st.tuples(
    st.integers(0, 40).map(lambda times: OK * times),  # looks like an answer itself, and may be more than is read
    st.sampled_from(["length", "chunked"]),
    st.integers(0, 2),
    st.sampled_from([b"200", b"404", b"500"]),
    st.lists(st.integers(1, 1200), max_size=6),
    st.sampled_from([b"", b"", OK, b"\0"]),
)


@given(script=st.lists(answers, min_size=2, max_size=5))
@settings(max_examples=EXAMPLES or 60, deadline=None)
async def test_no_answer_is_taken_for_that_of_another_request(script):
    """However long it is, however it is cut, and whatever comes right after it."""
    limits = Limits(connections_per_origin=1, most_body=100, most_headers=6, patience_seconds=5)
    clock = SystemClock()
    client = Client(Egress(["127.0.0.0/8"]), clock, limits=limits)
    waiting = list(enumerate(script))

    async def behave(session: Session) -> None:
        while True:
            await session.request()
            number, (body, framing, interim, status, places, rest) = waiting.pop(0)
            *parts, last = cut_up(numbered(number, body, framing, interim, status), places)
            for part in (*parts, last + rest):
                await session.send(part)
                await clock.wait(asyncio.Event(), 0.001)  # in which the next request may come

    async with Endpoint(behave) as endpoint:
        request = Request(method="POST", url=endpoint.url, body=b"{}", timeout=5)
        ends = [await client.send(request) for _ in script]
        await client.close()

    assert [str(number) for number in range(len(script))] == [end.header("x-number") for end in ends]


def read(parts: list[bytes], method: str) -> tuple[object, ...] | str:
    """What comes of bytes that arrive in these parts before the endpoint closes."""
    reader = Reader(method, LIMITS)
    try:
        for part in parts:
            if response := reader.feed(part):
                break
        else:
            response = reader.eof()
    except Unreachable as error:
        return error.kind
    assert holds(response)
    return response.status, response.headers, response.body, response.truncated


@given(raw=streams, places=cuts, method=st.sampled_from(["POST", "HEAD"]))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + OK, [3, 20, 43], "POST")
@settings(max_examples=EXAMPLES or 400)
def test_what_a_response_says_does_not_depend_on_how_it_is_cut(raw, places, method):
    assert read([raw] if raw else [], method) == read(cut_up(raw, places), method)
