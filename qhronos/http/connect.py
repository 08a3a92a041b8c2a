"""Opens connections to vetted addresses, and makes sure that this is where they lead."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import IPv6Address, ip_address

from qhronos.errors import Unreachable
from qhronos.http.connection import Connection
from qhronos.http.deadlines import phase
from qhronos.http.guard import Egress, plain
from qhronos.http.limits import Limits
from qhronos.http.url import Address, Url


@cache
def public_tls() -> ssl.SSLContext:
    """Certificates of the public authorities, names checked. Reading them takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connector:
    def __init__(self, egress: Egress, limits: Limits, tls: ssl.SSLContext) -> None:
        self._egress = egress
        self._limits = limits
        self._tls = tls

    async def tcp(self, addresses: Sequence[Address], port: int, left: float) -> tuple[socket.socket, Address]:
        """A socket to the first address that answers, and that address. Raises Unreachable, TimeoutError at the deadline."""
        seconds = self._limits.connect_seconds
        async with phase("connect", "connect", seconds, left):
            for address in addresses[:-1]:
                try:
                    async with asyncio.timeout(min(seconds, left) / len(addresses)):
                        return await self._tcp(address, port), address
                except OSError:  # a TimeoutError is one: the next address may answer
                    continue
            try:
                return await self._tcp(addresses[-1], port), addresses[-1]
            except OSError as error:
                raise Unreachable("connect", reason(error)) from error

    async def over(self, sock: socket.socket, url: Url, left: float, make: Callable[[], Connection]) -> Connection:
        """The connection over a connected socket, with TLS if the URL says so. The certificate must name the host."""
        loop = asyncio.get_running_loop()
        if url.scheme == "http":
            return (await loop.create_connection(make, sock=sock))[1]
        try:
            async with phase("tls", "TLS handshake", self._limits.tls_seconds, left):
                return (await loop.create_connection(make, sock=sock, ssl=self._tls, server_hostname=url.host))[1]
        except ssl.SSLCertVerificationError as error:
            raise Unreachable("tls", f"certificate refused: {error.verify_message}") from error
        except TimeoutError:  # an OSError too, but the deadline's
            raise
        except OSError as error:
            raise Unreachable("tls", "TLS handshake failed") from error

    async def _tcp(self, address: Address, port: int) -> socket.socket:
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
            check_peer(sock, address, port, self._egress)
        except BaseException:
            sock.close()
            raise
        return sock


def check_peer(sock: socket.socket, address: Address, port: int, egress: Egress) -> None:
    """The last word of the guard: the socket leads to the address that was vetted, and not back to this machine."""
    peer = plain(ip_address(sock.getpeername()[0]))
    if peer != address:
        raise Unreachable("egress", "connected to another address than the one that was vetted")
    if plain(ip_address(sock.getsockname()[0])) == peer and not egress.is_hole(peer, port):
        raise Unreachable("egress", "an address of this machine is not open to deliveries")


def reason(error: OSError) -> str:
    """Why a connect failed, in the words of the system."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"connect failed: {os.strerror(error.errno).lower()}" if error.errno else "connect failed"
