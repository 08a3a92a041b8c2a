"""One suite for both receivers of the benchmark."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import sink
from tests.benchmarks.sink import Sink

BODY = b'{"item": 7, "due_ms": 1000.5}'
REQUEST = b"POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@pytest.fixture(params=["C", "Python on uvloop"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    if request.param == "C" and not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("there is no C compiler")
    if request.param != "C":
        monkeypatch.setenv("PATH", "")
    with sink.started(tmp_path) as started:
        assert request.param == started.kind
        yield started


def answers(receiver: Sink, *pieces: bytes, count: int) -> bytes:
    """To what is sent piece by piece: so many, all without a body."""
    received = b""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        while received.count(b"\r\n\r\n") < count:
            received += connection.recv(4096) or pytest.fail(f"it ended after {received!r}")
    return received


def test_it_keeps_the_item_its_instant_and_when_it_came(receiver: Sink):
    answers(receiver, REQUEST, count=1)
    (record,) = receiver.records()

    assert (7, 1000.5) == record[:2]
    assert record.arrived > 1.7e12


def test_a_body_without_spaces_is_read_as_well(receiver: Sink):
    body = b'{"metadata":{"due_ms":2000,"item":8}}'
    answers(receiver, b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body), count=1)

    assert [(8, 2000.0)] == [record[:2] for record in receiver.records()]


def test_requests_that_come_together_are_all_kept(receiver: Sink):
    answers(receiver, REQUEST * 3, count=3)

    assert 3 == receiver.count()


def test_a_request_that_comes_in_pieces_is_kept_once(receiver: Sink):
    answers(receiver, REQUEST[:30], REQUEST[30:-5], REQUEST[-5:], count=1)

    assert 1 == receiver.count()


def test_it_forgets_when_asked(receiver: Sink):
    answers(receiver, REQUEST, count=1)
    receiver.reset()

    assert [] == receiver.records()


def test_a_body_that_is_no_item_is_answered_and_not_kept(receiver: Sink):
    said = answers(receiver, b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", count=1)

    assert said.startswith(b"HTTP/1.1 200")
    assert 0 == receiver.count()
