"""The API described as OpenAPI 3.1, from the handlers and the very types that decode and encode.

litestar's own generator loses what msgspec knows: limits inside lists, refused unknown fields, defaults that are
Structs. So the schemas are msgspec's, and this module only puts them in their places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.routes import HTTPRoute

from qhronos import __version__
from qhronos.api.access import access_of
from qhronos.api.auth import Access
from qhronos.api.problems import MEDIA_TYPE, STATUS, Problem

REF = "#/components/schemas/{name}"
ABOUT = """\
A client stores an **event**: what should happen (an action) and when (once, or by a recurrence). Each **occurrence** of
it happens on time, at least once, and every **attempt** is recorded.

Send `Authorization: Bearer <token>`. Times are RFC 3339 with an offset, time zones are IANA names. Lists are paged:
`pagination.next_cursor` is the `cursor` of the next page. Refusals are `application/problem+json` (RFC 9457).
"""
TAGS = {
    "events": "What should happen, and when.",
    "occurrences": "Each instant of an event, and what became of it.",
    "recurrences": "What a schedule gives, before it is stored.",
    "feeds": "Calendars to subscribe to.",
    "calendars": "Days on which events do not happen.",
    "tzdata": "What new zone rules have moved.",
    "tokens": "Who may do what.",
    "audit": "Who did what.",
    "stats": "How many there are.",
    "health": "For probes and monitors. No token needed.",
}


# 415 is refused before any of our errors.
PROBLEMS = {status: kind.__name__ for kind, status in STATUS.items()} | {415: "UnsupportedMedia"}

IDS = {
    "event_id": {"type": "string", "format": "uuid"},
    "token_id": {"type": "string", "format": "uuid"},
    "feed_id": {"type": "string", "format": "uuid"},
    "calendar": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}$"},
    "feed_file": {"type": "string", "pattern": r"^[\w-]+\.ics$"},
    "occurrence_id": {"type": "string", "pattern": "^occ_[a-z2-7]{39}$"},
}


class Route(NamedTuple):
    path: str
    method: str
    handler: HTTPRouteHandler

    @property
    def parameters(self) -> dict[str, Any]:
        return self.handler.parsed_fn_signature.parameters


def describe(app: Litestar) -> dict[str, Any]:
    routes = sorted(_routes(app), key=_rank)
    refs, components = _schemas(routes)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Qhronos", "version": __version__, "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {name: _problem(status, name, refs) for status, name in PROBLEMS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _routes(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS" and handler.resolve_include_in_schema():
                yield Route(route.path_format, method.lower(), handler)


def _rank(route: Route) -> int:
    tag = _tag(route)
    return list(TAGS).index(tag) if tag in TAGS else len(TAGS)


def _tag(route: Route) -> str:
    return next(iter(route.handler.tags or []), "")


def _schemas(routes: list[Route]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """The schema of every type that crosses the boundary, and the named ones it refers to."""
    kinds = list(dict.fromkeys([Problem, *(kind for route in routes for kind in _kinds(route))]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    return dict(zip(kinds, schemas, strict=True)), components


def _kinds(route: Route) -> Iterator[Any]:
    if "data" in route.parameters:
        yield route.parameters["data"].annotation
    yield from (field.type for field in _query_fields(route))
    if (kind := _answer(route)) is not None:
        yield kind


def _answer(route: Route) -> Any:
    """What a handler answers with; None for nothing, or for what is not JSON."""
    if (declared := route.handler.opt.get("answer")) is not None:
        return declared
    kind = route.handler.parsed_fn_signature.return_type.annotation
    if get_origin(kind) is Response:
        (kind,) = get_args(kind)
    return None if kind in (None, type(None), bytes, str, Any, ASGIResponse) else kind


def _operation(route: Route, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    access = access_of(route.handler)
    described = cleandoc(route.handler.fn.__doc__ or "")
    operation: dict[str, Any] = {
        "operationId": route.handler.fn.__name__,
        "tags": list(route.handler.tags or []),
        "summary": route.handler.summary,
        "description": "\n\n".join(part for part in (described, _access_words(access)) if part),
        "security": [] if access is Access.PUBLIC else [{"token": []}],
        "parameters": [*_path_parameters(route), *_query_parameters(route, refs), *_header_parameters(route)],
        "responses": _responses(route, access, refs),
    }
    if "data" in route.parameters:
        operation["requestBody"] = _body(route, refs)
    return operation


def _access_words(access: Access) -> str:
    match access:
        case Access.PUBLIC:
            return ""
        case Access.MASTER:
            return "Needs the master token."
        case _:
            return f"Needs `{access}` access."


def _path_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": IDS[name]}


def _query_parameters(route: Route, refs: dict[Any, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for field in _query_fields(route):
        schema = dict(refs[field.type])
        # Absent is how a query says null.
        options = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
        schema = dict(options[0]) if len(options) == 1 else {**schema, "anyOf": options}
        described = schema.pop("description", None)
        if field.default not in (msgspec.NODEFAULT, None):
            schema["default"] = msgspec.to_builtins(field.default)
        parameter = {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
        if described:
            parameter["description"] = described
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        yield parameter


def _query_fields(route: Route) -> tuple[msgspec.structs.FieldInfo, ...]:
    if "wanted" not in route.parameters:
        return ()
    return msgspec.structs.fields(route.parameters["wanted"].annotation)


def _header_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name, described in route.handler.opt.get("headers", {}).items():
        yield {"name": name, "in": "header", "description": described, "schema": {"type": "string"}}


def _body(route: Route, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": refs[route.parameters["data"].annotation]}
    if (example := route.handler.opt.get("example")) is not None:
        content["example"] = example
    return {"required": not route.parameters["data"].has_default, "content": {"application/json": content}}


def _responses(route: Route, access: Access, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    answer = _answer(route)
    good: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        good["content"] = {"application/json": {"schema": refs[answer]}}
    elif route.handler.media_type == "text/plain":
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for media_type in route.handler.opt.get("texts", ()):
        good.setdefault("content", {})[media_type] = {"schema": {"type": "string"}}
    refusals = {
        str(status): {"$ref": f"#/components/responses/{PROBLEMS[status]}"}
        for status in sorted(_statuses(route, access))
    }
    statuses = (route.handler.status_code, *route.handler.opt.get("also", ()))
    # What has not changed is not sent again.
    taken = {str(status): {"description": "Not modified"} if status == 304 else good for status in sorted(statuses)}
    return {**taken, **refusals}


def _statuses(route: Route, access: Access) -> set[int]:
    """The refusals that follow from what a route is, and those that it declares."""
    statuses = {STATUS[refusal] for refusal in route.handler.opt.get("refusals", ())}
    if access is not Access.PUBLIC:
        statuses |= {400, 401, 403, 429, 503}
    if "data" in route.parameters:
        statuses |= {400, 413, 415, 422}
    if "{" in route.path:
        statuses |= {404}
    return statuses


def _problem(status: int, name: str, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": name,
        "content": {MEDIA_TYPE: {"schema": refs[Problem]}},
    }
    if status in (429, 503):
        told["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return told
