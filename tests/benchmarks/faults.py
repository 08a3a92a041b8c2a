"""A dispatcher killed in the middle of a burst, and another started in its place."""

from __future__ import annotations

import math
import time

from tests.benchmarks import ours
from tests.benchmarks.bed import Bed, rest_until
from tests.benchmarks.work import Work

KILLED_AFTER = 0.2  # of the items have arrived
RECOVERED_WITHIN = 60.0
LONGEST_WAIT = 30.0


def crash(bed: Bed, count: int) -> dict[str, float]:
    with ours.started(bed) as fleet:
        fleet.start("expander")
        first = fleet.start("dispatcher")
        work = Work(count, first=math.ceil(time.time() + 5 + count / ours.INTAKE))
        fleet.create([fleet.event(work, item) for item in range(count)])
        rest_until(work.first)
        arrived(bed, round(count * KILLED_AFTER), LONGEST_WAIT)
        first.kill()
        killed_at = time.time()
        before = bed.sink.count()
        fleet.start("dispatcher")
        all_there(bed, count)
        ours.settled(fleet)
        records = bed.sink.records()
    unique = len({record.item for record in records})
    # When the last of them came for the first time: what comes twice is no part of what was still to be done.
    seen: dict[int, float] = {}
    for record in records:
        seen.setdefault(record.item, record.arrived)
    return {
        "items": count,
        "delivered before the kill": before,
        "lost": count - unique,
        "delivered twice": len(records) - unique,
        "seconds from the kill to the last": max(seen.values()) / 1e3 - killed_at,
    }


def arrived(bed: Bed, count: int, within: float) -> None:
    deadline = time.monotonic() + within
    while bed.sink.count() < count and time.monotonic() < deadline:
        time.sleep(0.005)


def all_there(bed: Bed, count: int) -> None:
    """Each at least once, or too long has passed."""
    deadline = time.monotonic() + RECOVERED_WITHIN
    while time.monotonic() < deadline:
        if bed.sink.count() >= count and len({record.item for record in bed.sink.records()}) == count:
            return
        time.sleep(0.1)
