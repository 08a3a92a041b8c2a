"""Users, services and faults over real stores, for the state machine of test_machine.py, and what must hold of them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import msgspec
from psycopg.sql import SQL, Identifier

from qhronos.actions.base import Act
from qhronos.config import Scheduler
from qhronos.core.attempt import Delivered, Delivery, Failed, Outcome, Refused
from qhronos.core.occurrence import parse_occurrence_id
from qhronos.dispatcher import Dispatcher
from qhronos.engine.fsck import check_all
from qhronos.engine.recover import Reaper, Rebuilder, Sweeper
from qhronos.errors import Unavailable
from qhronos.expander import Expander
from tests.fakes import CutDatabase, FakeClock
from tests.service.api import CONFIG, Api, open_api, open_deps
from tests.service.engine import Heeding, Noted, make_dispatcher, settled
from tests.service.events import create, query
from tests.service.promised import SECOND, Known, Promise

HANDS = 1  # so that what is due waits
# Short, so that the cursors are often behind.
SCHEDULER = Scheduler(look_ahead_duration=timedelta(seconds=120))
FROZEN = 8.0  # seconds; long enough to be taken for dead
BEAT = 4.0  # seconds; heartbeats come more often than workers are taken for dead
TABLES = ("events", "event_versions", "pending", "occurrences", "attempts", "gaps", "audit", "tallies", "workers")
ANSWERS: dict[str, Outcome] = {
    "taken": Delivered(status_code=200),
    "failed": Failed(reason="HTTP 503", status_code=503),
    "refused": Refused(reason="HTTP 404", status_code=404),
}
# While nobody works these are merely under way.
UNDER_WAY = {"overdue", "unexpanded", "unplanned", "planned_late", "stale_plan"}


class Live:
    """A dispatcher, its Postgres, which may not be heard, and what it has sent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: list[tuple[UUID, datetime]] = []
        stores = world.api.deps.changes.stores
        self.database = CutDatabase(stores.database)
        self.broadcast = Heeding(world.api.deps.broadcast)
        own = stores._replace(database=self.database, broadcast=self.broadcast)
        self.dispatcher: Dispatcher = make_dispatcher(own, world.clock, self, dispatch_worker_count=HANDS)

    async def tick(self) -> None:
        await self.dispatcher.tick()
        for _ in range(5):  # what was started starts
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn

    async def unheard_tick(self) -> None:
        self.database.heard = False
        try:
            await self.dispatcher.tick()
        except Unavailable:
            pass
        finally:
            self.database.heard = True

    async def unheard_settlement(self) -> None:
        """What is under way ends, and the first answer to its settlement is lost."""
        self.database.unheard_once = True
        self.world.gate.set()
        await settled(self.dispatcher)
        self.database.unheard_once = False

    async def die(self) -> None:
        """At once; nothing is handed back."""
        dispatcher = self.dispatcher
        if dispatcher._timer is not None:
            dispatcher._timer.cancel()
        dispatcher._held.clear()
        dispatcher._ready.clear()
        dispatcher._suspects.clear()
        tasks = [*dispatcher._in_flight, *dispatcher._background.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def prepare(self, _stored: msgspec.Raw, delivery: Delivery) -> Act:
        return Noted(self, delivery, None)

    def capacity(self, _place: str) -> int:
        return HANDS

    async def perform(self, delivery: Delivery) -> Outcome:
        identity = parse_occurrence_id(delivery.occurrence_id)
        self.sent.append((identity.event_id, identity.due_at))
        self.world.note(identity.event_id, identity.due_at, delivery)
        answer = ANSWERS[self.world.answer]
        await self.world.gate.wait()
        return answer


class World:
    """All of it, over stores that are emptied before."""

    def __init__(self, api: Api, clock: FakeClock) -> None:
        self.api = api
        self.clock = clock
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer = "taken"
        self.known: list[Known] = []
        self.wrong: list[str] = []
        self.sent: Counter[tuple[UUID, datetime]] = Counter()
        self.excused: Counter[tuple[UUID, datetime]] = Counter()  # sent, and lost with who sent it
        self.ever_failed = self.ever_killed = False
        stores = api.deps.changes.stores
        self.reaper, self.rebuilder = Reaper(stores, clock), Rebuilder(stores, clock)
        self.sweeper, self.expander = Sweeper(stores, clock), Expander(stores, clock, SCHEDULER)
        self.lives = [Live(self), Live(self)]

    async def start(self) -> Self:
        async with self.api.deps.database.connection() as conn:
            for table in TABLES:
                await conn.execute(SQL("DELETE FROM {}").format(Identifier(table)))
        await self.flush()
        await self.rebuilder.tick()
        return self

    def note(self, event_id: UUID, due_at: datetime, delivery: Delivery) -> None:
        self.sent[event_id, due_at] += 1
        known = next(one for one in self.known if one.id == event_id)
        if delivery.name != known.name:
            self.wrong.append(f"{due_at} was sent as {delivery.name} when it was {known.name}")
        if known.paused:
            self.wrong.append(f"{due_at} was sent although its event was paused")
        if known.deleted and delivery.attempt == 1:
            self.wrong.append(f"{due_at} was sent although its event was deleted")
        by_rule = not due_at.microsecond  # what is run by hand, and what tells of another, goes by the microsecond
        if by_rule and self.clock.now() < due_at and due_at not in known.replayed:
            self.wrong.append(f"{due_at} was sent early, at {self.clock.now()}")

    # what users do

    async def create(self, every: int | None, ahead: int, policies: dict[str, Any]) -> None:
        start = self.clock.now().replace(microsecond=0) + (ahead + 1) * SECOND
        schedule = {"every": f"{every}s"} if every else None
        made = await create(self.api, name="v1", schedule=schedule, start_time=start, **policies)
        self.known.append(Known(UUID(made["id"]), 1, [Promise(start, every, start - SECOND)]))

    async def edit(self, known: Known, every: int | None, *, moves: bool) -> None:
        before = self.clock.now()
        said: dict[str, Any] = {"name": f"v{known.version + 1}"}
        last = known.promises[-1]
        if moves:
            start = last.start if every else before.replace(microsecond=0) + 40 * SECOND
            said |= {"schedule": {"every": f"{every}s"} if every else None, "start_time": start}
        await self._send("PATCH", known, "", said)
        known.version += 1
        if moves and (start, every) != (last.start, last.every):
            last.until = before
            known.promises.append(Promise(start, every, self.clock.now()))

    async def pause(self, known: Known) -> None:
        known.touched |= True
        if (await self._send("POST", known, "/pause")) == 200:
            known.paused = True

    async def resume(self, known: Known, backlog: str) -> None:
        known.paused = False
        await self._send("POST", known, "/resume", {"backlog": backlog})

    async def delete(self, known: Known) -> None:
        known.promises[-1].until = self.clock.now()
        await self._send("DELETE", known, "")
        known.deleted = known.touched = True
        known.paused = False

    async def run_now(self, known: Known) -> None:
        await self._send("POST", known, "/run")

    async def skip(self, known: Known) -> None:
        shown = (await self.api.get(f"/events/{known.id}")).json()
        if at := shown.get("next_due_at"):
            known.touched = True
            known.skipped.add(datetime.fromisoformat(at))
            await self._send("POST", known, "/skip", {"scheduled_at": at})

    async def replay(self, known: Known) -> None:
        found = (
            await self.api.get(f"/occurrences?event_id={known.id}&status=completed,failed,skipped,cancelled")
        ).json()
        if found["data"]:
            one = found["data"][0]
            known.replayed.add(datetime.fromisoformat(one["scheduled_at"]))
            answer = await self.api.post(f"/occurrences/{one['id']}/replay")
            assert answer.status_code in (200, 409), answer.text

    async def _send(self, method: str, known: Known, path: str, body: Any = None) -> int:
        """What an event of this status does not do is refused; nothing fails."""
        more = {"json": body} if body is not None and method != "DELETE" else {}
        answer = await getattr(self.api, method.lower())(f"/events/{known.id}{path}", **more)
        assert answer.is_success or answer.status_code == 409, answer.text
        for live in self.lives:
            if live.dispatcher._subscribed.is_set():
                await live.broadcast.caught_up()
        return answer.status_code

    # what happens

    async def pass_time(self, seconds: float) -> None:
        """Requests take no longer than their deadline; who lives says so in time; timers ring."""
        if seconds > BEAT:
            await self.finish()
        while seconds > 0:
            self.clock.advance(min(seconds, BEAT))
            seconds -= BEAT
            for live in self.lives:
                if live.dispatcher._worker.id is not None:
                    await live.dispatcher._worker.beat()
        for live in self.lives:
            live.dispatcher._fire_due()
        await asyncio.sleep(0)  # noqa: TID251 - as above

    async def finish(self) -> None:
        """What is under way ends."""
        self.gate.set()
        for live in self.lives:
            await settled(live.dispatcher)

    async def kill(self, live: Live) -> None:
        """Another takes its place. What it had sent and was not recorded may be sent again."""
        await live.die()
        await self._excuse(live)
        self.lives[self.lives.index(live)] = Live(self)

    async def freeze(self, live: Live) -> None:
        """It is taken for dead although it lives: others take what it has under way, and it goes on as if nothing had been."""
        await self._excuse(live)
        self.clock.advance(FROZEN)
        for other in self.lives:
            if other is not live and other.dispatcher._worker.id is not None:
                await other.dispatcher._worker.beat()
        for _ in range(2):
            await self.reaper.tick()
            self.clock.advance(3)
        await next(other for other in self.lives if other is not live).tick()

    async def _excuse(self, live: Live) -> None:
        self.ever_killed = True
        recorded = await self._recorded()
        for identity in set(live.sent):
            if self.sent[identity] > recorded[identity] + self.excused[identity]:
                self.excused[identity] = self.sent[identity] - recorded[identity]

    async def flush(self) -> None:
        plan = self.api.deps.plan
        keys = [key async for key in plan.redis.scan_iter(f"{plan.prefix}:{{*", count=1000)]
        if keys:
            await plan.redis.unlink(*keys)

    async def expand(self) -> None:
        while not await self.expander.tick():
            pass

    async def settle(self) -> None:
        """Everybody works, until nothing is due that nobody has acted on."""
        self.answer = "taken"
        await self.finish()
        for known in self.known:
            if known.paused:
                await self.resume(known, "fire_all")
        for _ in range(60):
            await self.pass_time(20)
            await self.rebuilder.tick()
            await self.expand()
            for _ in range(4):  # some take turns
                await self.reaper.tick()
                await self.sweeper.tick()
                for live in self.lives:
                    await live.tick()
                    await settled(live.dispatcher)
            if await self._is_settled():
                return
        raise AssertionError("it does not come to rest")

    async def _is_settled(self) -> bool:
        now = self.clock.now()
        [(late,)] = await query(self.api, "SELECT count(*) FROM pending WHERE fire_at <= %s OR starts > 0", now)
        return not late

    # what must hold

    async def check(self) -> None:
        assert self.wrong == [], self.wrong
        twice = await query(self.api, "SELECT * FROM pending JOIN occurrences USING (event_id, due_at)")
        assert twice == [], twice

    async def fsck(self, *, settled: bool) -> None:
        deps = self.api.deps
        report = await check_all(deps.changes.stores, self.clock, deps.config, 1000)
        broken = [one for one in report.violations if settled or one.check not in UNDER_WAY]
        assert broken == [], broken

    async def check_all(self) -> None:
        """Expected − recorded = 0, by the model and by the ledger; nothing else is recorded; nothing was sent unrecorded."""
        await self.check()
        await self.fsck(settled=True)
        recorded = await self._recorded()
        for identity, times in self.sent.items():
            assert recorded[identity] <= times <= recorded[identity] + self.excused[identity], identity
        for known in self.known:
            await self._check_event(known)

    async def _check_event(self, known: Known) -> None:
        end = self.clock.now()
        closed = {
            at: (status, reason)
            for at, status, reason in await query(
                self.api,
                "SELECT due_at, status, reason FROM occurrences WHERE event_id = %s AND origin IN ('rule', 'once')",
                known.id,
            )
        }
        gaps = await query(self.api, "SELECT since, until FROM gaps WHERE event_id = %s", known.id)
        lost = {at for at in known.expected(end) if at not in closed and not any(a <= at < b for a, b in gaps)}
        assert lost == set(), known
        ahead = {at for at, (_, reason) in closed.items() if reason == "event deleted"}
        assert closed.keys() - ahead <= known.allowed(end), known
        if not known.touched and not self.ever_failed and not self.ever_killed:
            assert {("completed", None)} >= set(closed.values()), known
        assert all(self.sent[known.id, at] for at, (status, _) in closed.items() if status == "completed"), known
        ledger = (await self.api.get(f"/events/{known.id}/ledger?limit=1000")).json()
        assert (0, False) == (ledger["missing"], ledger["pagination"]["has_more"]), known

    async def _recorded(self) -> defaultdict[tuple[UUID, datetime], int]:
        found = await query(self.api, "SELECT event_id, due_at, count(*) FROM attempts GROUP BY event_id, due_at")
        return defaultdict(int, {(event_id, due_at): count for event_id, due_at, count in found})

    async def end(self) -> None:
        for live in self.lives:
            await live.die()


@asynccontextmanager
async def open_machine(database: str, redis_url: str, prefix: str) -> AsyncIterator[tuple[Api, FakeClock]]:
    clock = FakeClock()
    config = msgspec.structs.replace(CONFIG, scheduler=SCHEDULER)
    async with open_deps(database, redis_url, prefix, clock, config) as deps, open_api(deps) as api:
        yield api, clock
