"""What comes of bytes, whatever they are and however they are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from qhronos.errors import Unreachable
from qhronos.http import Limits, Response
from qhronos.http.reader import Reader

LIMITS = Limits()

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


def read(parts: list[bytes], method: str = "POST") -> Response | str:
    """What comes of bytes that arrive in these parts before the endpoint closes."""
    reader = Reader(method, LIMITS)
    try:
        for part in parts:
            if response := reader.feed(part):
                return response
        return reader.eof()
    except Unreachable as error:
        return error.kind


@given(raw=responses, cuts=st.lists(st.integers(0, 200)), method=st.sampled_from(["POST", "HEAD"]))
@settings(max_examples=500)
def test_any_bytes_end_in_a_response_or_in_none(raw, cuts, method):
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    parts = [raw[start:end] for start, end in pairwise(places)]
    result = read(parts, method)

    if isinstance(result, Response):
        assert 200 <= result.status <= 999
        assert len(result.body) <= LIMITS.most_body
    else:
        assert result in {"protocol", "closed"}


@given(
    body=st.binary(max_size=300),
    framing=st.sampled_from(["length", "chunked", "eof"]),
    interim=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 600)),
)
def test_a_good_response_reads_the_same_however_it_is_cut(body, framing, interim, cuts):
    head = {"length": b"Content-Length: %d\r\n" % len(body), "chunked": b"Transfer-Encoding: chunked\r\n", "eof": b""}
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    sent = chunk + b"0\r\n\r\n" if framing == "chunked" else body
    raw = b"HTTP/1.1 102 Processing\r\n\r\n" * interim + b"HTTP/1.1 207 Multi\r\n" + head[framing] + b"\r\n" + sent
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    result = read([raw[start:end] for start, end in pairwise(places)])

    assert (207, body, False) == (result.status, result.body, result.truncated)


def test_what_was_cut_leaves_a_rest_behind_so_its_connection_is_not_used_again():
    for framing in (b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"):
        reader = Reader("POST", LIMITS)
        chunk = b"" if framing.startswith(b"C") else b"f4240\r\n"
        response = reader.feed(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + chunk + b"x" * 70_000)

        assert (LIMITS.most_body, True) == (len(response.body), response.truncated)
        assert not reader.reusable


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_in_crumbs_is_cut_and_its_status_stands():
    """A quarter of a megabyte of chunks of one byte, as one read may bring, would take as long as thousands of answers."""
    response = read([CHUNKED, b"1\r\n.\r\n" * 43_000])

    assert isinstance(response, Response)
    assert (200, True, LIMITS.most_crumbs + 1) == (response.status, response.truncated, len(response.body))


def test_a_long_body_in_many_pieces_that_are_no_crumbs_is_read():
    reader = Reader("GET", LIMITS, most_body=1 << 20)
    piece, count = bytes(LIMITS.crumb_bytes), 2 * LIMITS.most_crumbs
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)

    response = reader.feed(CHUNKED + chunk * count + b"0\r\n\r\n")

    assert response is not None
    assert (False, count * len(piece)) == (response.truncated, len(response.body))
