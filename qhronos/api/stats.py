"""How many events and occurrences there are, counted at a bounded price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from litestar import get
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.core.event import EventStatus
from qhronos.core.occurrence import OPEN, Status
from qhronos.store import tallies


class OpenView(Struct, frozen=True):
    scheduled: int
    dispatched: int
    overdue: Annotated[int, Meta(description="Scheduled, and due for longer than the grace period.")]


class ClosedView(Struct, frozen=True):
    """By status."""

    last_hour: dict[str, int]
    last_24_hours: dict[str, int]


class Stats(Struct, frozen=True, kw_only=True):
    events: Annotated[dict[str, int], Meta(description="By status.")]
    occurrences: OpenView
    closed: Annotated[ClosedView | None, Meta(description="Of the whole installation: for admins only.")]
    exact: Annotated[bool, Meta(description="False: there are more than was counted.")]


@get("/stats", opt=needs(Access.READ), tags=["stats"], summary="Count events and occurrences")
async def get_stats(deps: Given[Deps], caller: Given[Caller]) -> Stats:
    """Only what the token sees. Counting stops at 10,000."""
    now = deps.clock.now()
    async with deps.database.connection() as conn:
        events = await tallies.count_events(conn, caller.visible)
        waiting = await tallies.count_open(conn, caller.visible, now - deps.config.scheduler.grace_period)
        closed = await tallies.sum_closed(conn, now) if caller.unrestricted else None
    return Stats(
        events=_filled(events, [status for status in EventStatus if status is not EventStatus.DELETED]),
        occurrences=OpenView(*(min(count, tallies.MOST) for count in waiting)),
        closed=_closed(closed),
        exact=sum(events.values()) <= tallies.MOST and sum(waiting[:2]) <= tallies.MOST,
    )


def _closed(closed: tallies.Closed | None) -> ClosedView | None:
    if closed is None:
        return None
    ends = [status for status in Status if status not in OPEN]
    return ClosedView(_filled(closed.last_hour, ends), _filled(closed.last_day, ends))


def _filled(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """A nought where nothing was counted."""
    return {str(name): counts.get(name, 0) for name in names}


HANDLERS = [get_stats]
