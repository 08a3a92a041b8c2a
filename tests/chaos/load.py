"""What a scenario asks for, through the API, and the instants that it then expects: counted here, not asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from qhronos.core.occurrence import Identity
from tests.chaos.fleet import Fleet

LEAD = 4.0  # seconds between the first event's creation and the first instant
PER_EVENT = 20
ONCE = 10  # one occurrence in so many is a single instant, with microseconds
BULK = 1_000


class Load(NamedTuple):
    first: datetime
    expected: set[Identity]

    def seconds_until(self, fleet: Fleet, after: float) -> float:
        """Until so many seconds after the first instant."""
        return (self.first - fleet.clock.now()).total_seconds() + after


async def ask(fleet: Fleet, seed: int, *, occurrences: int, seconds: float, path: str = "flaky/100") -> Load:
    """So many occurrences, spread over so many seconds."""
    random = Random(seed)  # noqa: S311 - the same seed, the same instants
    singles = occurrences // ONCE
    each = max(1, min(PER_EVENT, int(seconds)))
    rules = max(1, (occurrences - singles) // each)
    lead = LEAD + occurrences / 4_000
    first = (fleet.clock.now() + timedelta(seconds=lead)).replace(microsecond=0)
    step = max(1, int(seconds // each))
    starts = [first + timedelta(seconds=random.randrange(step)) for _ in range(rules)]
    instants = [first + timedelta(microseconds=random.randrange(int(seconds * 1e6))) for _ in range(singles)]
    schedule = f"FREQ=SECONDLY;INTERVAL={step};COUNT={each}"
    events = [event(fleet.hook(path), start, schedule=schedule) for start in starts]
    ids = await create(fleet, events + [event(fleet.hook(path), one) for one in instants])
    expected = {
        Identity(one, start + timedelta(seconds=step * number))
        for one, start in zip(ids, starts, strict=False)
        for number in range(each)
    }
    return Load(first, expected | {Identity(one, at) for one, at in zip(ids[rules:], instants, strict=True)})


def event(url: str, start: datetime, **more: Any) -> dict[str, Any]:
    return {"name": "chaos", "webhook": url, "start_time": start.isoformat(), **more}


async def create(fleet: Fleet, events: list[dict[str, Any]]) -> list[UUID]:
    ids: list[UUID] = []
    for begin in range(0, len(events), BULK):
        answer = await fleet.must("POST", "/events/bulk", {"events": events[begin : begin + BULK]})
        assert not answer["failed"], [one for one in answer["results"] if one["status"] != 201][:3]
        ids += [UUID(one["event"]["id"]) for one in answer["results"]]
    return ids
