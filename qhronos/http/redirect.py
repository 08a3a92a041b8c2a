"""Where a redirect leads, and what goes along. Pure.

The next request is vetted as the first was. To another origin no credentials go, and from https to http nothing does.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urldefrag, urljoin

from msgspec.structs import replace

from qhronos.errors import Invalid, Unreachable
from qhronos.http import url
from qhronos.http.headers import Headers
from qhronos.http.message import Request, Response

FOLLOWED = frozenset({301, 302, 303, 307, 308})
CREDENTIALS = frozenset({"authorization", "cookie"})
BODILY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})


def onward(request: Request, response: Response) -> Request | None:
    """The request that a response asks for, or None if it is the last. Raises Unreachable if it leads nowhere."""
    location = response.header("location")
    if response.status not in FOLLOWED or not location:
        return None
    target = _target(request.url, location, response.status)
    dropped = _dropped(request, url.parse(request.url), url.parse(target))
    if response.status != 303 or request.method in ("GET", "HEAD"):
        return replace(request, url=target, headers=_without(request.headers, dropped))
    return replace(request, url=target, method="GET", body=b"", headers=_without(request.headers, dropped | BODILY))


def _target(base: str, location: str, status: int) -> str:
    # Bytes that are not ASCII came as Latin-1, and are percent-encoded as they were.
    reference = quote(location.strip().encode("latin-1"), safe=string.punctuation)
    try:
        target = urldefrag(urljoin(base, reference)).url
        scheme = url.parse(target).scheme
    except (Invalid, ValueError) as error:
        raise Unreachable("redirect", f"HTTP {status}: the redirect leads to no valid URL") from error
    if scheme != "https" and url.parse(base).scheme == "https":
        raise Unreachable("redirect", f"HTTP {status}: the redirect leads from https to http")
    return target


def _dropped(request: Request, here: url.Url, there: url.Url) -> frozenset[str]:
    if (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port):
        return frozenset()
    return CREDENTIALS | {name.lower() for name in request.credentials}


def _without(headers: Headers, names: frozenset[str]) -> Headers:
    return tuple([header for header in headers if header[0].lower() not in names])
