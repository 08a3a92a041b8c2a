"""The API as one ASGI application."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute

from qhronos.api import audit, bulk, docs, events, health, occurrences, recurrences, stats, tokens
from qhronos.api.access import Gate, access_of
from qhronos.api.auth import Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.frame import Frame
from qhronos.api.problems import respond
from qhronos.api.readiness import Readiness
from qhronos.api.reading import Request, parse_query, prepare

# Each resource lists its own.
HANDLERS: list[Any] = [
    *events.HANDLERS,
    *bulk.HANDLERS,
    *occurrences.HANDLERS,
    *recurrences.HANDLERS,
    *tokens.HANDLERS,
    *audit.HANDLERS,
    *stats.HANDLERS,
    *health.HANDLERS,
    *docs.HANDLERS,
]


def create_app(deps: Deps) -> Litestar:
    """The API over `deps`, which somebody else opens and closes.

    Handlers may ask for `deps: Given[Deps]`, `caller: Given[Caller]`, `request: Request` (with its `request_id`),
    `data: JSONBody[…]`, decoded strictly, and `wanted: Given[…]`, a Struct of the query parameters. Without `wanted` the
    route takes none.
    """
    app = Litestar(
        route_handlers=HANDLERS,
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


def _check(app: Litestar) -> None:
    """What would fail at the first request fails here."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]:
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
