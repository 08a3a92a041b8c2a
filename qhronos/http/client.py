"""The outbound HTTP client. Every endpoint is hostile until proven slow.

One absolute deadline stands over a request, from the name lookup to the last byte of the body; beneath it each phase has
a limit of its own. Redirects are followed only where a request asks for it; nothing is decompressed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from qhronos.clock import Clock
from qhronos.errors import Unreachable
from qhronos.http import redirect, url
from qhronos.http.connect import Connector
from qhronos.http.connection import Connection, Stale
from qhronos.http.deadlines import Deadlines
from qhronos.http.guard import Egress
from qhronos.http.limits import USUAL, Limits
from qhronos.http.message import Busy, Request, Response, Withdrawn, encode
from qhronos.http.pool import Origin
from qhronos.http.proxy import Proxy, Tunnels
from qhronos.http.resolver import Lookup, Resolver, system_lookup
from qhronos.http.tls import Tls, public_tls
from qhronos.http.url import Address, Url

OnRoom: TypeAlias = Callable[[str, int], None]


class Client:
    """Belongs to the loop it is first used on.

    `on_room` is told when some of those who were turned away from a place (by Busy) may come again, and how many.
    """

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        limits: Limits = USUAL,
        tls: Tls | None = None,
        proxy: Proxy | None = None,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._egress = egress
        tunnels = Tunnels(proxy, clock, limits, lookup) if proxy else None
        self._connector = Connector(egress, limits, tls or Tls(public_tls()), tunnels)
        self._resolver = Resolver(egress, clock, limits, lookup)
        self._deadlines = Deadlines(clock)
        self._origins: dict[str, Origin] = {}
        self._connections: set[Connection] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._closed = False
        self.on_room: OnRoom = lambda _place, _count: None

    @property
    def clock(self) -> Clock:
        return self._clock

    def capacity(self, place: str) -> int:
        """How many requests may be under way to an origin (`Url.origin`) just now."""
        origin = self._origins.get(place)
        return origin.cap if origin else min(self._limits.least_per_origin, self._limits.connections_per_origin)

    async def send(self, request: Request) -> Response:
        """Whatever status comes is a Response. Raises Busy, at once or nearly so, if there is no room at the origin, and
        Withdrawn if the request was wanted no more.

        Raises Unreachable for what the endpoint, the network or the guard does, Invalid for what must not be sent at all.
        """
        deadline = self._clock.monotonic() + request.timeout
        try:
            response = await self._hop(request, deadline)
            for _ in range(min(request.redirects, self._limits.most_redirects)):
                onward = redirect.onward(request, response)
                if onward is None:
                    break
                request, response = onward, await self._onward(onward, deadline)
        except TimeoutError as error:
            raise Unreachable("timeout", f"timeout after {request.timeout:g} s") from error
        return response

    async def close(self) -> None:
        """End everything; what is still under way fails."""
        self._closed = True
        self._deadlines.close()
        if self._tidying:
            self._tidying.cancel()
        lost = [connection.lost for connection in self._connections]
        for connection in list(self._connections):
            connection.abort()
        await asyncio.gather(*lost)

    async def _hop(self, request: Request, deadline: float) -> Response:
        """One request and its response, wherever that points to."""
        target = url.parse(request.url)
        if reason := self._egress.scheme_refusal(target.scheme):
            raise Unreachable("egress", reason)
        data = encode(request, target)
        if deadline <= self._clock.monotonic():
            raise TimeoutError
        origin = self._origin(target)
        await self._enter(origin, target, deadline)
        began = self._clock.monotonic()
        if origin.pace and (pause := origin.pace.take(began)) is not None:
            self._leave(origin, target)
            raise Busy(target.origin, f"{target.authority} has had its requests for now", pause)
        try:
            response = await self._exchange(origin, target, data, request, deadline)
        except Withdrawn:
            self._leave(origin, target)
            raise
        except (Unreachable, TimeoutError):
            self._leave(origin, target, self._clock.monotonic() - began, answered=False)
            raise
        except BaseException:  # cancelled, which says nothing about the origin
            self._leave(origin, target)
            raise
        self._leave(origin, target, self._clock.monotonic() - began)
        return response

    async def _onward(self, request: Request, deadline: float) -> Response:
        try:
            return await self._hop(request, deadline)
        except (Busy, Withdrawn) as error:  # neither to the caller: something was sent before
            raise Unreachable(error.kind, str(error)) from error

    async def _enter(self, origin: Origin, target: Url, deadline: float) -> None:
        """Take a place at the origin; to be given back. Raises Busy."""
        if origin.enter():
            return
        turn = origin.queue()
        try:
            if turn is None:
                raise TimeoutError
            patient_until = self._clock.monotonic() + self._limits.patience_seconds
            await self._deadlines.wait(turn, min(patient_until, deadline))
        except TimeoutError as error:
            origin.turn_away(waited=turn is not None)
            raise Busy(target.origin, f"{target.authority} has no room for more requests just now") from error
        except BaseException:
            if turn and turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave(origin, target)  # cancelled in the moment in which its turn came
            raise

    def _leave(self, origin: Origin, target: Url, took: float | None = None, *, answered: bool = True) -> None:
        if called := origin.leave(took, answered=answered):
            self.on_room(target.origin, called)

    async def _exchange(self, origin: Origin, target: Url, data: bytes, request: Request, deadline: float) -> Response:
        addresses = self._resolver.known(target) or await self._resolver.addresses(target, deadline)
        connection = origin.warm(addresses, self._clock.monotonic())
        if connection is None:
            connection = await self._open(origin, target, addresses, deadline)
        try:
            try:
                return await self._ask(connection, data, request, deadline)
            except Stale:
                connection = await self._open(origin, target, addresses, deadline)
                return await self._ask(connection, data, request, deadline)
        finally:
            origin.keep(connection, self._clock.monotonic())

    async def _ask(self, connection: Connection, data: bytes, request: Request, deadline: float) -> Response:
        if not request.wanted():  # nothing is awaited between this and the bytes
            raise Withdrawn
        try:
            return await self._deadlines.wait(connection.exchange(data, request), deadline)
        except TimeoutError:
            if response := connection.give_up():
                return response
            raise

    async def _open(self, origin: Origin, target: Url, addresses: Sequence[Address], deadline: float) -> Connection:
        if self._closed:
            raise Unreachable("closed", "the client is closed")
        try:
            sock, address = await self._connector.tcp(target, addresses, deadline - self._clock.monotonic())
        except (Unreachable, TimeoutError):
            self._resolver.forget(target)  # the name may lead elsewhere by now
            raise

        def lost(connection: Connection) -> None:
            self._connections.discard(connection)
            origin.forget(connection)

        now = self._clock.monotonic()
        connection = await self._connector.over(
            sock, target, deadline - now, lambda: Connection(address, now, self._limits, lost)
        )
        self._keep(connection)
        return connection

    def _keep(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
        if not connection.lost.done():
            self._connections.add(connection)

    def _origin(self, target: Url) -> Origin:
        origin = self._origins.get(target.origin)
        if origin is None:
            origin = self._origins[target.origin] = Origin(self._limits)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(self._limits.tidy_seconds, self._tidy)
        return origin

    def _tidy(self) -> None:
        """Close what is idle and too old, forget origins that have nothing; rest when nothing is left."""
        for origin in self._origins.values():
            origin.close_old(self._clock.monotonic())
        self._origins = {place: origin for place, origin in self._origins.items() if not origin.is_unused}
        self._tidying = (
            asyncio.get_running_loop().call_later(self._limits.tidy_seconds, self._tidy) if self._origins else None
        )
