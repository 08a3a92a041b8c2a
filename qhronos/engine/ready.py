"""What is due and cannot start yet: it waits for a free hand, and for room at its destination.

Whoever has no room at its destination stands aside, without a hand, and delays no other. Each destination keeps as many
waiting as it takes within a while, judged by how many ended there lately; those beyond are given up, to be put off.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from qhronos.engine.held import Holding, Recall, count_down
from qhronos.store.pending import Claimed

LOOK = 1.0  # seconds between two looks at how a destination does
KEEP = 30.0  # seconds within which it has to take what waits for it: a lease, less the longest request


class Turn(NamedTuple):
    """Sorts by priority, the highest first, then by instant."""

    rank: int
    fire_at: datetime
    number: int
    holding: Holding


class Place:
    """One destination."""

    __slots__ = ("ended", "looked_at", "most", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: list[Turn] = []
        self.most: int | None = None  # that may wait; None: not known yet
        self.looked_at = 0.0
        self.ended = 0  # since then


class Ready:
    """`capacity` says how many requests a destination takes at once just now."""

    def __init__(self, capacity: Callable[[str], int]) -> None:
        self._capacity = capacity
        self._turns: list[Turn] = []
        self._places: dict[str, Place] = {}
        self._aside = 0
        self._events: Counter[UUID] = Counter()

    def __len__(self) -> int:
        return len(self._turns) + self._aside

    def add(self, holding: Holding) -> bool:
        """False: as many wait for its destination as make sense."""
        if holding.work.place and self._is_crowded(holding.work.place):
            return False
        heapq.heappush(self._turns, Turn(-holding.work.policies.priority, holding.fire_at, holding.number, holding))
        self._events[holding.work.row.event_id] += 1
        return True

    def _is_crowded(self, name: str) -> bool:
        """It has no room, and enough that wait for it."""
        place = self._places.get(name)
        if place is None or place.most is None or len(place.waiting) < place.most:
            return False
        return place.under_way >= self._capacity(name)

    def take(self, now: float) -> Holding | None:
        """The next that there is room for; `ended` gives the room back."""
        while self._turns:
            turn = heapq.heappop(self._turns)
            name = turn.holding.work.place
            if name is None:
                return self._taken(turn.holding)
            place = self._place(name)
            if place.under_way < self._capacity(name):
                place.under_way += 1
                return self._taken(turn.holding)
            if not place.waiting:
                place.looked_at, place.ended = now, 0
            heapq.heappush(place.waiting, turn)
            self._aside += 1
        return None

    def admit(self, holding: Holding) -> None:
        """It starts whatever room there is; as of what was taken, its end is to be told."""
        if name := holding.work.place:
            self._place(name).under_way += 1

    def ended(self, holding: Holding) -> bool:
        """What was taken has ended; whether there is room for more than waits here."""
        name = holding.work.place
        if name is None:
            return False
        place = self._places[name]
        place.under_way -= 1
        place.ended += 1
        room = self._capacity(name) - place.under_way
        while place.waiting and room > 0:
            heapq.heappush(self._turns, heapq.heappop(place.waiting))
            self._aside -= 1
            room -= 1
        if not place.under_way and not place.waiting:
            del self._places[name]
        return room > 0

    def give_up(self, now: float) -> list[Holding]:
        """Those that wait where it would take too long."""
        given_up: list[Turn] = []
        for place in self._places.values():
            if (place.waiting or place.most is not None) and now - place.looked_at >= LOOK:
                place.most = int(place.ended / (now - place.looked_at) * KEEP)
                place.looked_at, place.ended = now, 0
                if len(place.waiting) > place.most:
                    place.waiting.sort()
                    given_up += place.waiting[place.most :]
                    del place.waiting[place.most :]
        self._aside -= len(given_up)
        self._forget_empty()
        return [self._taken(turn.holding) for turn in given_up]

    def remove(self, recall: Recall) -> list[Claimed]:
        """Let go of what it takes."""
        if not any(event_id in self._events for event_id in recall.event_ids):
            return []
        return self._drop(recall.takes)

    def clear(self) -> list[Claimed]:
        return self._drop(lambda _row: True)

    def _forget_empty(self) -> None:
        self._places = {name: place for name, place in self._places.items() if place.under_way or place.waiting}

    def _taken(self, holding: Holding) -> Holding:
        count_down(self._events, [holding.work.row])
        return holding

    def _place(self, name: str) -> Place:
        return self._places.get(name) or self._places.setdefault(name, Place())

    def _drop(self, goes: Callable[[Claimed], bool]) -> list[Claimed]:
        gone: list[Claimed] = []
        for heap in (self._turns, *(place.waiting for place in self._places.values())):
            rows = [turn.holding.work.row for turn in heap if goes(turn.holding.work.row)]
            if rows:
                heap[:] = [turn for turn in heap if not goes(turn.holding.work.row)]
                heapq.heapify(heap)
                gone += rows
        count_down(self._events, gone)
        self._aside = sum(len(place.waiting) for place in self._places.values())
        self._forget_empty()
        return gone
