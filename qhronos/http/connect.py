"""Opens a connection to a vetted address, and makes sure that this is where it leads."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address

from qhronos.errors import Unreachable
from qhronos.http.connection import Connection
from qhronos.http.deadlines import phase
from qhronos.http.guard import plain
from qhronos.http.url import Address, Url

CONNECT_SECONDS = 5.0
TLS_SECONDS = 5.0


def public_tls() -> ssl.SSLContext:
    """Certificates of the public authorities, names checked."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def tcp(addresses: Sequence[Address], port: int, left: float) -> tuple[socket.socket, Address]:
    """A socket to the first address that answers, and that address. Raises Unreachable, TimeoutError at the deadline."""
    async with phase("connect", "connect", CONNECT_SECONDS, left):
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(min(CONNECT_SECONDS, left) / len(addresses)):
                    return await _tcp(address, port), address
            except OSError:  # a TimeoutError is one: the next address may answer
                continue
        try:
            return await _tcp(addresses[-1], port), addresses[-1]
        except OSError as error:
            raise Unreachable("connect", _reason(error)) from error


async def over(
    sock: socket.socket, url: Url, tls: ssl.SSLContext, left: float, make: Callable[[], Connection]
) -> Connection:
    """The connection over a connected socket, with TLS if the URL says so. The certificate must name the host."""
    loop = asyncio.get_running_loop()
    if url.scheme == "http":
        return (await loop.create_connection(make, sock=sock))[1]
    try:
        async with phase("tls", "TLS handshake", TLS_SECONDS, left):
            return (await loop.create_connection(make, sock=sock, ssl=tls, server_hostname=url.host))[1]
    except ssl.SSLCertVerificationError as error:
        raise Unreachable("tls", f"certificate refused: {error.verify_message}") from error
    except TimeoutError:  # an OSError too, but the deadline's
        raise
    except OSError as error:
        raise Unreachable("tls", "TLS handshake failed") from error


def check_peer(sock: socket.socket, address: Address) -> None:
    """The last word of the guard: the socket leads to the address that was vetted."""
    peer = plain(ip_address(sock.getpeername()[0]))
    if peer != address:
        raise Unreachable("egress", "connected to another address than the one that was vetted")


async def _tcp(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        check_peer(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"connect failed: {os.strerror(error.errno).lower()}" if error.errno else "connect failed"
