"""Who changed what: how handlers write it down, and the list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment
from qhronos.store import audit

Text = Annotated[str, Meta(min_length=1, max_length=200)]


class ChangeView(Struct, frozen=True, kw_only=True):
    at: datetime
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


def change(
    caller: Caller,
    request_id: str,
    at: datetime,
    action: str,
    object_id: object,
    details: Mapping[str, Any] | None = None,
) -> audit.Change:
    """For `store.audit.record`, in the transaction of the change. `details` never holds a secret."""
    return audit.Change(
        at=at,
        actor=caller.subject,
        token_id=caller.token_id,
        action=action,
        object=str(object_id),
        request_id=request_id,
        details=details or {},
    )


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
