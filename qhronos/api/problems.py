"""The one table from error to HTTP status, and the shape in which a refusal is told: RFC 9457, plus `error`.

`error` repeats `detail` because clients of the first Qhronos read it. A bug is logged once, with its traceback, and its
cause stays here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct

from qhronos.errors import (
    Conflict,
    Denied,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    Outdated,
    QhronosError,
    Refusal,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from qhronos.log import MASK, get_logger

log = get_logger()

STATUS: dict[type[QhronosError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    Outdated: 412,
    TooLarge: 413,
    Invalid: 422,
    Throttled: 429,
    Unavailable: 503,
}
MEDIA_TYPE = "application/problem+json"
FEEDS = "/calendar/"


class FieldError(Struct, frozen=True):
    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    title: str
    status: int
    detail: str
    error: str
    instance: str
    request_id: str
    field: str | None = None
    errors: tuple[FieldError, ...] = ()


class UnsupportedMedia(HTTPException):
    """A body that is not JSON, before anybody looked into it."""

    status_code = 415


MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")
UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`")


def from_validation(error: msgspec.ValidationError, prefix: str = "") -> Invalid:
    """What msgspec refused, in our words and with the path of the field: `action.params.url`."""
    text, _, place = str(error).partition(" - at `")
    path = _join(prefix, place.rstrip("`").removeprefix("$").removeprefix("."))
    if found := MISSING.fullmatch(text):
        path, told = _join(path, found["field"]), "is required"
    elif found := UNKNOWN.fullmatch(text):
        path, told = _join(path, found["field"]), "unknown field"
    else:
        told = text[:1].lower() + text[1:].replace("`", "")
    return Invalid(f"{path}: {told}" if path else told, field=path or None)


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Any error at all as an answer."""
    told = ours(error)
    status = status_of(told)
    if isinstance(told, Unavailable):
        log.warning("request.stalled", request_id=request_id(request.scope), error=str(told))
        detail = f"{told.what} is unavailable; try again"
    elif status >= 500:
        log.error("request.broke", path=shown_path(request.scope), request_id=request_id(request.scope), exc_info=error)
        detail = "see the server log"
    else:
        detail = told.detail if isinstance(told, HTTPException) else str(told)
    return Response(
        problem(request.scope, told, status, detail), status_code=status, media_type=MEDIA_TYPE, headers=_headers(told)
    )


def ours(error: Exception) -> Exception:
    """What litestar refuses by itself, in our words where we have them."""
    match error:
        case ValidationException():
            # Bodies and queries are decoded by us; what is left to litestar is a body that is not there.
            return Malformed("the request needs a JSON body")
        case HTTPException(status_code=400):
            return Malformed(error.detail)
        case HTTPException(status_code=404):
            return NotFound("no such route")
        case HTTPException(status_code=405, headers=headers):
            allow = allowed((headers or {}).get("allow", "").split(", "))
            return HTTPException("this route does not take this method", status_code=405, headers={"Allow": allow})
        case HTTPException(status_code=413):
            return TooLarge("the body is larger than this server takes (server.max_body)")
    return error


def allowed(methods: Iterable[str]) -> str:
    """For `Allow`: what is got can also be asked for without its body."""
    taken = set(methods)
    return ", ".join(sorted(taken | {"HEAD"} if "GET" in taken else taken))


def problem(scope: Any, error: Exception, status: int, detail: str) -> Problem:
    code = code_of(error)
    field = error.field if isinstance(error, Refusal) else None
    return Problem(
        type=f"urn:qhronos:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail=detail,
        error=detail,
        instance=shown_path(scope),
        request_id=request_id(scope),
        field=field,
        errors=(FieldError(field, detail),) if field else (),
    )


def shown_path(scope: Any) -> str:
    """Without what only its sender may know: the address of a feed is a secret."""
    path: str = scope["path"]
    return f"{FEEDS}{MASK}" if path.startswith(FEEDS) else path


def request_id(scope: Any) -> str:
    return str(scope.get("request_id", ""))


def status_of(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def code_of(error: Exception) -> str:
    """The stable word for a kind of problem: `not-found`."""
    match error:
        case Refusal() | Unavailable():
            return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
        case HTTPException(status_code=405):
            return "method-not-allowed"
        case HTTPException(status_code=415):
            return "unsupported-media-type"
    return "internal-error"


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case Throttled():
            return {"Retry-After": str(max(1, error.retry_after))}
        case Unavailable():
            return {"Retry-After": "1"}
        case HTTPException() if error.headers:
            return dict(error.headers)
    return {}


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field and not field.startswith("[") else path + field
