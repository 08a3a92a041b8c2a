"""The proxy that an operator has set, for networks that have no other way out.

Everything goes through it by CONNECT, http:// too, and to an address that was looked up and vetted here. Asked by name, or
in the absolute form, which is a name, the proxy would look it up itself, and lead to an address that nobody has vetted: the
guard would be open wherever the proxy stands. A tunnel also keeps the rest as it is: the certificate is that of the
endpoint, connections belong to one origin, and no answer of the proxy can be taken for one of the endpoint.

Where the proxy itself stands is the operator's choice, and is not vetted.
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import socket
from collections.abc import Iterable
from ipaddress import ip_network
from urllib.parse import unquote

from msgspec import Struct

from qhronos.clock import Clock
from qhronos.errors import ConfigError, Invalid, Unreachable
from qhronos.http import url
from qhronos.http.dial import dial, reason
from qhronos.http.guard import Egress, Network
from qhronos.http.limits import Limits
from qhronos.http.resolver import Lookup, Resolver
from qhronos.http.url import Address, Url

FORM = "write http://host:port, or http://user:password@host:port with both percent-encoded"
STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r]")
END = b"\r\n\r\n"
UNAUTHENTICATED = (b"401", b"407")  # the second is the one that is meant; some say the first


class NoTunnel(Unreachable):
    """The proxy cannot be reached or does not lead there. The message names it."""

    def __init__(self, place: Url, message: str) -> None:
        super().__init__("proxy", f"proxy {place.authority}: {message}")


class Spared(Struct, frozen=True):
    """What is reached without the proxy: names with all that is below them, and networks."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def read(cls, entries: Iterable[str]) -> Spared:
        """Of `http.no_proxy`: `example.com`, `.example.com`, `10.0.0.0/8`, `192.0.2.1`, `::1`. Raises ConfigError."""
        names, networks = set(), []
        for entry in entries:
            name = _name(entry.strip())
            if isinstance(name, str):
                names.add(name)
            else:
                networks.append(name)
        return cls(frozenset(names), tuple(networks))

    def covers(self, host: str, address: Address) -> bool:
        labels = host.split(".")
        tails = {".".join(labels[start:]) for start in range(len(labels))}
        return not self.names.isdisjoint(tails) or any(address in network for network in self.networks)


class Proxy(Struct, frozen=True):
    place: Url
    authorization: str | None  # never shown
    spared: Spared

    @classmethod
    def read(cls, text: str, spared: Iterable[str] = ()) -> Proxy:
        """Of `http.proxy` and `http.no_proxy`. Raises ConfigError, which does not repeat what may hold a password."""
        scheme, _, rest = text.strip().partition("://")
        if scheme.lower() != "http":
            raise ConfigError(f"http.proxy: must begin with http://, and be spoken to in the clear; {FORM}")
        login, at, place = rest.rpartition("@")
        try:
            parsed = url.parse(f"http://{place}")
        except Invalid as error:
            raise ConfigError(f"http.proxy: {error}; {FORM}") from error
        if parsed.target != "/":
            raise ConfigError(f"http.proxy: has a path, and a proxy has none; {FORM}")
        return cls(parsed, _basic(login) if at else None, Spared.read(spared))

    def __repr__(self) -> str:
        return f"Proxy({self.place.authority})"

    def leads_to(self, host: str, address: Address) -> bool:
        """Whether it is to be used on the way there."""
        return not self.spared.covers(host, address)

    def request(self, address: Address, port: int) -> bytes:
        """What asks it for a tunnel."""
        there = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        login = f"proxy-authorization: {self.authorization}\r\n" if self.authorization else ""
        return f"CONNECT {there} HTTP/1.1\r\nhost: {there}\r\n{login}\r\n".encode()


class Tunnels:
    """Opens them. Waits for as long as it is let."""

    def __init__(self, proxy: Proxy, clock: Clock, limits: Limits, lookup: Lookup) -> None:
        self.proxy = proxy
        port = proxy.place.port
        self._egress = Egress([f"0.0.0.0/0:{port}", f"[::]/0:{port}"])
        self._resolver = Resolver(self._egress, clock, limits, lookup)
        self._limits = limits

    async def open(self, address: Address, port: int) -> socket.socket:
        """A socket that leads to the address, by what the proxy says. Raises NoTunnel."""
        sock = await self._reach()
        try:
            await self._ask(sock, self.proxy.request(address, port))
        except OSError as error:
            sock.close()
            raise NoTunnel(self.proxy.place, "connection closed before an answer") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def _reach(self) -> socket.socket:
        place = self.proxy.place
        try:
            known = self._resolver.known(place)
            addresses = known or await self._resolver.addresses(place, math.inf)
        except Unreachable as error:
            raise NoTunnel(place, str(error)) from error
        failure = "connect failed"
        for address in addresses:
            try:
                return await dial(address, place.port, self._egress)
            except OSError as error:
                failure = reason(error)
        self._resolver.forget(place)
        raise NoTunnel(place, failure)

    async def _ask(self, sock: socket.socket, request: bytes) -> None:
        loop, place = asyncio.get_running_loop(), self.proxy.place
        await loop.sock_sendall(sock, request)
        answer = b""
        while END not in answer:
            if len(answer) > self._limits.most_header_bytes:
                raise NoTunnel(place, "its answer is too large")
            part = await loop.sock_recv(sock, 4096)
            if not part:
                raise NoTunnel(place, "connection closed before an answer")
            answer += part
        if complaint := _complaint(answer):
            raise NoTunnel(place, complaint)


def _complaint(answer: bytes) -> str | None:
    """What is wrong with what the proxy says to a request for a tunnel."""
    status = STATUS.match(answer)
    if status is None:
        return "its answer is not valid HTTP"
    if status[1] in UNAUTHENTICATED:
        return f"HTTP {status[1].decode()}; it takes other credentials than those of http.proxy"
    if not status[1].startswith(b"2"):
        return f"HTTP {status[1].decode()} to a request for a tunnel"
    # Whoever is asked speaks after us, in TLS as in HTTP: this would be put before the endpoint's own words.
    return None if answer.endswith(END) and answer.count(END) == 1 else "it says more than that the tunnel stands"


def _basic(login: str) -> str:
    user, _, password = login.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _name(entry: str) -> str | Network:
    try:
        return ip_network(entry.strip("[]"))
    except ValueError:
        pass
    try:
        parsed = url.parse(f"http://{entry.removeprefix('*').removeprefix('.')}")
    except Invalid:
        parsed = None
    if parsed is None or parsed.address or parsed.target != "/" or parsed.port != url.DEFAULT_PORTS["http"]:
        raise ConfigError(f"http.no_proxy: {entry!r} is neither a name nor a network; write example.com or 10.0.0.0/8")
    return parsed.host
