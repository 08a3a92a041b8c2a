"""Names to addresses that may be reached. Every answer must pass the guard, or none is used."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeAlias

from qhronos.clock import Clock
from qhronos.errors import Unreachable
from qhronos.http.deadlines import phase
from qhronos.http.guard import Egress, plain
from qhronos.http.limits import Limits
from qhronos.http.url import Address, Url

Lookup: TypeAlias = Callable[[str, int], Awaitable[Iterable[str]]]


async def system_lookup(host: str, port: int) -> list[str]:
    """In a thread of its own: a name server that is silent holds up no other name, nor the end of the process."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            tell(found.set_exception, error)
        else:
            tell(found.set_result, [str(answer[4][0]) for answer in answers])

    def settle(end: Callable[[Any], None], what: object) -> None:
        if not found.done():
            end(what)

    def tell(end: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(settle, end, what)

    threading.Thread(target=look_up, name="lookup", daemon=True).start()
    return await found


class Known(NamedTuple):
    addresses: tuple[Address, ...]
    until: float


class Resolver:
    def __init__(self, egress: Egress, clock: Clock, limits: Limits, lookup: Lookup = system_lookup) -> None:
        self._egress = egress
        self._limits = limits
        self._clock = clock
        self._lookup = lookup
        self._known: dict[tuple[str, int], Known] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[tuple[Address, ...]]] = {}

    def known(self, url: Url) -> tuple[Address, ...] | None:
        """What was vetted a short while ago; without waiting."""
        known = self._known.get((url.host, url.port))
        return known.addresses if known and known.until > self._clock.monotonic() else None

    async def addresses(self, url: Url, deadline: float) -> tuple[Address, ...]:
        """In the order to try them. Raises Unreachable: `dns`, or `egress` if one answer must not be reached."""
        if url.address:
            return self._remember(url, self._vet(url, [url.address]))
        async with phase("dns", "name lookup", self._limits.lookup_seconds, deadline - self._clock.monotonic()):
            # One lookup serves all who wait for it, and goes on when one of them gives up.
            return await asyncio.shield(self._lookup_of(url))

    def forget(self, url: Url) -> None:
        """Look the name up again next time."""
        self._known.pop((url.host, url.port), None)

    def _lookup_of(self, url: Url) -> asyncio.Task[tuple[Address, ...]]:
        key = (url.host, url.port)
        if key not in self._lookups:
            if len(self._lookups) >= self._limits.most_lookups:
                raise Unreachable("dns", "too many names are being looked up")
            task = self._lookups[key] = asyncio.create_task(self._resolve(url))
            task.add_done_callback(lambda task: self._done(key, task))
        return self._lookups[key]

    def _done(self, key: tuple[str, int], task: asyncio.Task[tuple[Address, ...]]) -> None:
        del self._lookups[key]
        if not task.cancelled():
            task.exception()  # seen here, in case that all who waited have given up

    async def _resolve(self, url: Url) -> tuple[Address, ...]:
        try:
            answers = [ip_address(text) for text in await self._lookup(url.host, url.port)]
        except (OSError, ValueError) as error:
            raise Unreachable("dns", _reason(error)) from error
        if not answers:
            raise Unreachable("dns", "host name has no address")
        return self._remember(url, self._vet(url, answers))

    def _vet(self, url: Url, answers: list[Address]) -> tuple[Address, ...]:
        addresses = tuple(dict.fromkeys(plain(answer) for answer in answers))
        if any(self._egress.refusal(address, url.port) for address in addresses):
            # Which address it is stays unsaid: whoever chose the name may not know our network.
            raise Unreachable("egress", f"{url.authority} is not open to deliveries")
        return addresses[: self._limits.most_addresses]

    def _remember(self, url: Url, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
        if len(self._known) >= self._limits.most_remembered:
            self._known.clear()
        self._known[url.host, url.port] = Known(addresses, self._clock.monotonic() + self._limits.remember_seconds)
        return addresses


def _reason(error: OSError | ValueError) -> str:
    unknown = isinstance(error, socket.gaierror) and error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
    return "host name not found" if unknown else "name lookup failed"
