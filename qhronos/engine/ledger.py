"""The ledger of an event: what it promised for a window of time, what is recorded of that, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from qhronos.config import Config
from qhronos.core.event import Policies
from qhronos.core.follow import FAR
from qhronos.core.ledger import Bounds, Expected, Fate, Line, Outlook, Passed, Promise, account, outlook, unmatched
from qhronos.core.recurrence import Recurrence, is_elapsed, tzdata_version
from qhronos.core.window import MICROSECOND
from qhronos.engine.change import NO_EVENT
from qhronos.errors import NotFound
from qhronos.store import Connection, Database
from qhronos.store import ledger as store
from qhronos.store.ledger import Subject, Version, Window
from qhronos.store.occurrences import Occurrence

MOST = 1_000  # lines of one ledger
MOST_VERSIONS = 1_000
FOLLOWED = 10  # releases of the zone rules, one after the other, that are looked through


class Rules(NamedTuple):
    """What of the configuration decides what had to be recorded."""

    grace: timedelta  # a new event may have made what was due so long before it
    kept: timedelta  # how long history is kept

    @classmethod
    def of(cls, config: Config) -> Rules:
        return cls(config.scheduler.grace_period, config.retention.occurrences)


class Ledger(NamedTuple):
    """Everything before `covered`; go on from there if that is not the end of the window."""

    lines: list[Line[Occurrence]]
    gaps: list[Passed]
    covered: datetime

    @property
    def expected(self) -> int:
        return sum(line.counts for line in self.lines)

    @property
    def missing(self) -> int:
        return sum(line.fate is Fate.MISSING for line in self.lines)

    @property
    def recorded(self) -> int:
        return self.expected - self.missing


async def read_ledger(
    database: Database, window: Window, scope: list[str] | None, rules: Rules, now: datetime, limit: int = MOST
) -> Ledger:
    """At most `limit` lines of an event that `scope` sees, deleted or not. Raises NotFound."""
    async with database.snapshot() as conn:
        return await ledger_of(conn, window, scope, rules, now, limit)


async def ledger_of(
    conn: Connection, window: Window, scope: list[str] | None, rules: Rules, now: datetime, limit: int = MOST
) -> Ledger:
    """`read_ledger` in the caller's snapshot."""
    event = await store.subject(conn, window.event_id, scope)
    if event is None:
        raise NotFound(NO_EVENT)
    seen, rows = await _seen(conn, window, rules, now, limit)
    window = window._replace(until=seen.covered)
    wanted, beyond = await _look_beyond(conn, window, seen.instants, rows, now)
    gaps = await store.gaps(conn, window)
    lines = account(wanted, rows, beyond, gaps, await _bounds(conn, event, rules, now))
    if len(lines) > limit:
        window = window._replace(until=lines[limit].at)
        gaps = [gap for gap in gaps if gap.since < window.until]
    return Ledger(lines[:limit], gaps, window.until)


async def _seen(
    conn: Connection, window: Window, rules: Rules, now: datetime, limit: int
) -> tuple[Outlook, list[Occurrence]]:
    """What is expected and what is recorded, as far as both were looked at."""
    versions = await store.versions(conn, window, rules.grace, MOST_VERSIONS + 1)
    until = window.until
    if len(versions) > MOST_VERSIONS:
        until = max(window.since, versions.pop().valid_from)
    promises = [await _promise(conn, window.event_id, version, rules.grace) for version in versions]
    # In a thread: a hostile rule may use up its whole budget of steps.
    seen = await asyncio.to_thread(outlook, promises, window.since, until, limit)
    rows = await store.recorded(conn, window._replace(until=seen.covered), limit + 1, now)
    if len(rows) > limit:
        seen = Outlook(tuple(one for one in seen.instants if one.at < rows[limit].due_at), rows[limit].due_at)
    return seen, rows[:limit]


async def _look_beyond(
    conn: Connection, window: Window, wanted: Sequence[Expected], rows: Sequence[Occurrence], now: datetime
) -> tuple[list[Expected], list[Occurrence]]:
    """What other zone rules put outside of the window; and the instants without those that became none."""
    lost = unmatched(wanted, rows)
    walls = [one.wall for one in lost if not one.ours]
    beyond = await store.by_wall(conn, window, walls, FAR, now) if walls else []
    single = [one.at for one in lost if one.superseded]
    moved = await store.moved(conn, window.event_id, single) if single else set()
    return [one for one in wanted if one.at not in moved], beyond


async def _bounds(conn: Connection, event: Subject, rules: Rules, now: datetime) -> Bounds:
    return Bounds(await store.kept_since(conn, now - rules.kept), event.expanded_until)


async def _promise(conn: Connection, event_id: UUID, version: Version, grace: timedelta) -> Promise:
    recurrence = msgspec.json.decode(version.recurrence, type=Recurrence)
    since, sure_from = version.valid_from - grace, version.valid_from
    if version.version > 1:  # what came at that very instant may have been of the version before
        since, sure_from = version.valid_from, version.valid_from + MICROSECOND
    ours = version.tzdata == tzdata_version()
    policies = msgspec.json.decode(version.policies, type=Policies)
    delay = timedelta(seconds=policies.flex_window + policies.jitter)
    if not ours and is_elapsed(recurrence):
        recurrence = await _as_it_ran(conn, event_id, version, recurrence)
    return Promise(recurrence, since, sure_from, version.valid_until, ours, delay)


async def _as_it_ran(conn: Connection, event_id: UUID, version: Version, recurrence: Recurrence) -> Recurrence:
    """Real time that runs since DTSTART: where that was by the zone rules of then is said by the version that followed to
    newer ones."""
    for number in range(version.version + 1, version.version + FOLLOWED):
        after = await store.version(conn, event_id, number)
        if after is None or after.tzdata == version.tzdata:
            break
        followed = msgspec.json.decode(after.recurrence, type=Recurrence)
        if (followed.rrule, followed.timezone) != (recurrence.rrule, recurrence.timezone):
            break
        version, recurrence = after, followed
    return recurrence
