"""Settlements in groups: whatever was put while the last group was being committed makes the next.

Nothing is lost while Postgres is away: the group waits in memory, bounded by what may be in flight, and its leases decide
what becomes of it. After the commit the plan is told of what is to be tried again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from qhronos import metrics
from qhronos.clock import Clock
from qhronos.core.occurrence import OPEN, Identity
from qhronos.engine.ending import Endings
from qhronos.engine.gone import Gone
from qhronos.engine.parking import Parking
from qhronos.engine.stores import Stores
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import lanes, outbox, pending
from qhronos.store.pending import OPENED, Entry, Settled, Settlement

LEAST, MOST = 0.005, 0.025  # seconds; what ends within them shares a commit
ENOUGH = 64  # in a group; where fewer come together, more time is given to them
GROUP = 1_000
OUTAGE_REST = 0.2

log = get_logger()


class Settler:
    def __init__(self, stores: Stores, clock: Clock, parking: Parking, gone: Gone) -> None:
        self._stores = stores
        self._clock = clock
        self._parking = parking
        self._gone = gone
        self._announcer = stores.announcer
        self._waiting: list[Settlement] = []
        self._unsettled = 0
        self._is_behind = False
        self._rings: set[str] = set()
        self._endings = Endings(stores, clock, self._look_idle)
        self._put = asyncio.Event()
        self._urgent = asyncio.Event()  # something must not wait for others
        self._never = asyncio.Event()
        self.on_fallback: Callable[[datetime], None] = lambda _at: None  # something is to be taken back then
        self.settled = asyncio.Event()  # nothing waits to be committed
        self.settled.set()
        self.idle = asyncio.Event()  # and every event that has nothing left is completed
        self.idle.set()

    def put(self, settlement: Settlement) -> None:
        self._waiting.append(settlement)
        self._unsettled += 1
        self.settled.clear()
        self.idle.clear()
        self._put.set()
        if settlement.handed:
            self._urgent.set()  # its client is not told before it is committed

    def behind(self, is_behind: bool) -> None:  # noqa: FBT001 - what it says
        """Whether more is due than can be delivered just now: what is not urgent waits then."""
        self._is_behind = is_behind
        self._hint()

    def _hint(self) -> None:
        self._endings.hint(is_quiet=not self._waiting and not self._is_behind)

    async def run(self) -> None:
        """Commit groups for ever; the caller cancels it once `idle`."""
        ending = asyncio.create_task(self._endings.run())
        try:
            await self._run()
        finally:
            ending.cancel()

    async def _run(self) -> None:
        linger = MOST
        while True:
            await self._put.wait()
            await self._clock.wait(self._urgent, linger)
            self._urgent.clear()
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            linger = LEAST if len(group) >= ENOUGH else MOST
            if not self._waiting:
                self._put.clear()
            valid, stale = _apart(group)
            for some in _kinds(valid):
                await self._commit_each(some)
            for one in stale:
                if one.then:
                    one.then(False)
            self._unsettled -= len(group)
            self._hint()
            self._look_idle()

    async def _commit_each(self, group: list[Settlement]) -> None:
        """Together; if that cannot be, in halves, so that a bad one is left alone to the end of its lease."""
        try:
            await self._commit(group)
        except Exception:  # what is wrong with one must neither hold up the others nor end this loop; logged here once
            if len(group) == 1:
                log.exception("settlement.dropped", event_id=str(group[0].event_id), due_at=group[0].due_at.isoformat())
                if group[0].then:
                    group[0].then(False)
                return
            half = len(group) // 2
            await self._commit_each(group[:half])
            await self._commit_each(group[half:])

    async def _commit(self, group: list[Settlement]) -> None:
        while True:
            try:
                settled = await self._write(group)
                break
            except Unavailable as error:
                log.warning("settlement.waiting", count=len(group), error=str(error))
                await self._clock.wait(self._never, OUTAGE_REST)
        self._endings.add(s.event_id for s in group if s.status not in OPEN)
        own = [one for one in settled if one.status != OPENED]
        done = {Identity(one.event_id, one.due_at) for one in own}
        self._count(group, own, done)
        self._tell(group, done)
        self._park(group, settled)
        self._pause_gone(group, settled)
        again = [(Identity(s.event_id, s.due_at), s.fire_at) for s in settled if s.fire_at is not None]
        try:
            again += await self._next_in_lanes(group)
            await self._stores.plan.add(again)
            if self._rings:
                rings, self._rings = self._rings, set()
                await self._stores.broadcast.ring(rings)
        except Unavailable as error:
            # Committed all the same: the sweep finds them when they are overdue.
            log.warning("plan.unavailable", count=len(again), error=str(error))

    async def _write(self, group: list[Settlement]) -> list[Settled]:
        """In one statement, but for what clients of the gateway have said: that takes a transaction."""
        now = self._clock.now()
        if any(one.waited for one in group):
            async with self._stores.database.transaction() as conn:
                settled = await pending.settle(conn, group, now)
                await outbox.forget(conn, [one for one in group if one.waited])
                return settled
        async with self._stores.database.connection() as conn:
            if handed := [(one, one.handed) for one in group if one.handed]:
                return await outbox.hand_over(conn, handed, now)
            return await pending.settle(conn, group, now)

    def _tell(self, group: list[Settlement], done: set[Identity]) -> None:
        """Whoever waits for the end of one; and the gateways, what waits for whom."""
        for one in group:
            is_done = (one.event_id, one.due_at) in done
            if is_done and one.handed:
                self._rings.add(one.handed.client)
                if fallback_at := one.handed.fallback_at(one.finished_at):
                    self.on_fallback(fallback_at)
            if is_done:
                self._announcer.ended(one)
            if one.then:
                one.then(is_done)

    def _look_idle(self) -> None:
        if self._unsettled:
            return
        self.settled.set()
        if self._endings.is_idle:
            self.idle.set()

    async def _next_in_lanes(self, group: list[Settlement]) -> list[tuple[Identity, datetime]]:
        """Whose turn it is where something has ended."""
        ended = {s.lane for s in group if s.lane and s.status not in OPEN}
        if not ended:
            return []
        async with self._stores.database.transaction() as conn:
            return [(entry.identity, entry.fire_at) for entry in await lanes.free(conn, ended)]

    def _park(self, group: list[Settlement], settled: list[Settled]) -> None:
        places = {Identity(s.event_id, s.due_at): s.place for s in group if s.place}
        for one in settled if places else ():
            place = places.get(Identity(one.event_id, one.due_at))
            if place and one.fire_at:
                self._parking.add(place, Entry(one.event_id, one.due_at, one.fire_at))

    def _pause_gone(self, group: list[Settlement], settled: list[Settled]) -> None:
        gone = {Identity(s.event_id, s.due_at): s.gone for s in group if s.gone}
        for one in settled if gone else ():
            if version := gone.get(Identity(one.event_id, one.due_at)):
                self._gone.add(one.event_id, version)

    def _count(self, group: list[Settlement], own: list[Settled], done: set[Identity]) -> None:
        for status, count in Counter(one.status for one in own if one.status not in OPEN).items():
            metrics.OCCURRENCES_CLOSED.labels(status).inc(count)
        # Of the words on a message the first counts; that there are others is nobody's fault.
        if fenced := sum(not one.waited and (one.event_id, one.due_at) not in done for one in group):
            metrics.FENCED_COMPLETIONS.inc(fenced)
            log.warning("settlement.fenced", count=fenced)


def _apart(group: list[Settlement]) -> tuple[list[Settlement], list[Settlement]]:
    """Of each occurrence the first word under the newest fence, and the others, which do not count."""
    valid: dict[Identity, Settlement] = {}
    for one in group:
        known = valid.setdefault(Identity(one.event_id, one.due_at), one)
        if one.fence > known.fence:
            valid[Identity(one.event_id, one.due_at)] = one
    return list(valid.values()), [one for one in group if valid[Identity(one.event_id, one.due_at)] is not one]


def _kinds(group: list[Settlement]) -> Iterator[list[Settlement]]:
    """What is handed over goes first, for its clients are told after it, and by itself: in one transaction with what others
    have said it would lock clients in no order."""
    for some in ([one for one in group if one.handed], [one for one in group if not one.handed]):
        if some:
            yield some
