"""What a dispatcher holds until its instant: one heap, for one timer."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from qhronos.core.occurrence import AT_HAND
from qhronos.engine.deliver import Work
from qhronos.store.pending import Claimed


class Holding(NamedTuple):
    """Sorts by instant; `number` breaks ties in the order of arrival."""

    fire_at: datetime
    number: int
    work: Work
    trusted_until: float  # the monotonic second up to which the lease is surely ours


def count_down(events: Counter[UUID], rows: Iterable[Claimed]) -> None:
    """These rows are gone, out of so many of each event: a recall of an event that is not there looks no further."""
    for row in rows:
        events[row.event_id] -= 1
        if not events[row.event_id]:
            del events[row.event_id]


class Recall(NamedTuple):
    """Events that have changed. The change spared what was at hand `at` its moment, under the lease that it has, so that
    starts as it was; what was due by then and still waits is taken, as anything that is late."""

    event_ids: frozenset[UUID]
    at: datetime | None = None  # None: nothing was spared

    def takes(self, row: Claimed) -> bool:
        spared = self.at is not None and self.at < row.fire_at <= self.at + AT_HAND
        return row.event_id in self.event_ids and not spared


class Held:
    def __init__(self) -> None:
        self._heap: list[Holding] = []
        self._events: Counter[UUID] = Counter()
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, work: Work, trusted_until: float) -> None:
        self._number += 1
        self._events[work.row.event_id] += 1
        heapq.heappush(self._heap, Holding(work.row.fire_at, self._number, work, trusted_until))

    def next_at(self) -> datetime | None:
        return self._heap[0].fire_at if self._heap else None

    def pop_due(self, now: datetime, limit: int) -> list[Holding]:
        due: list[Holding] = []
        while self._heap and self._heap[0].fire_at <= now and len(due) < limit:
            due.append(heapq.heappop(self._heap))
        count_down(self._events, [holding.work.row for holding in due])
        return due

    def remove(self, recall: Recall) -> list[Claimed]:
        """Let go of what it takes."""
        if not any(event_id in self._events for event_id in recall.event_ids):
            return []
        gone = [holding.work.row for holding in self._heap if recall.takes(holding.work.row)]
        if gone:
            self._heap = [holding for holding in self._heap if not recall.takes(holding.work.row)]
            heapq.heapify(self._heap)
            count_down(self._events, gone)
        return gone

    def clear(self) -> list[Claimed]:
        rows = [holding.work.row for holding in self._heap]
        self._heap = []
        self._events.clear()
        return rows


class News:
    """What was heard since a claim was asked for. What the claim brings may be older than that."""

    def __init__(self) -> None:
        self.recalls: list[Recall] = []
        self.is_lost = False  # there may have been more

    def concern(self, row: Claimed) -> bool:
        return self.is_lost or any(recall.takes(row) for recall in self.recalls)
