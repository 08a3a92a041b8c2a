"""The API as one ASGI application."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from litestar import Litestar, Response, route
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from qhronos.api import (
    audit,
    backfills,
    bulk,
    calendars,
    docs,
    events,
    exports,
    feeds,
    health,
    imports,
    ledger,
    occurrences,
    recurrences,
    series,
    stats,
    stream,
    tokens,
    tzdata,
)
from qhronos.api.access import Gate, access_of, needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.frame import Frame
from qhronos.api.problems import allowed, respond
from qhronos.api.readiness import Readiness
from qhronos.api.reading import Request, parse_query, prepare

# Each resource lists its own.
HANDLERS: list[Any] = [
    *events.HANDLERS,
    *bulk.HANDLERS,
    *imports.HANDLERS,
    *backfills.HANDLERS,
    *exports.HANDLERS,
    *feeds.HANDLERS,
    *occurrences.HANDLERS,
    *ledger.HANDLERS,
    *series.HANDLERS,
    *recurrences.HANDLERS,
    *calendars.HANDLERS,
    *tzdata.HANDLERS,
    *tokens.HANDLERS,
    *audit.HANDLERS,
    *stats.HANDLERS,
    *stream.HANDLERS,
    *health.HANDLERS,
    *docs.HANDLERS,
]


# What a gateway without the API serves.
GATEWAY_HANDLERS: list[Any] = [*stream.HANDLERS, *health.PROBES]


def create_app(deps: Deps, handlers: list[Any] | None = None) -> Litestar:
    """The API over `deps`, which somebody else opens and closes; or these of its handlers.

    Handlers may ask for `deps: Given[Deps]`, `caller: Given[Caller]`, `request: Request` (with its `request_id`),
    `data: JSONBody[…]`, decoded strictly, and `wanted: Given[…]`, a Struct of the query parameters. Without `wanted` the
    route takes none.
    """
    served = HANDLERS if handlers is None else handlers
    app = Litestar(
        # Before the others, or litestar answers OPTIONS itself and forgets some of the methods.
        route_handlers=[*_options(served), *served],
        guards=[Gate(deps)],
        dependencies=_dependencies(deps),
        exception_handlers={Exception: respond, HTTPException: respond},
        request_class=Request,
        request_max_body_size=deps.config.server.max_body,
        logging_config=None,
        openapi_config=None,
    )
    _check(app)
    # litestar's middleware would not see requests that meet no route.
    app.asgi_handler = Frame(app.asgi_handler, deps.clock)
    return app


def _options(handlers: list[HTTPRouteHandler]) -> Iterator[HTTPRouteHandler]:
    """For each path, a handler that says which methods it takes."""
    methods: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for handler in handlers:
        for path in handler.paths:
            methods[path] |= {str(method) for method in handler.http_methods}
    for path, taken in methods.items():
        yield _say_methods(path, allowed(taken))


def _say_methods(path: str, allow: str) -> HTTPRouteHandler:
    @route(path, http_method=["OPTIONS"], opt=needs(Access.PUBLIC), status_code=204, include_in_schema=False)
    async def say_methods() -> Response[None]:
        return Response(None, headers={"Allow": allow})

    return say_methods


def _check(app: Litestar) -> None:
    """What would fail at the first request fails here."""
    for known in app.routes:
        for handler in known.route_handlers if isinstance(known, HTTPRoute) else [known.route_handler]:
            access_of(handler)
            prepare(handler)


def _dependencies(deps: Deps) -> dict[str, Provide]:
    # Each asks for the one before, although it has no use for it: litestar resolves independent dependencies in a
    # task group, which costs more than all of them.
    def provide_deps() -> Deps:
        return deps

    def provide_readiness(deps: Given[Deps]) -> Readiness:
        return deps.readiness

    def provide_caller(request: Request, deps: Given[Deps]) -> Caller:  # noqa: ARG001 - see above
        caller: Caller = request.scope["user"]
        return caller

    def provide_wanted(request: Request, caller: Given[Caller]) -> Any:  # noqa: ARG001 - see above
        kind = request.route_handler.parsed_fn_signature.parameters["wanted"].annotation
        return parse_query(request.scope["query_string"], kind)

    return {
        "deps": Provide(provide_deps, sync_to_thread=False),
        "readiness": Provide(provide_readiness, sync_to_thread=False),
        "caller": Provide(provide_caller, sync_to_thread=False),
        "wanted": Provide(provide_wanted, sync_to_thread=False),
    }
