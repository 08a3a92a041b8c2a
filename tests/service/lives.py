"""Events that live through everything that may become of an event, at random and repeatable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from qhronos.config import Scheduler
from qhronos.core.attempt import Delivered, Failed
from qhronos.engine.recover import Sweeper
from qhronos.expander import Expander
from tests.fakes import FakeClock
from tests.service.api import Api
from tests.service.engine import Noting, make_dispatcher, settled
from tests.service.events import HOOK, create, open_of

STEP = 900
RULES = (
    "FREQ=HOURLY",
    "FREQ=MINUTELY;INTERVAL=20",
    "FREQ=DAILY;BYHOUR=14,15,17,19;BYMINUTE=30",
    "FREQ=WEEKLY;BYDAY=SU,MO;BYHOUR=13,18;BYMINUTE=0",
    "FREQ=HOURLY;INTERVAL=3;COUNT=2",
    "*/7 13-16 * * *",
    {"every": "25m"},
    None,
)
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"overlap": "skip"},
    {"ordering_key": "one"},
    {"flex_window": 900, "jitter": 60},
    {"expires_after": 600, "retry": {"max_attempts": 2, "backoff": [1]}},
    {"on_success": {"type": "webhook", "params": {"url": HOOK}}},
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


class Lives:
    """Some events and what happens to them."""

    def __init__(self, api: Api, clock: FakeClock, seed: int) -> None:
        self.api = api
        self.clock = clock
        self.random = Random(seed)  # noqa: S311 - a test's
        self.sweeper = Sweeper(api.deps.changes.stores, clock)
        self.expander = Expander(api.deps.changes.stores, clock, Scheduler())
        self.events: list[dict[str, Any]] = []

    async def live(self, seconds: int) -> None:
        """Time passes, everybody works, and now and then somebody changes something."""
        for _ in range(seconds // STEP):
            self.clock.advance(self.random.choice((STEP, STEP, STEP + 0.25)))
            if self.random.random() < 0.9:  # at times the expanders are behind
                await expand(self.expander)
            await self.work()
            for event in list(self.events):
                if self.random.random() < 0.3:
                    await self.change(event)
        await expand(self.expander)

    async def start(self, count: int) -> None:
        stores = self.api.deps.changes.stores
        await stores.plan.mark_whole(range(stores.plan.shards), "test")
        for _ in range(count):
            await self.begin()

    async def begin(self) -> None:
        start = self.clock.now() + timedelta(minutes=self.random.choice((-90, 0, 10, 100)))
        said = {"schedule": self.random.choice(RULES), "timezone": self.random.choice(ZONES)}
        misfire = {"policy": self.random.choice(("fire_all", "fire_latest", "skip")), "catchup_window": 7200}
        policies = self.random.choice(POLICIES)
        made = await create(self.api, start_time=start.isoformat(), misfire=misfire, **said, **policies)
        self.events.append(made)

    async def work(self) -> None:
        """A dispatcher delivers what is due; some of it fails, to be tried again later."""
        noting = Noting()
        noting.answer = lambda _: Delivered() if self.random.random() < 0.8 else Failed(reason="no")
        dispatcher = make_dispatcher(self.api.deps.changes.stores, self.clock, noting)
        for _ in range(3):  # some wait for their turn
            await self.sweeper.tick()
            await dispatcher.tick()
            await settled(dispatcher)
        await dispatcher.drain()

    async def change(self, event: dict[str, Any]) -> None:  # noqa: C901 - a list of what can be done
        """What is refused is part of it."""
        path = f"/events/{event['id']}"
        at = await self._instant(event)
        match self.random.randrange(11):
            case 0:
                await self.api.patch(path, {"name": f"tea {self.random.random()}"})
            case 1:
                await self.api.patch(path, {"schedule": self.random.choice(RULES)})
            case 2:
                start = self.clock.now() + timedelta(minutes=self.random.choice((-50, 40)))
                await self.api.patch(path, {"start_time": start.isoformat()})
            case 3:
                await self.api.post(f"{path}/pause")
            case 4 | 5:
                backlog = self.random.choice(("skip", "fire_latest", "fire_all"))
                await self.api.post(f"{path}/resume", {"backlog": backlog})
            case 6:
                await self.api.post(f"{path}/skip", {"scheduled_at": at})
            case 7:
                there = self.clock.now() + timedelta(minutes=self.random.choice((1, 50, 200)))
                await self.api.post(f"{path}/override", {"scheduled_at": at, "move_to": there.isoformat()})
            case 8:
                await self.api.post(f"{path}/run")
                await self.api.post(
                    "/occurrences/replay", {"filter": {"event_id": event["id"], "status": ["completed"]}}
                )
            case 9:
                answer = await self.api.post(f"{path}/split", {"scheduled_at": at})
                self.events += [answer.json()] if answer.status_code == 201 else []
            case _:
                if self.random.random() < 0.3:
                    await self.api.delete(path)

    async def _instant(self, event: dict[str, Any]) -> str:
        """One that is open, or comes soon."""
        found = await open_of(self.api, event)
        if found and self.random.random() < 0.7:
            return self.random.choice(found)["scheduled_at"]
        shown = (await self.api.get(f"/events/{event['id']}")).json()
        return shown.get("next_due_at") or self.clock.now().isoformat()


async def expand(expander: Expander) -> None:
    while not await expander.tick():
        pass


async def pages_of(
    api: Api, event: dict[str, Any], since: datetime, until: datetime, limit: int = 1000
) -> AsyncIterator[Any]:
    """The ledger of an event, page by page."""
    window = {"since": since.isoformat(), "until": until.isoformat(), "limit": limit}
    more: dict[str, Any] = {}
    while True:
        answer = await api.get(f"/events/{event['id']}/ledger", params=window | more)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page
        if not page["pagination"]["has_more"]:
            return
        more = {"cursor": page["pagination"]["next_cursor"]}
