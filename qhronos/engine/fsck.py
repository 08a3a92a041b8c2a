"""Whether everything holds that must: the invariants by query, the ledger of some events, and the plan against Postgres.

It reads and changes nothing. What is merely under way is no violation: a lease that has not ended or was not yet taken
back, a retry that waits, what is late by less than the grace period, and what the sweep would still bring back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from qhronos.clock import Clock
from qhronos.config import Config
from qhronos.core.ledger import Fate, Line
from qhronos.core.occurrence import Identity, occurrence_id
from qhronos.engine.ledger import Rules, ledger_of
from qhronos.engine.plancheck import check_plan
from qhronos.engine.stores import Stores
from qhronos.errors import NotFound
from qhronos.store import Connection, fsck
from qhronos.store.fsck import MOST, Broken
from qhronos.store.ledger import Window, kept_since
from qhronos.store.occurrences import Occurrence

DAY = timedelta(days=1)

# Each check by the name of its statement, or of what is compared, and what it is when it is broken.
CHECKS = {
    "unknown_event": "open occurrences whose event does not exist",
    "unknown_version": "occurrences bound to a version that their event never had",
    "open_and_closed": "occurrences that are open and closed",
    "half_held": "open occurrences with a lease without a worker or fence, or with a worker without a lease",
    "unkept": "occurrences that are handed to a client and not in its outbox, or the other way round",
    "unreturned": "messages that nobody took in time and whose fallback nobody does",
    "shared_fence": "open occurrences that have the fence of another",
    "stranded": "open occurrences that are blocked by a pause although their event is not paused",
    "unreasoned": "occurrences that were closed without a reason, or completed without an attempt",
    "wrong_attempts": "occurrences whose attempts are not those that are recorded, or say something else",
    "too_many_attempts": "open occurrences with more attempts than their event allows",
    "completed_but_open": "open occurrences of completed events",
    "deleted_but_open": "open occurrences of deleted events that had not started",
    "wrong_version": "events whose version is not the one that is recorded as valid",
    "broken_versions": "versions of events that do not follow on each other",
    "wrong_gap": "gaps of nothing, of no event, or beyond what was expanded",
    "overdue": "occurrences that nobody acts on although they are due",
    "unexpanded": "events whose instants nobody makes although they are due",
    "missing": "instants that were promised and are not recorded",
    "unplanned": "overdue occurrences that are missing from the plan",
    "planned_late": "overdue occurrences that are planned for later",
    "stale_plan": "overdue entries of the plan that are not open",
}
BY_QUERY = [name for name in CHECKS if name in fsck.SQL]


class Example(Struct, frozen=True, kw_only=True, omit_defaults=True):
    event_id: str
    occurrence_id: str | None = None
    scheduled_at: datetime | None = None
    note: str | None = None


class Violation(Struct, frozen=True, kw_only=True):
    check: str
    says: str
    count: int
    examples: list[Example]


class Report(Struct, frozen=True, kw_only=True):
    """`events`: of how many the ledger was read."""

    at: datetime
    clean: bool
    checks: int
    events: int
    violations: list[Violation]


async def check_all(stores: Stores, clock: Clock, config: Config, events: int) -> Report:
    """Check everything; the ledger of at most so many events, chosen anew each time. Raises Unavailable."""
    now = clock.now()
    async with stores.database.snapshot() as conn:
        await fsck.take_time(conn)
        found = await _by_query(conn, config, now)
        sample = await fsck.sample(conn, events)
        found["missing"] = await _missing(conn, sample, config, now)
    found |= await check_plan(stores, clock, now - config.scheduler.grace_period)
    violations = [_violation(check, *found[check]) for check in CHECKS if found[check][0]]
    return Report(at=now, clean=not violations, checks=len(CHECKS), events=len(sample), violations=violations)


async def _by_query(conn: Connection, config: Config, now: datetime) -> dict[str, tuple[int, list[Broken]]]:
    params: dict[str, Any] = {
        "since": await kept_since(conn, now - config.retention.occurrences),
        "late": now - config.scheduler.grace_period,
        "max_attempts": config.dispatch_max_retries,
        "max_open": config.scheduler.max_open,
    }
    return {check: await fsck.broken(conn, check, params) for check in BY_QUERY}


async def _missing(conn: Connection, sample: Sequence[Any], config: Config, now: datetime) -> tuple[int, list[Broken]]:
    """Of a day, and of what is made ahead."""
    count, first = 0, list[Broken]()
    until = now + config.scheduler.look_ahead_duration
    for event_id in sample:
        window = Window(event_id, now - DAY, until)
        while window.since < until:
            try:
                found = await ledger_of(conn, window, None, Rules.of(config), now)
            except NotFound:  # pragma: no cover - nothing goes away in a snapshot
                break
            count += found.missing
            first += [Broken(event_id, at, None) for at in _lost(found.lines)][: MOST - len(first)]
            if found.covered <= window.since:
                break
            window = window._replace(since=found.covered)
    return count, first


def _lost(lines: Iterable[Line[Occurrence]]) -> list[datetime]:
    return [line.at for line in lines if line.fate is Fate.MISSING]


def _violation(check: str, count: int, examples: Sequence[Broken]) -> Violation:
    return Violation(check=check, says=CHECKS[check], count=count, examples=[_example(one) for one in examples])


def _example(one: Broken) -> Example:
    identity = Identity(one.event_id, one.due_at) if one.due_at is not None else None
    return Example(
        event_id=str(one.event_id),
        occurrence_id=occurrence_id(identity) if identity else None,
        scheduled_at=one.due_at,
        note=one.note,
    )
