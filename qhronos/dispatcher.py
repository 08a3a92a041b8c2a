"""Service: claims what is due a little ahead, holds it until its exact instant, acts, and has the end recorded.

Claiming is `tick`; firing is one timer over one heap and touches no store. A dispatcher whose broadcast subscription is
not alive cannot be recalled, so it hands back what it holds and claims nothing ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random

from qhronos import metrics
from qhronos.actions.base import Acts
from qhronos.background import Background
from qhronos.broadcast import Lost, Notice, Revoke, Wake
from qhronos.clock import Clock
from qhronos.config import Scheduler
from qhronos.core.attempt import Parked
from qhronos.core.event import expired
from qhronos.core.occurrence import Status
from qhronos.engine.change import Changes
from qhronos.engine.claim import Claims, Unheard, claim, disclaim
from qhronos.engine.deliver import Defaults, Work, attempt, dropped, prepare, telling
from qhronos.engine.flights import Flights
from qhronos.engine.gone import Gone
from qhronos.engine.held import Held, Holding, News, Recall
from qhronos.engine.judge import SUSPECT, judge
from qhronos.engine.parking import Parking
from qhronos.engine.ready import Ready
from qhronos.engine.settle import Settler
from qhronos.engine.stores import Stores
from qhronos.engine.worker import Worker
from qhronos.errors import Unavailable
from qhronos.log import get_logger
from qhronos.store import pending
from qhronos.store.pending import Claimed

LONGEST_REST = 1.0
CLAIM = 1_000  # rows a claim
GATHER = 1 / 16  # of the prefetch, for which a claim waits for more to come along, as nothing is due before
PREPARE = 64  # rows made ready before the loop gets a turn
FIRE = 256  # deliveries started before the loop gets a turn to send them
DRAIN_SECONDS = 20.0
LEASE_MARGIN = 2.0
CALLED_BACK = 2  # of those put off, for each that ends where there is room; they may have gone elsewhere
ALONE_REST = 0.1
EXPIRED = "expired: no longer of use, as its event has it"

log = get_logger()


class Dispatcher:
    name = "dispatcher"

    def __init__(
        self,
        stores: Stores,
        worker: Worker,
        acts: Acts,
        defaults: Defaults,
        clock: Clock,
        settings: Scheduler,
    ) -> None:
        self.wake = asyncio.Event()
        self.parking = Parking(self.wake.set)
        self._gone = Gone(Changes(stores, clock, settings))
        self._announcer = stores.announcer
        self.settler = Settler(stores, clock, self.parking, self._gone)
        self._stores = stores
        self._worker = worker
        self._acts = acts
        self._defaults = defaults
        self._clock = clock
        self._settings = settings
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._held = Held()
        self._ready = Ready(acts.capacity)
        self._recalled: list[Claimed] = []
        self._news = News()
        self._unheard: list[Unheard] = []
        self._suspects: deque[Holding] = deque()
        self._is_alone = False  # what is in flight, if anything, is a suspect
        self._lapses = 0  # of the worker, as far as they have been heeded
        self._in_flight = Flights(clock, self._land)
        self._subscribed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._background = Background(self.name, self.settler.run, self._follow)

    # claiming

    async def tick(self) -> float:
        self._background.keep()
        if self._worker.is_late():
            await self._worker.beat()
        if self._worker.lapses != self._lapses:
            self._lapses = self._worker.lapses
            self._recall_suspects(lambda _row: True)
            self._recall_all()  # taken for dead: others may have what was held
        if not self._subscribed.is_set():
            self._recall_all()
        await self._hand_back_recalled()
        await disclaim(self._stores, self._unheard)
        for holding in self._ready.give_up(self._clock.monotonic()):
            self._put_off(holding)
        await self._call_back()
        if await self._make_way():
            return ALONE_REST
        room = min(CLAIM, self._settings.max_held - len(self._held) - len(self._ready))
        if room <= 0:
            return LONGEST_REST / 10
        asked_at, self._news = self._clock.monotonic(), News()
        claims = await self._claim(room)
        await self._take(claims.rows, asked_at + self._settings.lease.total_seconds() - LEASE_MARGIN)
        return self._rest(claims, room)

    async def _call_back(self) -> None:
        """Make due again what was put off and has room now."""
        if called := self.parking.take_called():
            async with self._stores.database.connection() as conn:
                entries = await pending.call_back(conn, called, self._clock.now())
            await self._stores.plan.add((entry.identity, entry.fire_at) for entry in entries)

    async def _claim(self, room: int) -> Claims:
        assert self._worker.id is not None  # noqa: S101 - the first tick has registered it
        return await claim(
            self._stores,
            self._clock,
            self._unheard,
            worker=self._worker.id,
            limit=room,
            prefetch=self._prefetch(),
            lease=self._settings.lease,
        )

    def _prefetch(self) -> timedelta:
        return self._settings.prefetch if self._subscribed.is_set() else timedelta()

    async def _take(self, rows: list[Claimed], trusted_until: float) -> None:
        """Hold what is to fire; settle at once what is not to. Leases run from when they were asked for."""
        now = self._clock.now()
        works = await self._prepare(rows, now)
        try:
            ends = await judge(self._stores.database, works, now, self._settings.grace_period)
        except Unavailable:
            await self._hand_back(rows)
            raise
        for work in works:
            if end := ends.get(work.row.identity):
                self.settler.put(end)
            elif self._news.concern(work.row):
                self._recalled.append(work.row)
                self.wake.set()
            elif work.row.losses == SUSPECT:
                self._suspects.append(Holding(work.row.fire_at, 0, work, trusted_until))
            else:
                self._held.add(work, trusted_until)
        self._fire_due()

    async def _prepare(self, rows: list[Claimed], now: datetime) -> list[Work]:
        lives = partial(self._lives, self._lapses)
        works = []
        for row in rows:
            works.append(prepare(row, self._acts, self._defaults, now, lives))
            if not len(works) % PREPARE:
                await asyncio.sleep(0)  # noqa: TID251 - what is due has its turn
        return works

    def _rest(self, claims: Claims, room: int) -> float:
        metrics.HELD.set(len(self._held))
        metrics.IN_FLIGHT.set(len(self._in_flight))
        is_behind = claims.popped >= max(1, room // 2)  # a shard may hold more than its share
        self.settler.behind(is_behind)
        if is_behind:
            return 0.0
        if claims.next_at is None or claims.plan_lost:
            return LONGEST_REST
        now, prefetch = self._clock.now(), self._prefetch()
        rest = max(claims.next_at - prefetch - now, prefetch * GATHER)
        if claims.turn_at:
            rest = min(rest, claims.turn_at - now)
        return max(0.0, min(LONGEST_REST, rest.total_seconds()))

    # firing

    def _fire_due(self) -> None:
        """Start what is due and arm the timer for what is next. Never before its instant."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.now()
        due = self._held.pop_due(now, FIRE)
        for holding in due:
            if not self._ready.add(holding):
                self._put_off(holding)
        self._start_ready()
        for holding in due:
            self._announcer.due(holding.work.row)
        next_at = self._held.next_at()
        if next_at is not None:
            seconds = max(0.0, (next_at - now).total_seconds())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._fire_due)

    def _start_ready(self) -> None:
        now = self._clock.monotonic()
        while len(self._in_flight) < self._settings.dispatch_worker_count:
            holding = self._ready.take(now)
            if holding is None:
                break
            self._start(holding)

    def _start(self, holding: Holding) -> None:
        self._in_flight.start(holding, self._act(holding))

    def _land(self, holding: Holding) -> None:
        place = holding.work.place
        if self._ready.ended(holding) and place and self.parking.is_waited_for(place):
            self.parking.room(place, CALLED_BACK)
        self._start_ready()
        if self._suspects:
            self.wake.set()  # the next of them has waited for this

    def _put_off(self, holding: Holding) -> None:
        parked = Parked(cause="full", place=holding.work.place or "")
        self.settler.put(self.parking.put_off(holding.work.row, parked, self._clock.now(), self._random))

    async def _act(self, holding: Holding) -> None:
        work, row = holding.work, holding.work.row
        if not self._is_ours(holding):
            await self._hand_back([row])
            return
        if row.losses and not await self._charge(row):
            return
        now = self._clock.now()
        if row.callback is None and expired(work.policies, row.meant_at, now):
            end = dropped(row, Status.FAILED if row.attempt or row.fallback else Status.SKIPPED, EXPIRED, now)
            self.settler.put(telling(row, work.policies, end))
            return
        settled = await attempt(work, self._clock, self._random, self.parking)
        if settled is None:
            await self._hand_back([row])
        else:
            self.settler.put(settled)

    async def _make_way(self) -> bool:
        """Whether this dispatcher is for a suspect alone now: the others are handed back, what is under way is waited for."""
        if not self._suspects and not self._is_alone:
            return False
        self._recall_all()
        await self._hand_back_recalled()
        if self._in_flight:
            return True
        self._is_alone = bool(self._suspects)
        if self._suspects and self._suspects[0].fire_at <= self._clock.now():
            suspect = self._suspects.popleft()
            self._ready.admit(suspect)
            self._start(suspect)
        return self._is_alone

    async def _charge(self, row: Claimed) -> bool:
        """Whether it may start."""
        try:
            async with self._stores.database.connection() as conn:
                return await pending.charge(conn, row)
        except Unavailable:
            self._recalled.append(row)
            return False

    def _is_ours(self, holding: Holding) -> bool:
        """Surely, and until a request would have ended: neither will the lease end before, nor do others take this
        worker for dead, nor did they since it was claimed."""
        lasts_until = self._clock.monotonic() + holding.work.retry.timeout
        return self._lives(self._lapses) and lasts_until <= holding.trusted_until

    def _lives(self, lapses: int) -> bool:
        """For others, surely, and without a break since it had so many."""
        return self._clock.monotonic() <= self._worker.trusted_until() and self._worker.lapses == lapses

    # recall

    def _heed(self, notice: Notice) -> None:
        self._announcer.heed(notice)
        match notice:
            case Wake():
                self.wake.set()
            case Revoke(event_ids=event_ids, at=at):
                self._recall(Recall(frozenset(event_ids), at))
                self.wake.set()  # what changed may be due at once
            case Lost():  # at once: by the next tick the subscription may live again
                self._recall_all()
                if self._recalled:
                    self.wake.set()
            case _:
                pass

    def _recall(self, recall: Recall) -> None:
        """Let go of what it takes. Some of that may have been claimed after the change, and is still ours."""
        self._news.recalls.append(recall)
        self._recalled += self._held.remove(recall) + self._ready.remove(recall)
        self._recall_suspects(recall.takes)

    def _recall_suspects(self, goes: Callable[[Claimed], bool]) -> None:
        self._recalled += [one.work.row for one in self._suspects if goes(one.work.row)]
        self._suspects = deque(one for one in self._suspects if not goes(one.work.row))

    def _recall_all(self) -> None:
        """Of what needs nothing but its instant."""
        self._news.is_lost = True
        self._recalled += self._held.clear() + self._ready.clear()

    async def _hand_back_recalled(self) -> None:
        if self._recalled:
            rows, self._recalled = self._recalled, []
            await self._hand_back(rows)

    async def _hand_back(self, rows: list[Claimed]) -> None:
        """What cannot be now is tried again with the next tick; at the end, it is left to those who see us dead."""
        try:
            async with self._stores.database.connection() as conn:
                entries = await pending.hand_back(conn, rows)
            await self._stores.plan.add((entry.identity, entry.fire_at) for entry in entries)
        except Unavailable as error:
            self._recalled += rows
            log.warning("occurrences.kept", count=len(rows), error=str(error))

    # the end

    async def drain(self) -> None:
        """Hand back what has not started, finish what has, settle it, say goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        self.settler.behind(False)  # no more is taken
        self._recall_all()
        self._recall_suspects(lambda _row: True)
        await self._hand_back_recalled()
        deadline = self._clock.monotonic() + DRAIN_SECONDS
        unfinished = await self._finish_in_flight(deadline)
        await self._clock.wait(self.settler.idle, max(1.0, deadline - self._clock.monotonic()))
        settled = self.settler.settled.is_set()
        await self._gone.idle()
        await self._background.end()
        if (
            settled and not self._recalled and not self._unheard
        ):  # else the others must see that it died, to take back what it holds
            await self._retire()
        log.info("dispatcher.drained", handed_back=unfinished, settled=settled)

    def hurry(self) -> None:
        """Wait for nothing that is under way; hand it back."""
        self._in_flight.hurry()

    async def _retire(self) -> None:
        try:
            await self._worker.retire()
        except Unavailable as error:
            log.warning("worker.unretired", error=str(error))

    async def _finish_in_flight(self, deadline: float) -> int:
        """Wait for what was started; hand back what takes too long. How many that were."""
        if cut_off := await self._in_flight.finish(deadline):
            await self._hand_back(cut_off)
        return len(cut_off)

    async def _follow(self) -> None:
        await self._stores.broadcast.follow(self._clock, self._subscribed, self._heed)
