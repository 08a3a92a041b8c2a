"""What is sent and what comes back."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from qhronos.errors import Unreachable
from qhronos.http import headers
from qhronos.http.headers import Headers
from qhronos.http.url import Url

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Request(Struct, frozen=True, kw_only=True):
    method: str
    url: str
    headers: Headers = ()
    lines: bytes = b""  # more of them, by headers.lines: what is known long before is written long before
    body: bytes = b""
    timeout: float  # seconds; everything, from the name lookup to the last byte, ends within it
    most_body: int | None = None  # bytes of the response, where it is not the usual; what is longer is cut
    redirects: int = 0  # that are followed, at most
    credentials: tuple[str, ...] = ()  # headers that no other origin gets, beside Authorization and Cookie
    wanted: Callable[[], bool] = lambda: (
        True
    )  # asked when the connection is open: nothing comes between it and the bytes

    def __post_init__(self) -> None:
        if self.lines and self.redirects:
            raise ValueError("credentials could go along in `lines` where a redirect leads; give `headers` instead")


class Busy(Unreachable):
    """Nothing was sent: there is no room at the origin just now. `place` names it; `pause` is in how many seconds there
    is any point in asking again, if that is known."""

    def __init__(self, place: str, message: str, pause: float | None = None) -> None:
        super().__init__("busy", message)
        self.place = place
        self.pause = pause


class Withdrawn(Unreachable):
    """Nothing was sent: the request was wanted no more when it came to that."""

    def __init__(self) -> None:
        super().__init__("withdrawn", "the request was withdrawn before it was sent")


class Response(Struct, frozen=True, kw_only=True):
    """`truncated`: the body was cut, by its size, by the deadline or by the endpoint. The status stands all the same."""

    status: int
    headers: Headers  # names in lower case
    body: bytes
    truncated: bool

    def header(self, name: str) -> str | None:
        """The first field of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


def encode(request: Request, url: Url) -> bytes:
    """The request as it goes on the wire."""
    body = request.body
    length = f"content-length: {len(body)}\r\n" if body or request.method in METHODS_WITH_BODY else ""
    # Identity, and nothing is ever decompressed: a bomb stays as small as it came.
    start = (
        f"{request.method} {url.target} HTTP/1.1\r\nhost: {url.authority}\r\naccept: */*\r\n"
        f"accept-encoding: identity\r\n{length}"
    )
    return b"%b%b%b\r\n%b" % (start.encode(), request.lines, headers.lines(request.headers), body)
