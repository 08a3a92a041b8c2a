"""What was put off because there was no room at its destination, and is called back when there is.

A hint, kept in this process alone: whatever is forgotten here comes by itself at the instant it was put off to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from qhronos import metrics
from qhronos.core.attempt import Parked
from qhronos.core.occurrence import Identity, Status
from qhronos.store.pending import Claimed, Entry, Settlement

LEAST, MOST = 5.0, 60.0  # seconds that one waits, if nobody calls it back
EACH = 0.01  # seconds that each one before it adds, so that a crowd does not come back all at once
MOST_WAITING = 20_000


class Parking:
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: dict[str, dict[Identity, datetime]] = {}
        self._count = 0
        self._room: dict[str, int] = {}  # that came before those who were turned away were here
        self._called: list[Entry] = []

    def put_off(self, row: Claimed, parked: Parked, now: datetime, random: Random) -> Settlement:
        """The claim ends without an attempt, and there will be another."""
        metrics.PARKED.labels(parked.cause).inc()
        return Settlement(
            event_id=row.event_id,
            due_at=row.due_at,
            fence=row.fence,
            status=Status.SCHEDULED,
            reason=None,
            fire_at=now + self._pause(parked, random),
            finished_at=now,
            lane=row.lane,
            place=None if parked.pause else parked.place,
        )

    def add(self, place: str, entry: Entry) -> None:
        """Once it is committed that it was put off."""
        if room := self._room.pop(place, 0):
            self._leave_room(place, room - 1)
            self._call([entry])
            return
        waiting = self._waiting.setdefault(place, {})
        self._count += entry.identity not in waiting
        waiting[entry.identity] = entry.fire_at
        if self._count > MOST_WAITING:
            self._forget_one()

    def room(self, place: str, count: int) -> None:
        """There is room for `count` of those who were turned away."""
        waiting = self._waiting.pop(place, {})
        first = list(islice(waiting, count))
        self._call([Entry(*identity, waiting.pop(identity)) for identity in first])
        self._count -= len(first)
        if waiting:
            self._waiting[place] = waiting
        self._leave_room(place, self._room.get(place, 0) + count - len(first))

    def is_waited_for(self, place: str) -> bool:
        return place in self._waiting

    def _forget_one(self) -> None:
        """The oldest of the place that was waited for first: it may be long done, by somebody else."""
        place, waiting = next(iter(self._waiting.items()))
        del waiting[next(iter(waiting))]
        if not waiting:
            del self._waiting[place]
        self._count -= 1

    def take_called(self) -> list[Entry]:
        called, self._called = self._called, []
        return called

    def _leave_room(self, place: str, count: int) -> None:
        if count:
            self._room[place] = count

    def _call(self, entries: list[Entry]) -> None:
        if entries:
            self._called += entries
            self._wake()

    def _pause(self, parked: Parked, random: Random) -> timedelta:
        if parked.pause:
            return parked.pause * random.uniform(1, 1.1)
        least = min(MOST / 2, LEAST + EACH * len(self._waiting.get(parked.place, ())))
        return timedelta(seconds=least * random.uniform(1, 2))
