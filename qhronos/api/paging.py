"""Pages by keyset: a cursor says where the last page ended, so no page costs more than the first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from qhronos.errors import Malformed

T = TypeVar("T")
K = TypeVar("K")

Limit = Annotated[int, Meta(ge=1, le=200, description="The most items in one answer.")]
Cursor = Annotated[str, Meta(max_length=500, description="`next_cursor` of the page before.")]


class Paging(Struct, frozen=True, kw_only=True):
    """The query parameters of every list; lists extend it with their filters."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Pagination(Struct, frozen=True, kw_only=True):
    limit: int
    next_cursor: str | None  # null on the last page
    has_more: bool


class Page(Struct, Generic[T], frozen=True):
    data: list[T]
    pagination: Pagination


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], Any]) -> Page[T]:
    """`rows` holds one more than `limit` where there is a further page; `key` is what the next one starts behind."""
    data = list(rows[:limit])
    return page_until(data, limit, key(data[-1]) if len(rows) > limit else None)


def page_until(data: list[T], limit: int, after: object | None) -> Page[T]:
    """`after` is what the next page starts behind; None: there is none."""
    next_cursor = None if after is None else encode_cursor(after)
    return Page(data, Pagination(limit=limit, next_cursor=next_cursor, has_more=after is not None))


def encode_cursor(key: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(text: str | None, kind: type[K]) -> K | None:
    """The inverse of `encode_cursor`. Raises Malformed for anything else."""
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise Malformed("the cursor is not one that this list gave", field="cursor") from error
