"""How many events and occurrences there are, as one token sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from qhronos.core.event import EventStatus
from qhronos.core.occurrence import OPEN, Status
from qhronos.store import Database, tallies


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


async def count(database: Database, scope: list[str] | None, now: datetime, grace: timedelta) -> Stats:
    """Of what `scope` sees; None is everything. What is due for longer than `grace` is overdue."""
    async with database.connection() as conn:
        events = await tallies.count_events(conn, scope)
        waiting = await tallies.count_open(conn, scope, now - grace)
        closed = await tallies.sum_closed(conn, now) if scope is None else None
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
