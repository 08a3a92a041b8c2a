"""The table of what a change does to an open row, cell by cell: each change × where the row is × how the news travels.

A cell says how the row stands right after the change, what reaches the receiver from beginning to end, and how the row
ends. A delivery is told by the name that it carries, `tea` before an edit and `coffee` after it; `later` is the instant
that an edit of the schedule puts in place of the row's own.
"""

from __future__ import annotations

import asyncio
import enum
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from qhronos.broadcast import Broadcast
from qhronos.core.attempt import Delivered, Failed
from qhronos.core.occurrence import Identity, parse_occurrence_id
from qhronos.engine.change import Changes
from qhronos.engine.recover import Sweeper
from qhronos.redis_link import connect
from tests.service.api import open_api
from tests.service.engine import Heeding, make_dispatcher, settled
from tests.service.events import audit_of, create, query

LATER = timedelta(seconds=60)


class Place(enum.StrEnum):
    FUTURE = "future"
    OVERDUE = "overdue"
    RETRYING = "retrying"  # failed once, and waits for its second attempt
    HELD = "held"  # claimed ahead of its instant
    AT_HAND = "at hand"  # the same, and within a tenth of a second of it
    WAITING = "waiting"  # claimed and due, but the dispatcher has no hand free
    STARTED = "started"  # its request is under way, and will succeed
    FAILING = "failing"  # its request is under way, and will fail
    CLOSED = "closed"


class Edit(enum.StrEnum):
    SCHEDULE = "edit of the schedule"
    OTHER = "edit of anything else"
    PAUSE = "pause"
    SKIP = "resume, skip"
    LATEST = "resume, fire_latest"
    ALL = "resume, fire_all"
    DELETE = "delete"


class News(enum.StrEnum):
    HEARD = "broadcast works"
    DOWN = "subscription is down"
    LOST = "notice is lost"  # the subscription lives, but who made the change could not be heard


class Cell(NamedTuple):
    row: str
    delivered: str
    end: str


FUTURE, OVERDUE, RETRYING, HELD, AT_HAND, WAITING, STARTED, FAILING, CLOSED = Place
DONE, OPEN, NONE = "completed", "open", "none"
GONE = "cancelled: event deleted"
PASSED = "skipped: missed while paused"

# What has no hand yet is taken for started by the change, and so keeps its lease; the recall brings it back all the same.
TABLE = {
    Edit.SCHEDULE: {
        FUTURE: Cell("none", "coffee later", NONE),
        OVERDUE: Cell("2 free", "coffee, coffee later", DONE),
        RETRYING: Cell("2 free", "tea, coffee, coffee later", DONE),
        HELD: Cell("none", "coffee later", NONE),
        WAITING: Cell("1 leased", "coffee, coffee later", DONE),
        STARTED: Cell("1 leased", "tea, coffee later", DONE),
        FAILING: Cell("1 leased", "tea, coffee, coffee later", DONE),
        CLOSED: Cell("none", "tea, coffee later", DONE),
    },
    Edit.OTHER: {
        FUTURE: Cell("2 free", "coffee", DONE),
        OVERDUE: Cell("2 free", "coffee", DONE),
        RETRYING: Cell("2 free", "tea, coffee", DONE),
        HELD: Cell("2 free, re-fenced", "coffee", DONE),
        WAITING: Cell("1 leased", "coffee", DONE),
        STARTED: Cell("1 leased", "tea", DONE),
        FAILING: Cell("1 leased", "tea, coffee", DONE),
        CLOSED: Cell("none", "tea", DONE),
    },
    Edit.PAUSE: {
        FUTURE: Cell("1 paused", "", OPEN),
        OVERDUE: Cell("1 paused", "", OPEN),
        RETRYING: Cell("1 paused", "tea", OPEN),
        HELD: Cell("1 paused, re-fenced", "", OPEN),
        WAITING: Cell("1 leased", "", OPEN),
        STARTED: Cell("1 leased", "tea", DONE),
        FAILING: Cell("1 leased", "tea", OPEN),
        CLOSED: Cell("none", "tea", DONE),
    },
    Edit.SKIP: {
        FUTURE: Cell("1 free", "tea", DONE),
        OVERDUE: Cell("none", "", PASSED),
        RETRYING: Cell("none", "tea", PASSED),
        HELD: Cell("none", "", PASSED),
        WAITING: Cell("none", "", PASSED),
        STARTED: Cell("none", "tea", DONE),
        FAILING: Cell("none", "tea", PASSED),
        CLOSED: Cell("none", "tea", DONE),
    },
    Edit.ALL: {
        FUTURE: Cell("1 free", "tea", DONE),
        OVERDUE: Cell("1 free", "tea", DONE),
        RETRYING: Cell("1 free", "tea, tea", DONE),
        HELD: Cell("1 free, re-fenced", "tea", DONE),
        WAITING: Cell("1 free, re-fenced", "tea", DONE),
        STARTED: Cell("none", "tea", DONE),
        FAILING: Cell("1 free, re-fenced", "tea, tea", DONE),  # by its own end
        CLOSED: Cell("none", "tea", DONE),
    },
    Edit.DELETE: {
        FUTURE: Cell("none", "", GONE),
        OVERDUE: Cell("none", "", GONE),
        RETRYING: Cell("none", "tea", GONE),
        HELD: Cell("none", "", GONE),
        WAITING: Cell("1 leased", "", GONE),
        STARTED: Cell("1 leased", "tea", DONE),
        FAILING: Cell("1 leased", "tea", GONE),
        CLOSED: Cell("none", "tea", DONE),
    },
}
TABLE[Edit.LATEST] = TABLE[Edit.ALL]  # each row here is the latest; of several see test_change.py

# A dispatcher that believes to be told of changes and is not acts on what it claimed before: once, with the content of
# then. What was held ahead was re-fenced, so that this comes to nothing in the ledger, and it goes on as the table says.
UNTOLD = {
    Edit.SCHEDULE: {HELD: Cell("none", "tea, coffee later", NONE), WAITING: TABLE[Edit.SCHEDULE][STARTED]},
    Edit.OTHER: {HELD: Cell("2 free, re-fenced", "tea, coffee", DONE), WAITING: TABLE[Edit.OTHER][STARTED]},
    Edit.PAUSE: {HELD: Cell("1 paused, re-fenced", "tea", OPEN), WAITING: TABLE[Edit.PAUSE][STARTED]},
    Edit.SKIP: {HELD: Cell("none", "tea", PASSED), WAITING: TABLE[Edit.SKIP][STARTED]},
    Edit.LATEST: {HELD: Cell("1 free, re-fenced", "tea, tea", DONE), WAITING: TABLE[Edit.LATEST][STARTED]},
    Edit.ALL: {HELD: Cell("1 free, re-fenced", "tea, tea", DONE), WAITING: TABLE[Edit.ALL][STARTED]},
    Edit.DELETE: {HELD: Cell("none", "tea", GONE), WAITING: TABLE[Edit.DELETE][STARTED]},
}
CELLS = [
    pytest.param(edit, place, news, id=f"{edit}-{place}-{news}") for edit in Edit for place in Place for news in News
]


def cell_of(edit: Edit, place: Place, news: News) -> Cell:
    """What is at hand counts as started, and a dispatcher that hears nothing at all hands it back like anything else."""
    if place is AT_HAND:
        return TABLE[edit][WAITING if news is News.DOWN else STARTED]
    untold = UNTOLD[edit] if news is News.LOST else {}
    return untold.get(place, TABLE[edit][place])


class Scene:
    """One row of one event, a dispatcher that knows of it, and somebody who changes the event."""

    def __init__(self, api, clock, noting, news, place) -> None:
        self.api = api
        self.clock = clock
        self.noting = noting
        self.news = news
        stores = api.deps.changes.stores
        self.broadcast = Heeding(api.deps.broadcast)
        hands = 1 if place is WAITING else 5
        self.dispatcher = make_dispatcher(
            stores._replace(broadcast=self.broadcast), clock, noting, dispatch_worker_count=hands
        )
        self.sweeper = Sweeper(stores, clock)
        self.place = place

    async def prepare(self) -> None:
        """The row is where it should be."""
        await self.api.deps.plan.mark_whole(range(4), "test")
        await self._subscribe()
        match self.place:
            case Place.FUTURE:
                await self._create(30)
            case Place.OVERDUE:
                await self._create(5)
                self.clock.advance(15)
            case Place.RETRYING:
                self.noting.answer = lambda _: Failed(reason="no")
                await self._create(0)
                await self._work()
                self.noting.answer = lambda _: Delivered()
            case Place.HELD:
                await self._create(0.8)
                await self.dispatcher.tick()
                assert 1 == len(self.dispatcher._held)
            case Place.AT_HAND:
                await self._create(0.05)
                await self.dispatcher.tick()
                assert 1 == len(self.dispatcher._held)
            case Place.WAITING:
                await self._occupy()
                await self._create(0)
                await self.dispatcher.tick()
                assert 1 == len(self.dispatcher._ready)
            case Place.STARTED | Place.FAILING:
                self.noting.gate.clear()
                await self._create(0)
                await self.dispatcher.tick()
                await self.noting.called()
                if self.place is FAILING:
                    self.noting.answer = lambda _: Delivered() if self.noting.deliveries[1:] else Failed(reason="no")
            case Place.CLOSED:
                await self._create(0)
                await self._work()
        self.fence = (await self._row() or (None,))[-1]

    async def change(self, edit: Edit) -> None:
        if self.news is News.DOWN:
            await self._cut_off()
        if edit in (Edit.SKIP, Edit.LATEST, Edit.ALL):
            await self._make(Edit.PAUSE)
            await self.go_on(1, 10, 4)
        await self._make(edit)

    async def go_on(self, *steps: float) -> None:
        """Time passes; at each step the timer rings before anybody claims."""
        self.noting.gate.set()
        if self.news is News.DOWN:
            await self.dispatcher.tick()  # which finds that it cannot be told
        for seconds in steps:
            self.clock.advance(seconds)
            self.dispatcher._fire_due()
            await settled(self.dispatcher)
            await self._work()

    async def standing(self) -> str:
        found = await self._row()
        if found is None:
            return "none"
        version, leased, blocked_on, fence = found
        re_fenced = ", re-fenced" if fence != self.fence else ""
        return f"{version} {'leased' if leased else blocked_on or 'free'}{re_fenced}"

    async def end(self) -> str:
        if await self._row() is not None:
            return "open"
        closed = await query(
            self.api, "SELECT status, reason FROM occurrences WHERE event_id = %s AND due_at = %s", *self.identity
        )
        return ": ".join(filter(None, closed[0])) if closed else "none"

    def delivered(self) -> str:
        ours = [one for one in self.noting.deliveries if one.event_id == self.identity.event_id]
        return ", ".join(one.name + (" later" if one.due_at > self.identity.due_at else "") for one in ours)

    async def in_flight(self) -> list[Identity]:
        [(_, _, details), *_] = await audit_of(self.api, self.event)
        return [parse_occurrence_id(one) for one in details["in_flight"]]

    async def _create(self, seconds: float) -> None:
        due_at = self.clock.now() + timedelta(seconds=seconds)
        self.event = await create(self.api, schedule="FREQ=DAILY", start_time=due_at)
        if due_at.microsecond:  # rules work in whole seconds
            self.event = await create(self.api, start_time=due_at)
        self.identity = Identity(UUID(self.event["id"]), due_at)

    async def _make(self, edit: Edit) -> None:
        path = f"/events/{self.event['id']}"
        match edit:
            case Edit.SCHEDULE:
                start = self.identity.due_at + LATER
                answer = await self.api.patch(path, {"name": "coffee", "start_time": start})
            case Edit.OTHER:
                answer = await self.api.patch(path, {"name": "coffee"})
            case Edit.PAUSE:
                answer = await self.api.post(f"{path}/pause")
            case Edit.DELETE:
                answer = await self.api.delete(path)
            case _:
                answer = await self.api.post(f"{path}/resume", {"backlog": edit.removeprefix("resume, ")})
        assert answer.is_success, answer.text
        if self.news in (News.HEARD, News.LOST):
            await self.broadcast.caught_up()

    async def _occupy(self) -> None:
        """The only hand."""
        self.noting.gate.clear()
        await create(self.api)
        await self.dispatcher.tick()
        await self.noting.called()

    async def _work(self) -> None:
        await self.sweeper.tick()
        await self.dispatcher.tick()
        await settled(self.dispatcher)

    async def _subscribe(self) -> None:
        await self.dispatcher.tick()
        async with asyncio.timeout(15):
            await self.dispatcher._subscribed.wait()

    async def _cut_off(self) -> None:
        following = self.dispatcher._background.tasks[1]
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert not self.dispatcher._subscribed.is_set()

    async def _row(self) -> tuple[object, ...] | None:
        found = await query(
            self.api,
            "SELECT version, lease_until IS NOT NULL, blocked_on, fence FROM pending WHERE event_id = %s AND due_at = %s",
            *self.identity,
        )
        return found[0] if found else None


@pytest.fixture
async def open_scene(deps, clock, noting, tmp_path):
    """Where the notice is to be lost, who makes the change has no Redis to tell it by."""

    @asynccontextmanager
    async def opened(place, news):
        nobody = connect(f"unix://{tmp_path}/nobody.sock")
        stores = deps.changes.stores
        if news is News.LOST:
            stores = stores._replace(broadcast=Broadcast(nobody, "x"))
        changes = Changes(stores, clock, deps.config.scheduler)
        async with open_api(msgspec.structs.replace(deps, changes=changes)) as api:
            scene = Scene(api, clock, noting, news, place)
            await scene.prepare()
            yield scene
            noting.gate.set()
            await scene.dispatcher.drain()
        await nobody.aclose()

    return opened


@pytest.mark.parametrize(("edit", "place", "news"), CELLS)
async def test_a_change_does_to_an_open_row_what_the_table_says(open_scene, edit, place, news):
    async with open_scene(place, news) as scene:
        await scene.change(edit)
        row = await scene.standing()
        await scene.go_on(1, 10, 20, 30, 40)
        became = Cell(row, scene.delivered(), await scene.end())
        in_flight = await scene.in_flight() if edit is Edit.DELETE else []

        assert cell_of(edit, place, news) == became
        assert ([scene.identity] if edit is Edit.DELETE and row == "1 leased" else []) == in_flight
