"""From bytes to Structs, strictly: bodies and query parameters. What is unknown is refused by name."""

from __future__ import annotations

import difflib
import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl
from uuid import UUID

import litestar
import msgspec
from litestar.exceptions import InternalServerException
from msgspec import Meta, Struct

from qhronos.api.problems import UnsupportedMedia, from_validation
from qhronos.errors import Malformed, NotFound

S = TypeVar("S", bound=Struct)
Moment = Annotated[datetime, Meta(tz=True)]  # an instant: without an offset it is refused

# Postgres keeps no NUL in text or jsonb; an even number of backslashes before the escape would make it plain text.
ESCAPED_NUL = b"\\u0000"
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
UNESCAPED_PLUS = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d\S*) (\d\d:\d\d)")


class Request(litestar.Request[Any, Any, Any]):
    """Decodes the body as the handler's `data` says; litestar itself would take "5" for a number."""

    @property
    def request_id(self) -> str:
        return str(self.scope["request_id"])  # type: ignore[typeddict-item]  # set by the frame

    async def body(self) -> bytes:
        try:
            return await super().body()
        except InternalServerException as error:  # what litestar makes of a caller that went away
            raise Malformed("the body ended early") from error

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedMedia(detail="send the body as application/json")
        handler: Any = self.route_handler
        return decode(await self.body(), handler.parsed_fn_signature.parameters["data"].annotation)


def decode(body: bytes, kind: Any) -> Any:
    """Raises Malformed for what is not JSON, Invalid for what is not of this kind."""
    if ESCAPED_NUL in body and NUL.search(body):  # the expression alone takes as long as decoding
        raise Malformed("text may not contain the character NUL")
    try:
        return decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise from_validation(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"Invalid JSON format: {error}") from error
    except RecursionError as error:
        raise Malformed("Invalid JSON format: nested too deeply") from error


def prepare(handler: Any) -> None:
    """Build what reads the requests of a handler, so that a type that cannot be read stops the start."""
    parameters = handler.parsed_fn_signature.parameters
    if "data" in parameters:
        decoder(parameters["data"].annotation)
    if "wanted" in parameters:
        shapes_of(parameters["wanted"].annotation)


def parse_query(raw: bytes, kind: type[S]) -> S:
    """Query parameters as a Struct; lists by comma or by repeating. Raises Malformed."""
    shapes = shapes_of(kind)
    values: dict[str, Any] = {}
    for name, value in _pairs(raw):
        if name not in shapes:
            raise Malformed(f"unknown query parameter {name!r}{_suggest(name, shapes)}", field=name)
        if shapes[name] is list:
            values.setdefault(name, []).extend(part.strip() for part in value.split(",") if part.strip())
        elif name in values:
            raise Malformed(f"query parameter {name!r} is given twice", field=name)
        else:
            # An offset of a time whose + was not escaped.
            values[name] = UNESCAPED_PLUS.sub(r"\1+\2", value)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        refusal = from_validation(error)
        raise Malformed(str(refusal), field=refusal.field) from error


def parse_uuid(text: str, refusal: str = "no such thing") -> UUID:
    """An id from a path; one that cannot be is one that is not there."""
    try:
        parsed = UUID(text)
    except ValueError as error:
        raise NotFound(refusal) from error
    if str(parsed) != text.lower():
        raise NotFound(refusal)
    return parsed


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as error:
        raise Malformed("the query string cannot be read") from error
    if any("\0" in part for pair in pairs for part in pair):
        raise Malformed("text may not contain the character NUL")
    return pairs


@cache
def shapes_of(kind: type[Struct]) -> dict[str, type]:
    """Of each parameter, whether it takes a list or one value."""
    return {field.encode_name: list if _is_list(field.type) else str for field in msgspec.structs.fields(kind)}


def _is_list(kind: Any) -> bool:
    """Looking through Annotated and unions."""
    origin = get_origin(kind) or kind
    if origin in (list, tuple, set, frozenset):
        return True
    return origin is not dict and any(_is_list(part) for part in get_args(kind))


def _suggest(name: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if known else "; this route takes none"


@cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
