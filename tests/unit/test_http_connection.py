"""What of connecting cannot be brought about from outside."""

from __future__ import annotations

import asyncio
import errno
import socket
from ipaddress import ip_address

import pytest

from qhronos.clock import SystemClock
from qhronos.errors import Unreachable
from qhronos.http import Client, Egress, Limits, Request
from qhronos.http.connection import Connection
from qhronos.http.dial import check_peer, reason
from tests.fakes import Receiver


@pytest.mark.parametrize(
    ("error", "words"),
    [(OSError(errno.EHOSTUNREACH, "?"), "connect failed: no route to host"), (OSError("?"), "connect failed")],
)
def test_other_failures_to_connect_are_named_by_the_system(error, words):
    assert words == reason(error)


async def test_a_connection_that_is_lost_before_its_first_request_says_so():
    class Transport(asyncio.Transport):
        """Of a socket that is gone."""

    connection = Connection(ip_address("127.0.0.1"), 0.0, Limits(), lambda _: None)
    connection.connection_made(Transport())
    connection.connection_lost(None)
    with pytest.raises(Unreachable, match="closed before a response"):
        await connection.exchange(b"GET / HTTP/1.1\r\n\r\n", Request(method="GET", url="http://127.0.0.1/", timeout=5))


def test_a_socket_that_leads_elsewhere_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        check_peer(sock, ip_address("127.0.0.1"), 80, Egress(["127.0.0.0/8"]))
        with pytest.raises(Unreachable) as error:
            check_peer(sock, ip_address("127.0.0.2"), 80, Egress(["127.0.0.0/8"]))
    assert error.value.kind == "egress"


def test_a_socket_that_leads_back_to_this_machine_is_refused_unless_it_is_opened_by_name():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        check_peer(sock, ip_address("127.0.0.1"), 80, Egress(["127.0.0.1:80"]))
        with pytest.raises(Unreachable, match="an address of this machine") as error:
            check_peer(sock, ip_address("127.0.0.1"), 80, Egress(["127.0.0.1:81"]))

    assert error.value.kind == "egress"


async def test_origins_that_have_nothing_are_forgotten(receiver: Receiver):
    client = Client(Egress(["127.0.0.0/8"]), SystemClock(), limits=Limits(age_seconds=0))
    await client.send(Request(method="GET", url=receiver.url, timeout=5))
    client._tidy()

    assert not client._origins
    await client.close()
