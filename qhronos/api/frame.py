"""Around everything, unknown routes too: the request id, one log line, one measurement, the rate limit headers."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from qhronos.api.auth import Caller
from qhronos.clock import Clock
from qhronos.core.ratelimit import Verdict, whole_seconds
from qhronos.log import get_logger
from qhronos.metrics import HTTP_REQUEST_SECONDS

log = get_logger()

SANE_ID = re.compile(rb"[!-~]{1,128}")
PROBES = frozenset({"/health", "/healthz", "/readyz", "/metrics"})
ENDLESS = "endless"  # in the scope of an answer that goes on and on: it is measured until it begins
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Frame:
    """Plain ASGI, because litestar's middleware never sees a request that meets no route."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = self._clock.monotonic()
        headless = scope["method"] == "HEAD"
        # HEAD is GET, but for the body. A copy, because the server goes by the original.
        state: Any = {**scope, "method": "GET"} if headless else scope
        state["request_id"] = request_id = _request_id(state["headers"])
        status, ended = 500, None

        async def send_framed(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                ended = self._clock.monotonic() if ENDLESS in state else None
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *self._limits(state)]
            elif headless and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(state, receive, send_framed)
        finally:
            _account(state, status, (ended or self._clock.monotonic()) - started)

    def _limits(self, scope: Any) -> list[tuple[bytes, bytes]]:
        verdict = scope.get("verdict")
        return limit_headers(verdict, self._clock.now().timestamp()) if verdict else []


def limit_headers(verdict: Verdict, now: float) -> list[tuple[bytes, bytes]]:
    """The standard's `Reset` counts seconds from now, the first Qhronos' since 1970."""
    limit, remaining = b"%d" % verdict.limit, b"%d" % verdict.remaining
    return [
        (b"ratelimit-limit", limit),
        (b"ratelimit-remaining", remaining),
        (b"ratelimit-reset", b"%d" % whole_seconds(verdict.reset)),
        (b"x-ratelimit-limit", limit),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", b"%d" % (now + whole_seconds(verdict.reset))),
    ]


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given.decode() if SANE_ID.fullmatch(given) else str(uuid4())


def _account(scope: Any, status: int, took: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    route = scope.get("path_template") or "unknown"
    HTTP_REQUEST_SECONDS.labels(route, method, status).observe(took)
    write = log.debug if route in PROBES else log.info
    caller: Caller | None = scope.get("user")
    write(
        "request.handled",
        method=method,
        route=route,
        status=status,
        took_ms=round(took * 1000, 1),
        subject=caller.subject if caller else None,
        request_id=scope["request_id"],
    )
