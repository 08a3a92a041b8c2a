"""Reads one response out of bytes, with a limit on everything. Knows no sockets.

Once the headers of the final response are complete its status stands: whatever happens to the body afterwards only
makes it `truncated`. Before that, an end or an error means that there is no response.
"""

from __future__ import annotations

import httptools

from qhronos.errors import Unreachable
from qhronos.http.limits import Limits
from qhronos.http.message import Response


class Reader:
    """Feed it until it gives a response; then see whether the connection is `reusable`."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_done",
        "_fault",
        "_head_only",
        "_header_bytes",
        "_headers",
        "_interim",
        "_limits",
        "_most_body",
        "_parser",
        "_raw_bytes",
        "_status",
        "reusable",
        "untouched",
    )

    def __init__(self, method: str, limits: Limits, most_body: int | None = None) -> None:
        self._limits = limits
        self._most_body = limits.most_body if most_body is None else most_body
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = method == "HEAD"
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._header_bytes = self._body_bytes = self._interim = 0
        self._raw_bytes = 0  # fed since the last turn: of the head, then of the body with its chunk framing
        self._status = 0  # of the final response, once its headers are complete
        self._fault: str | None = None
        self._done = False
        self.untouched = True  # not a byte has come
        self.reusable = False

    def feed(self, data: bytes) -> Response | None:
        """The response, once it is whole or as much of it as is taken. Raises Unreachable for what is no response."""
        self.untouched = False
        status = self._status
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            self._fault = self._fault or f"not valid HTTP: {error}"
        if self._done:  # a fault after that is only of what follows
            return self._response(truncated=self._body_bytes > self._most_body)
        self._raw_bytes = self._raw_bytes + len(data) if status == self._status else 0
        return self.cut() if self._fault or self._is_too_much() else None

    def eof(self) -> Response:
        """What there is when the endpoint has closed, which is how a body without a length ends."""
        framed = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        return self._response(truncated=framed)

    def cut(self) -> Response:
        """What there is when no more is wanted. What is left of it would be taken for the next response."""
        self.reusable = False
        return self._response(truncated=True)

    @property
    def has_status(self) -> bool:
        return self._status != 0

    def _response(self, *, truncated: bool) -> Response:
        del self._parser  # it holds this object, and this object it: do not leave that to the collector
        if self._fault and not self._status:
            raise Unreachable("protocol", self._fault)
        if not self._status:
            raise Unreachable("closed", "connection closed before a response")
        return Response(
            status=self._status,
            headers=tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._headers]),
            body=b"".join(self._body)[: self._most_body],
            truncated=truncated,
        )

    def _is_too_much(self) -> bool:
        if self._status:
            return self._raw_bytes > self._most_body or self._body_bytes > self._most_body
        if self._raw_bytes > self._limits.most_header_bytes:
            self._fault = "headers too large"
        return self._fault is not None

    def _refuse(self, fault: str) -> None:
        self._fault = fault
        raise Unreachable("protocol", fault)  # stops the parser, which reports an error of its own

    # What the parser calls, in the order of a message.

    def on_message_begin(self) -> None:
        if self._done:
            self._refuse("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._limits.most_header_bytes:
            self._refuse("headers too large")
        if self._status:
            return  # a trailer
        self._headers.append((name, value))
        if len(self._headers) > self._limits.most_headers:
            self._refuse("too many headers")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._done = self._head_only
            self.reusable = self._parser.should_keep_alive()
            return
        self._headers.clear()
        self._interim += 1
        if self._interim > self._limits.most_interim:
            self._refuse("too many interim responses")
        if not 100 <= status != 101:
            self._refuse(f"unexpected status {status}")

    def on_body(self, data: bytes) -> None:
        if self._done:
            self._refuse("a body after HEAD")
        self._body.append(data)
        self._body_bytes += len(data)
        pieces = len(self._body)
        # Each chunk costs as much time as thousands of bytes, and all that one read brings are taken in one go.
        if pieces > self._limits.most_crumbs and self._body_bytes < pieces * self._limits.crumb_bytes:
            self._refuse("a body in crumbs")

    def on_message_complete(self) -> None:
        if self._status and not self._done:
            self._done = True
            self.reusable = self._parser.should_keep_alive()
