"""Opens connections to vetted addresses, straight or through the proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from qhronos.errors import Unreachable
from qhronos.http.connection import Connection
from qhronos.http.deadlines import phase
from qhronos.http.dial import dial, reason
from qhronos.http.guard import Egress
from qhronos.http.limits import Limits
from qhronos.http.proxy import NoTunnel, Tunnels
from qhronos.http.tls import Tls, alert
from qhronos.http.url import Address, Url


class Connector:
    def __init__(self, egress: Egress, limits: Limits, tls: Tls, tunnels: Tunnels | None = None) -> None:
        self._egress = egress
        self._limits = limits
        self._tls = tls
        self._tunnels = tunnels

    async def tcp(self, url: Url, addresses: Sequence[Address], left: float) -> tuple[socket.socket, Address]:
        """A socket to the first address that answers, and that address. Raises Unreachable, TimeoutError at the deadline."""
        seconds = self._limits.connect_seconds
        async with phase("connect", self._what(url, addresses[-1]), seconds, left):
            for address in addresses[:-1]:
                try:
                    async with asyncio.timeout(min(seconds, left) / len(addresses)):
                        return await self._reach(url, address), address
                except (OSError, NoTunnel):  # a TimeoutError is an OSError: the next address may answer
                    continue
            try:
                return await self._reach(url, addresses[-1]), addresses[-1]
            except OSError as error:
                raise Unreachable("connect", reason(error)) from error

    async def over(self, sock: socket.socket, url: Url, left: float, make: Callable[[], Connection]) -> Connection:
        """The connection over a connected socket, with TLS if the URL says so. The certificate must name the host."""
        loop = asyncio.get_running_loop()
        if url.scheme == "http":
            return (await loop.create_connection(make, sock=sock))[1]
        context = self._tls.context_for(url.host)
        try:
            async with phase("tls", "TLS handshake", self._limits.tls_seconds, left):
                return (await loop.create_connection(make, sock=sock, ssl=context, server_hostname=url.host))[1]
        except ssl.SSLCertVerificationError as error:
            raise Unreachable("tls", f"certificate refused: {error.verify_message}") from error
        except TimeoutError:  # an OSError too, but the deadline's
            raise
        except OSError as error:
            words = alert(error)
            raise Unreachable("tls", "TLS handshake failed" + (f": {words}" if words else "")) from error

    async def _reach(self, url: Url, address: Address) -> socket.socket:
        if tunnels := self._tunnels_to(url, address):
            return await tunnels.open(address, url.port)
        return await dial(address, url.port, self._egress)

    def _tunnels_to(self, url: Url, address: Address) -> Tunnels | None:
        return self._tunnels if self._tunnels and self._tunnels.proxy.leads_to(url.host, address) else None

    def _what(self, url: Url, address: Address) -> str:
        tunnels = self._tunnels_to(url, address)
        return f"connect through proxy {tunnels.proxy.place.authority}" if tunnels else "connect"
