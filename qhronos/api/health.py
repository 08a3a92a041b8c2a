"""Is the process alive, may it be sent work, and what is it: for probes, monitors and people. No token, no secret."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Litestar, MediaType, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from msgspec import Meta, Struct

from qhronos import __version__, metrics
from qhronos.api.access import needs
from qhronos.api.auth import Access
from qhronos.api.deps import Deps, Given
from qhronos.api.frame import Frame
from qhronos.api.problems import respond
from qhronos.api.readiness import Checks, Readiness
from qhronos.clock import Clock
from qhronos.core.recurrence import tzdata_version
from qhronos.core.signing import FIRST_SIGNATURE


class Alive(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True):
    status: Literal["ready", "not ready"]
    checks: Checks


class JwtView(Struct, frozen=True, kw_only=True):
    issuer: str
    algorithm: Annotated[str, Meta(description="That new tokens are signed with.")]
    max_exp_seconds: Annotated[int, Meta(description="The longest life of a token minted here.")]


class HmacView(Struct, frozen=True, kw_only=True):
    algorithm: str = "HMAC-SHA256"
    signature_header: str = FIRST_SIGNATURE.title()
    standard_webhooks: bool = True
    event_override_supported: bool = True


class StatusView(Struct, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"
    uptime_seconds: int
    version: str
    tzdata: Annotated[str, Meta(description="The version of the zone rules in use.")]
    jwt: JwtView
    hmac: HmacView


PUBLIC: dict[str, Any] = {"opt": needs(Access.PUBLIC), "tags": ["health"]}


@get("/health", **PUBLIC, summary="Whether the process answers")
async def get_health() -> Alive:
    return Alive()


@get("/healthz", **PUBLIC, summary="Whether the process answers")
async def get_healthz() -> Alive:
    return Alive()


@get("/readyz", **PUBLIC, summary="Whether the process may be sent work")
async def get_readyz(readiness: Given[Readiness]) -> Response[Ready]:
    """503 while a store is away, the schema is not ours, the process is about to end, or the clock is disputed that it is to
    claim by."""
    checks = await readiness.check()
    if readiness.suffices(checks):
        return Response(Ready("ready", checks))
    return Response(Ready("not ready", checks), status_code=503, headers={"Retry-After": "1"})


@get("/metrics", **PUBLIC, media_type=MediaType.TEXT, summary="Metrics in the text format of Prometheus")
async def get_metrics() -> Response[bytes]:
    return Response(metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


@get("/status", **PUBLIC, summary="What runs here")
async def get_status(deps: Given[Deps]) -> StatusView:
    return StatusView(
        uptime_seconds=int(deps.clock.monotonic() - deps.started_at),
        version=__version__,
        tzdata=tzdata_version(),
        jwt=JwtView(
            issuer=deps.keyring.issuer,
            algorithm=deps.keyring.algorithm,
            max_exp_seconds=int(deps.config.auth.max_lifetime.total_seconds()),
        ),
        hmac=HmacView(),
    )


PROBES: list[Any] = [get_health, get_healthz, get_readyz, get_metrics]
HANDLERS: list[Any] = [*PROBES, get_status]


def create_health_app(readiness: Readiness, clock: Clock) -> Litestar:
    """The probes alone, for roles without an API."""
    app = Litestar(
        route_handlers=PROBES,
        dependencies={"readiness": Provide(lambda: readiness, sync_to_thread=False)},
        exception_handlers={Exception: respond, HTTPException: respond},
        logging_config=None,
        openapi_config=None,
    )
    app.asgi_handler = Frame(app.asgi_handler, clock)
    return app
