"""The work that everyone gets, and what is measured while it is done.

So many items, each one POST of its number and its instant to the receiver; all due at once, or spread evenly. An item's
lateness is its arrival less its instant. Processor time counts from a moment before the first instant: Qhronos claims a
second ahead, and that is to be in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from msgspec import Struct

from tests.benchmarks import usage
from tests.benchmarks.bed import Bed, Used, rest_until
from tests.benchmarks.sink import Record

CPU_FROM = 1.5  # seconds before the first instant
SETTLED = 1.0  # seconds after the last arrival, for what is written down behind it
STALLED = 20.0  # seconds in which nothing arrives
EARLY = 1.0  # milliseconds before its instant that count as too early
MARGIN = CPU_FROM + 0.5


class TooLate(Exception):
    """The items were not all there before the first was due."""


class Nothing(Exception):
    """None of the items arrived."""


class Work(NamedTuple):
    count: int
    spread: float = 0.0  # seconds
    first: float = 0.0  # the first instant, in seconds since 1970, on a whole millisecond
    longest: float = 90.0  # seconds after the last instant

    def due_us(self, item: int) -> int:
        return round(self.first * 1e6) + int(item * self.spread * 1e6 / self.count)

    @property
    def last(self) -> float:
        return self.first + self.spread


class Workers(NamedTuple):
    """Who is at work, with all items waiting."""

    pids: list[int]
    enqueued_per_second: float


class Figures(Struct, frozen=True, kw_only=True):
    """One run."""

    count: int
    arrived: int
    unique: int
    early: int
    rate: float  # items a second, from the first instant to the last arrival
    late_min: float  # all in milliseconds
    late_p50: float
    late_p99: float
    late_max: float
    cpu_us: float  # of the workers, per item
    postgres_us: float
    valkey_us: float
    pss_mb: float
    largest_mb: float  # of the largest worker alone
    enqueued_per_second: float

    @property
    def is_whole(self) -> bool:
        return self.unique == self.count

    @property
    def doubled(self) -> int:
        return self.arrived - self.unique


Enqueue = Callable[[Work], Workers]
Begin = Callable[[Bed], AbstractContextManager[Enqueue]]


def measure(bed: Bed, work: Work, lead: float, begin: Begin) -> Figures:
    """`lead`: the seconds that it has to take the items in. Raises TooLate, and Nothing."""
    with begin(bed) as enqueue:
        work = work._replace(first=math.ceil(time.time() + lead))
        workers = enqueue(work)
        if time.time() > work.first - MARGIN:
            raise TooLate
        rest_until(work.first - CPU_FROM)
        before = bed.used(workers.pids)
        memory = watch(bed, work, workers.pids)
        time.sleep(SETTLED)
        used = bed.used(workers.pids).since(before)
    return figures(work, bed.sink.records(), used, memory, workers.enqueued_per_second)


class Memory(NamedTuple):
    """In megabytes."""

    total: float = 0.0
    largest: float = 0.0

    def most(self, pids: Sequence[int]) -> Memory:
        each = [usage.pss([pid]) for pid in pids]
        return Memory(max(self.total, sum(each)), max(self.largest, *each, 0.0))


def watch(bed: Bed, work: Work, pids: Sequence[int]) -> Memory:
    """Until all has arrived, or nothing more does. The most memory that was seen."""
    memory, count, moved_at = Memory().most(pids), 0, work.last
    while count < work.count and time.time() < min(work.last + work.longest, moved_at + STALLED):
        time.sleep(0.25)
        memory = memory.most(pids)
        if (arrived := bed.sink.count()) != count:
            count, moved_at = arrived, max(time.time(), work.last)
    return memory


def figures(work: Work, records: list[Record], used: Used, memory: Memory, enqueued: float) -> Figures:
    if not records:
        raise Nothing
    late = sorted(record.arrived - record.due for record in records)
    last = max(record.arrived for record in records) / 1e3
    each = 1e6 / len(records)
    return Figures(
        count=work.count,
        arrived=len(records),
        unique=len({record.item for record in records}),
        early=sum(one < -EARLY for one in late),
        rate=len(records) / (last - work.first),
        late_min=late[0],
        late_p50=percentile(late, 0.5),
        late_p99=percentile(late, 0.99),
        late_max=late[-1],
        cpu_us=used.workers * each,
        postgres_us=used.postgres * each,
        valkey_us=used.valkey * each,
        pss_mb=memory.total,
        largest_mb=memory.largest,
        enqueued_per_second=enqueued,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
