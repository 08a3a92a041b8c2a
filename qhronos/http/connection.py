"""One socket to one endpoint. It carries one exchange at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qhronos.errors import Unreachable
from qhronos.http.limits import Limits
from qhronos.http.message import Request, Response
from qhronos.http.reader import Reader
from qhronos.http.tls import alert
from qhronos.http.url import Address


class Stale(Unreachable):
    """A warm connection ended before a byte of the response: the endpoint had given it up. A fresh one may do."""


class Connection(asyncio.Protocol):
    __slots__ = (
        "_answer",
        "_exchanges",
        "_limits",
        "_loop",
        "_on_lost",
        "_reader",
        "_transport",
        "address",
        "is_reusable",
        "lost",
        "opened_at",
    )

    def __init__(
        self, address: Address, opened_at: float, limits: Limits, on_lost: Callable[[Connection], None]
    ) -> None:
        self.address = address
        self.opened_at = opened_at
        self._limits = limits
        self.is_reusable = True
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._reader: Reader | None = None  # of the exchange under way
        self._answer: asyncio.Future[Response]
        self._exchanges = 0

    def exchange(self, data: bytes, request: Request) -> asyncio.Future[Response]:
        """Send a request. The future fails with Unreachable if no response comes of it."""
        self._exchanges += 1
        self._reader = Reader(request.method, self._limits, request.most_body)
        self._answer = self._loop.create_future()
        if self.is_reusable:
            self.is_reusable = False
            self._transport.write(data)
        else:
            self._closed(None)  # lost since it was opened, or last used
        return self._answer

    def give_up(self) -> Response | None:
        """What has come of the response so far, if that is a status at least. Nothing more is read."""
        reader, self._reader = self._reader, None
        return reader.cut() if reader and reader.has_status else None

    def abort(self) -> None:
        self.is_reusable = False
        self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a Protocol is only ever given a Transport

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            self.abort()  # nobody asked
            return
        try:
            response = reader.feed(data)
        except Unreachable as error:
            self._end(error)
            return
        if response:
            # What the endpoint has not read of the request by now, it never will.
            self.is_reusable = reader.reusable and not self._transport.get_write_buffer_size()
            self._end(response)

    def eof_received(self) -> None:
        self._closed(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(error)
        self.lost.set_result(None)
        self._on_lost(self)

    def _closed(self, error: Exception | None) -> None:
        self.is_reusable = False
        reader = self._reader
        if reader is None:
            return
        if reader.untouched and self._exchanges > 1:
            self._end(Stale("closed", "connection closed before a response"))
            return
        try:
            self._end(reader.cut() if error else reader.eof())
        except Unreachable as nothing:
            words = alert(error)
            self._end(Unreachable("tls", f"the endpoint ended TLS: {words}") if words else nothing)

    def _end(self, result: Response | Unreachable) -> None:
        self._reader = None
        if self._answer.done():
            return
        if isinstance(result, Response):
            self._answer.set_result(result)
        else:
            self._answer.set_exception(result)
