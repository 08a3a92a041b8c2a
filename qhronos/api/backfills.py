"""Making up for a past range of an event."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.reading import Moment, Request
from qhronos.api.requests import TAKES_MATCH, actor_of, event_id_of, if_match
from qhronos.core.occurrence import occurrence_id
from qhronos.engine.backfill import Range, backfill
from qhronos.errors import Conflict, Gone, Outdated

EXAMPLE = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z", "dry_run": True}


class Backfill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A past range: what neither happened in it nor is open happens now."""

    since: Moment
    until: Moment
    dry_run: Annotated[bool, Meta(description="Only say what would happen.")] = False
    limit: Annotated[int, Meta(ge=1, le=1000, description="Instants looked at, from the first on.")] = 100


class BackfilledView(Struct, frozen=True, kw_only=True):
    missing: int
    opened: int
    ids: list[str]
    covered: Annotated[datetime, Meta(description="All before it was looked at; go on with `since` here.")]


@post(
    "/events/{event_id:str}/backfill",
    opt=needs(Access.WRITE, Conflict, Gone, Outdated, headers=TAKES_MATCH, example=EXAMPLE, answer=BackfilledView),
    tags=["events"],
    status_code=200,
    summary="Make up for a past range of an event",
)
async def backfill_event(
    deps: Given[Deps], caller: Given[Caller], request: Request, event_id: FromPath[str], data: JSONBody[Backfill]
) -> BackfilledView:
    """What neither happened nor is open, as its rule stands today, each under its own id. See first with `dry_run`."""
    wanted = Range(data.since, data.until, data.limit, data.dry_run)
    found = await backfill(deps.changes, actor_of(caller, request), event_id_of(event_id), wanted, if_match(request))
    ids = [occurrence_id(identity) for identity in found.missing]
    return BackfilledView(missing=len(ids), opened=found.opened, ids=ids, covered=found.covered)


HANDLERS = [backfill_event]
