"""What an occurrence costs among ten thousand stored events and planned entries, among a hundred thousand, and a million.

    python -m tests.benchmarks.growth [--most 1000000] [--rounds 3]

A cost is the processor time of all that takes part, stores included. Ends with 1 where one
has grown by more than 1.3 from the first to the last of these. `make bench ARGS=--write-docs` puts them on its page.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import msgspec

from tests.benchmarks import bed as beds
from tests.benchmarks import curves, expanding, machine, ours
from tests.benchmarks.api import asked
from tests.benchmarks.bed import Bed, Used, rest_until
from tests.benchmarks.faults import arrived
from tests.benchmarks.results import JUDGED, LEAST, Growth
from tests.benchmarks.stock import Stock
from tests.benchmarks.work import CPU_FROM, SETTLED, Work

SIZES = (LEAST, 100_000, JUDGED, 10_000_000)
MOST_GROWN = 1.3  # the cost at JUDGED over the one at LEAST
ITEMS = 3_000
RULES = 100
EACH = 300  # occurrences of a rule, a hundred of which the API makes; they are due in 45 to 55 minutes
STARTS_IN = timedelta(minutes=45)
LOOK_AHEAD = "60d"  # so that what is stored is planned, and stays so
READS = 400
LISTS = {"list events": "/events?limit=50", "list occurrences": "/occurrences?limit=50"}
WITHIN = 60.0


def main() -> int:
    flags = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.growth", description=(__doc__ or "").splitlines()[0]
    )
    flags.add_argument("--most", type=int, default=JUDGED)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    growth = measured([size for size in SIZES if size <= given.most], given.rounds)
    (beds.BUILD / "growth.json").write_bytes(msgspec.json.format(msgspec.json.encode(growth)))
    (beds.BUILD / "growth.html").write_text(curves.html(growth))
    for what, ratio in growth.ratios().items():
        print(f"{what:20}{ratio:8.2f} × from {LEAST:,} to {JUDGED:,}   {'met' if ratio <= MOST_GROWN else 'NOT MET'}")
    print(f"{growth.seconds / 60:.1f} minutes; {beds.BUILD / 'growth.html'}")
    return int(any(ratio > MOST_GROWN for ratio in growth.ratios().values()))


def measured(sizes: list[int], rounds: int) -> Growth:
    with beds.made() as bed:
        began = time.monotonic()
        growth = Growth(datetime.now(UTC).isoformat(timespec="minutes"), machine.described(bed), rounds)
        with ours.started(bed, QHRONOS_SCHEDULER__LOOK_AHEAD_DURATION=LOOK_AHEAD) as fleet:
            field = Field(bed, fleet)
            stock = Stock(fleet)
            for size in sizes:
                stock.grow(size)
                found = [field.costs() for _ in range(rounds)]
                for what in found[0]:
                    growth.costs.setdefault(what, {})[size] = median(one[what] for one in found)
                for what, number in field.stored(size).items():
                    growth.stored.setdefault(what, {})[size] = number
                costs = ", ".join(f"{what} {of[size]:,.0f} µs" for what, of in growth.costs.items())
                print(f"{size:10,}: {costs}", flush=True)
        growth.seconds = time.monotonic() - began
        return growth


class Field:
    """Processes that stay while the stores grow."""

    def __init__(self, bed: Bed, fleet: ours.Fleet) -> None:
        self._bed = bed
        self._fleet = fleet
        self._bare = expanding.valkey_bytes(bed)
        self._dispatcher = fleet.start("dispatcher").pid
        self._expander = fleet.start("expander").pid

    def costs(self) -> dict[str, float]:
        created, claimed = self._burst()
        lists = {what: self._list(path) for what, path in LISTS.items()}
        return {"create": created, "claim and settle": claimed, "expand": self._expand(), **lists}

    def stored(self, size: int) -> dict[str, float]:
        pending, events = (expanding.size(self._fleet, table) / size for table in ("pending", "events"))
        planned = (expanding.valkey_bytes(self._bed) - self._bare) / size
        return {
            "Postgres, an open occurrence": pending,
            "Postgres, an event": events,
            "Valkey, a planned entry": planned,
        }

    def _burst(self) -> tuple[float, float]:
        """Creating events that are due at once, then delivering them."""
        self._bed.sink.reset()
        work = Work(ITEMS, first=math.ceil(time.time() + ours.lead(work=Work(ITEMS))))
        before = self._bed.used([self._fleet.api_pid])
        self._fleet.create([self._fleet.event(work, item) for item in range(ITEMS)])
        created = self._bed.used([self._fleet.api_pid]).since(before)
        rest_until(work.first - CPU_FROM)
        before = self._bed.used([self._dispatcher])
        arrived(self._bed, ITEMS, WITHIN)
        assert ITEMS == self._bed.sink.count()
        time.sleep(SETTLED)
        claimed = self._bed.used([self._dispatcher]).since(before)
        return each(created, ITEMS), each(claimed, ITEMS)

    def _expand(self) -> float:
        answers = [self._fleet.call("POST", "/events", rule(self._fleet)) for _ in range(RULES)]
        ids = [answer["id"] for answer in answers]
        wanted = RULES * EACH
        count = wanted - self._opened(ids)
        before = self._bed.used([self._expander])
        self._fleet.execute(expanding.SOON + " WHERE next_expand_at IS NOT NULL")
        expanding.until(lambda: self._opened(ids) >= wanted)
        used = self._bed.used([self._expander]).since(before)
        for one in ids:
            self._fleet.call("DELETE", f"/events/{one}")
        return each(used, count)

    def _opened(self, ids: list[str]) -> int:
        return self._fleet.query("SELECT count(*) FROM pending WHERE event_id = ANY(%s::uuid[])", ids)[0][0]

    def _list(self, path: str) -> float:
        before = self._bed.used([self._fleet.api_pid])
        asked(self._fleet, READS, "GET", path, "")
        return each(self._bed.used([self._fleet.api_pid]).since(before), READS)


def rule(fleet: ours.Fleet) -> dict[str, Any]:
    start = (datetime.now(UTC) + STARTS_IN).replace(microsecond=0).isoformat()
    schedule = f"FREQ=SECONDLY;INTERVAL=2;COUNT={EACH}"
    return {"name": "rule", "webhook": fleet.bed.sink.url, "start_time": start, "schedule": schedule}


def each(used: Used, count: int) -> float:
    return sum(used) / count * 1e6


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    sys.exit(main())
