"""The API for people: one page at /schema, written by the server from the same description as /schema/openapi.json.

Everything it needs is in this package, and its policy lets a browser load nothing else.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec
from litestar import Litestar, Response, get

from qhronos import __version__
from qhronos.api.access import needs
from qhronos.api.auth import Access
from qhronos.api.openapi import describe
from qhronos.api.page import render
from qhronos.api.reading import Request

HIDDEN: dict[str, Any] = {"opt": needs(Access.PUBLIC), "include_in_schema": False}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
GUARDED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
KEPT = {**GUARDED, "Cache-Control": "public, max-age=86400"}  # the page asks for them by version


@get("/schema", **HIDDEN)
async def get_page(request: Request) -> Response[bytes]:
    return Response(_once(request.app, "page", _page), headers={**GUARDED, "Content-Type": "text/html; charset=utf-8"})


@get("/schema/openapi.json", **HIDDEN)
async def get_openapi(request: Request) -> Response[bytes]:
    return Response(_once(request.app, "openapi", _openapi), headers={**GUARDED, "Content-Type": "application/json"})


@get("/schema/docs.css", **HIDDEN)
async def get_style() -> Response[bytes]:
    return Response(_asset("docs.css"), headers={**KEPT, "Content-Type": "text/css; charset=utf-8"})


@get("/schema/docs.js", **HIDDEN)
async def get_script() -> Response[bytes]:
    return Response(_asset("docs.js"), headers={**KEPT, "Content-Type": "text/javascript; charset=utf-8"})


@get("/schema/docs.svg", **HIDDEN)
async def get_icon() -> Response[bytes]:
    return Response(_asset("docs.svg"), headers={**KEPT, "Content-Type": "image/svg+xml"})


def _once(app: Litestar, name: str, make: Any) -> bytes:
    """Made when it is first asked for: most processes are never asked."""
    made: bytes | None = app.state.get(name)
    if made is None:
        made = app.state[name] = make(app)
    return made


def _openapi(app: Litestar) -> bytes:
    return msgspec.json.encode(describe(app))


def _page(app: Litestar) -> bytes:
    return render(describe(app), __version__).encode()


def _asset(name: str) -> bytes:
    return files("qhronos.api").joinpath(name).read_bytes()


HANDLERS = [get_page, get_openapi, get_style, get_script, get_icon]
