"""Who changed what, listed."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment
from qhronos.store import audit

Text = Annotated[str, Meta(min_length=1, max_length=200)]


class ChangeView(Struct, frozen=True, kw_only=True):
    at: Moment
    actor: str
    token_id: UUID | None
    action: str
    object: str
    request_id: str
    details: msgspec.Raw


class ListChanges(Paging, frozen=True, kw_only=True):
    actor: Text | None = None
    action: Text | None = None
    object: Text | None = None
    since: Moment | None = None
    until: Moment | None = None


@get("/audit", opt=needs(Access.ADMIN), tags=["audit"], summary="List changes, newest first")
async def list_changes(deps: Given[Deps], wanted: Given[ListChanges]) -> Page[ChangeView]:
    before = decode_cursor(wanted.cursor, int)
    asked = audit.Filter(
        actor=wanted.actor, action=wanted.action, object=wanted.object, since=wanted.since, until=wanted.until
    )
    async with deps.database.connection() as conn:
        rows = await audit.page(conn, asked, before, wanted.limit + 1)
    page = page_of(rows, wanted.limit, lambda row: row.id)
    return Page([msgspec.convert(row, ChangeView, from_attributes=True) for row in page.data], page.pagination)


HANDLERS = [list_changes]
