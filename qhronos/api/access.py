"""The gate before every handler: who calls, how often, and whether the route is for them.

Each route declares its access (`opt=needs(Access.READ)`); one without a declaration stops the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct

from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps
from qhronos.api.reading import parse_query
from qhronos.clock import Clock
from qhronos.core.ratelimit import Verdict, limit_of, whole_seconds
from qhronos.errors import ConfigError, Refusal, Throttled, Unauthenticated
from qhronos.plan.ratelimit import LocalLimiter

FAILURES_PER_SECOND, FAILURES_BURST = 50.0, 1_000  # bad credentials, for each peer address
THROTTLED = "Rate limit exceeded"


def needs(
    access: Access,
    *refusals: type[Refusal],
    headers: Mapping[str, str] | None = None,
    example: object = None,
    answer: Any = None,
    also: tuple[int, ...] = (),
    texts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What a route declares: who may call it, and for its description what else it refuses and takes.

    `refusals` beyond those that follow from the route itself, `headers` with what they are for, `example` of a body,
    the type of the `answer` where the handler encodes it itself, the statuses that it may `also` have, and the media types
    of answers that are `texts`.
    """
    return {
        "access": access,
        "refusals": refusals,
        "headers": headers or {},
        "example": example,
        "answer": answer,
        "also": also,
        "texts": texts,
    }


def access_of(handler: BaseRouteHandler) -> Access:
    """Raises ConfigError where a route says nothing: forgetting must not open a door."""
    access = handler.opt.get("access")
    if isinstance(access, Access):
        return access
    raise ConfigError(f"route {sorted(handler.paths)} does not declare its access")


class Nothing(Struct, frozen=True):
    """The query parameters of a route that takes none."""


def failures_limiter(clock: Clock) -> LocalLimiter:
    return LocalLimiter(clock, limit_of(FAILURES_PER_SECOND, FAILURES_BURST))


def refuse_excess(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise Throttled(THROTTLED, retry_after=whole_seconds(verdict.retry_after))


class Gate:
    """A guard of litestar: it runs for every route, before query and body are read."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._failures = failures_limiter(deps.clock)

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        required = access_of(handler)
        if required is Access.PUBLIC:
            return
        caller = await self._authenticate(connection)
        connection.scope["user"] = caller
        await self._limit(connection, caller)
        caller.require(required)
        if "wanted" not in handler.parsed_fn_signature.parameters:
            parse_query(connection.scope["query_string"], Nothing)

    async def _authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        try:
            headers = connection.headers.getall("authorization", [])
            if len(headers) > 1:
                raise Unauthenticated("Invalid authorization header format")
            caller = self._deps.keyring.authenticate(headers[0] if headers else None, self._deps.clock.now())
            if caller.token_id:
                await self._deps.revocations.check(caller.token_id)
        except Unauthenticated:
            self._count_failure(connection)
            raise
        return caller

    async def _limit(self, connection: ASGIConnection[Any, Any, Any, Any], caller: Caller) -> None:
        if not self._deps.config.rate_limit.enabled:
            return
        verdict = await self._deps.limiter.take(caller.subject)
        connection.scope["verdict"] = verdict  # type: ignore[typeddict-unknown-key]  # the frame turns it into headers
        refuse_excess(verdict)

    def _count_failure(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        # By the peer of the socket: X-Forwarded-For is whatever the caller likes.
        if self._deps.config.rate_limit.enabled:
            refuse_excess(self._failures.take((connection.scope.get("client") or ("",))[0]))
