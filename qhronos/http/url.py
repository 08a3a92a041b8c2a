"""URLs, read strictly. Pure.

Whoever guards a door must read an address as the one who walks through it does. So there is one parser, nothing it
accepts can be read in two ways, and what it returns is what the client connects to and writes on the wire.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

import idna
from msgspec import Struct

from qhronos.errors import Invalid

Address: TypeAlias = IPv4Address | IPv6Address

LONGEST = 2048
LONGEST_HOST = 253
DEFAULT_PORTS = {"http": 80, "https": 443}

SHAPE = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^#]*)(#.*)?", re.IGNORECASE)
AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:@%\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\]")


class Url(Struct, frozen=True):
    scheme: str
    host: str  # a lower-case ASCII name without its last dot, or a literal address without brackets
    port: int
    target: str  # path and query as they go on the request line
    authority: str  # as it goes in the Host header
    address: Address | None  # when the host is a literal

    @property
    def origin(self) -> str:
        """Scheme, host and port, as text."""
        return f"{self.scheme}://{self.authority}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Url:
    """Raises Invalid (without a field: the caller knows where the URL stood)."""
    if len(text) > LONGEST:
        raise Invalid(f"URL is longer than {LONGEST} characters")
    if FORBIDDEN.search(text):
        raise Invalid("URL must not contain spaces, control characters or backslashes; percent-encode them")
    shape = SHAPE.fullmatch(text)
    if shape is None or (scheme := shape[1].lower()) not in DEFAULT_PORTS:
        raise Invalid("URL must start with http:// or https://")
    if shape[4] is not None:
        raise Invalid("URL must not have a fragment (#…); it would not be sent")
    server = _server(shape[2], DEFAULT_PORTS[scheme])
    return Url(scheme, server.host, server.port, _target(shape[3]), server.authority, server.address)


class Server(NamedTuple):
    host: str
    port: int
    authority: str
    address: Address | None


@lru_cache(maxsize=4096)
def _server(text: str, default_port: int) -> Server:
    """Remembered apart, as many URLs are of few servers."""
    host, port = _authority(text, default_port)
    address = _literal(host)
    host = str(address) if address else host
    name = f"[{host}]" if isinstance(address, IPv6Address) else host
    return Server(host, port, name if port == default_port else f"{name}:{port}", address)


def _authority(text: str, default_port: int) -> tuple[str, int]:
    if "@" in text:
        raise Invalid("URL must not carry a user name or password; send an Authorization header instead")
    match = AUTHORITY.fullmatch(text)
    if match is None:
        raise Invalid("URL has no valid host and port")
    port = int(match[2]) if match[2] else default_port
    if not 1 <= port <= 65_535:
        raise Invalid("URL has a port outside 1 to 65535")
    host: str = match[1]
    return (host if host.startswith("[") else _name(host)), port


def _name(host: str) -> str:
    """The name in lower-case ASCII. Names in other scripts follow IDNA 2008 with the mapping of UTS 46."""
    if len(host) > LONGEST_HOST:
        raise Invalid(f"URL has a host of more than {LONGEST_HOST} characters")
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise Invalid("URL has a host that is no valid international domain name") from error
    name = name.lower().removesuffix(".")
    if len(name) > LONGEST_HOST or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise Invalid("URL has a host that is no valid domain name")
    return name


def _literal(host: str) -> Address | None:
    """The address, if the host is one.

    Resolvers take `127.1`, `0x7f.1`, `0177.0.0.1` and `2130706433` for 127.0.0.1. A name whose last label is a number
    can only be such a form (no top-level domain is one), so it must be four plain decimal numbers.
    """
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1])
        if NUMERIC.fullmatch(host.rsplit(".", 1)[-1]):
            return IPv4Address(host)
    except AddressValueError as error:
        raise Invalid("URL has a malformed IP address; write it in full, as in 192.0.2.1 or [2001:db8::1]") from error
    return None


def _target(text: str) -> str:
    target = text if text.startswith("/") else f"/{text}"
    if target.isascii():
        return target
    try:
        return "".join(char if char.isascii() else quote(char) for char in target)
    except UnicodeError as error:
        raise Invalid("URL is not valid Unicode") from error
