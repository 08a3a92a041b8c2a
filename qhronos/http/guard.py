"""Which addresses the outbound client may reach. Pure.

Everything that is not a public unicast address is refused, whatever it is called and however it is written, unless
`http.egress_allow` opens a hole for it. The same judgement is made when an event is created (for a friendly answer),
for every answer of the name lookup, and for the peer of the connected socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias

from qhronos.errors import ConfigError, Invalid
from qhronos.http import url
from qhronos.http.url import Address, Url

Network: TypeAlias = IPv4Network | IPv6Network

DENIED_V4 = {
    IPv4Network(network): name
    for network, name in {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "a private network",
        "100.64.0.0/10": "shared carrier space",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local, where cloud metadata lives",
        "172.16.0.0/12": "a private network",
        "192.0.0.0/24": "protocol assignments",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "the 6to4 relay",
        "192.168.0.0/16": "a private network",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved or broadcast",
        "168.63.129.16/32": "the host agent of a cloud",
    }.items()
}
# Global unicast is the only part of IPv6 that is open at all; these are the holes inside it.
OPEN_V6 = IPv6Network("2000::/3")
DENIED_V6 = {
    IPv6Network(network): name
    for network, name in {
        "2001::/23": "protocol assignments, Teredo and ORCHID",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4, which hides an IPv4 address",
        "3fff::/20": "documentation",
    }.items()
}
# Below 1024 only the web; above it not the ports where databases and control planes listen, many without a password.
WEB_PORTS = frozenset({80, 443})
DENIED_PORTS = frozenset(
    {1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5984, 6379, 6443, 9042}
    | {9092, 9200, 9300, 10250, 10255, 10256, 11211, 27017, 27018, 27019}
)
HOLE = re.compile(r"(\[[0-9a-f:.]+\]|[0-9.]+|[0-9a-f]*:[0-9a-f:.]*)(/[0-9]{1,3})?(?::([0-9]{1,5}))?", re.IGNORECASE)


class Hole(NamedTuple):
    """A network that may be reached; with a port, through that port only, whichever it is."""

    network: Network
    port: int | None


class Egress:
    """What `http.egress_allow` opens: `10.1.2.0/24`, `10.1.2.3:8443`, `::1/128`, `[fd00::]/8:9000`."""

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = (), *, https_only: bool = False) -> None:
        """`deny`: networks of our own that look public; what `allow` opens is open all the same.

        Raises ConfigError for what is no network.
        """
        self._holes = tuple(_hole(entry.strip(), "http.egress_allow") for entry in allow)
        self._ours = tuple(_own(entry.strip()) for entry in deny)
        self._https_only = https_only
        self._judge = lru_cache(maxsize=4096)(self._refusal)

    def refusal(self, address: Address, port: int) -> str | None:
        """Why a connection there is refused, or None."""
        return self._judge(plain(address), port)

    def _refusal(self, address: Address, port: int) -> str | None:
        ports = {hole.port for hole in self._holes if address in hole.network}
        if port in ports:
            return None
        if None not in ports and (name := self._denied(address)):
            return f"{address} is not a public address ({name})"
        return _denied_port(port)

    def scheme_refusal(self, scheme: str) -> str | None:
        """Why nothing is sent by this scheme, or None."""
        return "only https:// is open to deliveries" if self._https_only and scheme != "https" else None

    def is_hole(self, address: Address, port: int) -> bool:
        """Whether an operator has opened it by name."""
        address = plain(address)
        return any(address in hole.network and hole.port in (None, port) for hole in self._holes)

    def opens(self, port: int) -> bool:
        """Whether some address may be reached through the port."""
        return _denied_port(port) is None or any(hole.port == port for hole in self._holes)

    def _denied(self, address: Address) -> str | None:
        if any(address in network for network in self._ours):
            return "a network of this installation"
        return _denied(address)


def vet_url(text: str, egress: Egress, field: str = "url") -> Url:
    """Refuse, with `field`, what can be told to be wrong without looking up a name. Pure, for creation time."""
    try:
        parsed = url.parse(text)
    except Invalid as error:
        raise Invalid(str(error), field=field) from error
    if egress.scheme_refusal(parsed.scheme):
        raise Invalid("URL must start with https:// here (http.https_only)", field=field)
    if reason := _reason(parsed, egress):
        raise Invalid(f"URL cannot be reached: {reason}; an operator can open it in http.egress_allow", field=field)
    return parsed


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped IPv6 address stands for; any other as it is."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _reason(parsed: Url, egress: Egress) -> str | None:
    if parsed.address:
        return egress.refusal(parsed.address, parsed.port)
    if parsed.host == "localhost" or parsed.host.endswith(".localhost"):
        return egress.refusal(IPv4Address("127.0.0.1"), parsed.port)
    return None if egress.opens(parsed.port) else _denied_port(parsed.port)


def _denied(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((name for network, name in DENIED_V4.items() if address in network), None)
    # A zone id names a link of this machine, never something public.
    if address not in OPEN_V6 or address.scope_id:
        return "local or special IPv6 space"
    return next((name for network, name in DENIED_V6.items() if address in network), None)


def _denied_port(port: int) -> str | None:
    if port in WEB_PORTS or (port >= 1024 and port not in DENIED_PORTS):
        return None
    return f"port {port} is not open to deliveries"


def _hole(entry: str, setting: str) -> Hole:
    match = HOLE.fullmatch(entry)
    if match is None:
        raise ConfigError(f"{setting}: {entry!r} is no network; write 10.1.2.0/24, 10.1.2.3:8443 or [::1]/128")
    try:
        network = ip_network(match[1].strip("[]") + (match[2] or ""))
    except ValueError as error:
        raise ConfigError(f"{setting}: {entry!r}: {error}") from error
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ConfigError(f"{setting}: {entry!r} is IPv4 in disguise; write the IPv4 network")
    port = int(match[3]) if match[3] else None
    if port is not None and not 1 <= port <= 65_535:
        raise ConfigError(f"{setting}: {entry!r} has a port outside 1 to 65535")
    return Hole(network, port)


def _own(entry: str) -> Network:
    hole = _hole(entry, "http.egress_deny")
    if hole.port is not None:
        raise ConfigError(f"http.egress_deny: {entry!r} has a port; a network is denied with all of them")
    return hole.network
