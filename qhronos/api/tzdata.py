"""The zone rules: who has which, and what newer ones have moved."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get, post
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.paging import Page, Paging, decode_cursor, page_of
from qhronos.api.reading import Moment, Request
from qhronos.api.requests import actor_of
from qhronos.core.recurrence import tzdata_version
from qhronos.store import audit, zonerules


class TzdataView(Struct, frozen=True, kw_only=True):
    tzdata: Annotated[str, Meta(description="The version of the zone rules of this server.")]
    behind: Annotated[int, Meta(description="Events with older rules: an expander lets them follow.")]
    ahead: Annotated[int, Meta(description="Events with newer rules: this server leaves them alone.")]


class TzdataChangeView(Struct, frozen=True, kw_only=True):
    """`moved`: the local time stayed. `added` and `removed`: it exists now, or no longer. `kept_back`: it has happened by
    the rules before, so that it does not happen again."""

    at: Annotated[Moment, Meta(description="When the event followed to the new rules.")]
    event_id: UUID
    event_name: str
    timezone: str
    tzdata_before: str
    tzdata_after: str
    change: zonerules.Kind
    local: Annotated[str | None, Meta(description="In the time zone of the event.")]
    before: Moment | None
    after: Moment | None


class ListChanges(Paging, frozen=True, kw_only=True):
    event_id: UUID | None = None
    since: Annotated[Moment | None, Meta(description="Of what was changed at or after it.")] = None


class Adopted(Struct, frozen=True, kw_only=True):
    tzdata: str
    adopted: Annotated[int, Meta(description="Events that will follow.")]


@get("/tzdata", opt=needs(Access.READ), tags=["tzdata"], summary="Show who has which zone rules")
async def get_tzdata(deps: Given[Deps]) -> TzdataView:
    async with deps.database.connection() as conn:
        behind, ahead = await zonerules.count_apart(conn, tzdata_version())
    return TzdataView(tzdata=tzdata_version(), behind=behind, ahead=ahead)


@get("/tzdata/changes", opt=needs(Access.READ), tags=["tzdata"], summary="List what new zone rules have moved")
async def list_tzdata_changes(
    deps: Given[Deps], caller: Given[Caller], wanted: Given[ListChanges]
) -> Page[TzdataChangeView]:
    """Newest first, of the events that the token sees."""
    older_than = decode_cursor(wanted.cursor, int)
    async with deps.database.connection() as conn:
        rows = await zonerules.page(conn, wanted.event_id, wanted.since, caller.visible, older_than, wanted.limit + 1)
    page = page_of(rows, wanted.limit, lambda row: row.id)
    return Page([_view(row) for row in page.data], page.pagination)


@post(
    "/tzdata/adopt",
    status_code=200,
    opt=needs(Access.ADMIN),
    tags=["tzdata"],
    summary="Let events with newer zone rules follow to those of this server",
)
async def adopt_tzdata(deps: Given[Deps], caller: Given[Caller], request: Request) -> Adopted:
    """For who goes back to an older release on purpose. Otherwise upgrade the server."""
    ours = tzdata_version()
    async with deps.database.transaction() as conn:
        adopted = await zonerules.adopt(conn, ours)
        if adopted:
            did = actor_of(caller, request).did("tzdata.adopted", ours, deps.clock.now(), {"events": adopted})
            await audit.record(conn, did)
    return Adopted(tzdata=ours, adopted=adopted)


def _view(row: zonerules.Recorded) -> TzdataChangeView:
    return TzdataChangeView(
        at=row.at,
        event_id=row.event_id,
        event_name=row.event_name,
        timezone=row.timezone,
        tzdata_before=row.was,
        tzdata_after=row.became,
        change=row.change,
        local=_shown(row.wall),
        before=row.before,
        after=row.after,
    )


def _shown(wall: datetime | None) -> str | None:
    return wall.isoformat() if wall else None


HANDLERS = [get_tzdata, list_tzdata_changes, adopt_tzdata]
