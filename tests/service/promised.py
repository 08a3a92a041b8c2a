"""What events promise, kept apart from the product: the model that the state machine of test_machine.py compares with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

SECOND = timedelta(seconds=1)


@dataclass
class Promise:
    """A version: every so many seconds from `start` on, or just once. An instant of the change itself may be of either."""

    start: datetime
    every: int | None
    since: datetime
    until: datetime | None = None

    def instants(self, end: datetime) -> set[datetime]:
        if self.every is None:
            return {self.start} if self.start <= end else set()
        count = max(0, (end - self.start) // timedelta(seconds=self.every) + 1)
        return {self.start + n * timedelta(seconds=self.every) for n in range(count)}

    def expected(self, end: datetime) -> set[datetime]:
        end = min(end, self.until - SECOND) if self.until else end
        return {at for at in self.instants(end) if self.every is None or at > self.since}

    def allowed(self, end: datetime) -> set[datetime]:
        end = min(end, self.until + SECOND) if self.until else end
        return self.instants(end)


@dataclass
class Known:
    """What we know of an event."""

    id: UUID
    version: int
    promises: list[Promise]
    paused: bool = False
    deleted: bool = False
    touched: bool = False  # something of it may have been skipped or called off
    skipped: set[datetime] = field(default_factory=set)
    replayed: set[datetime] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"v{self.version}"

    def expected(self, end: datetime) -> set[datetime]:
        return set().union(*(promise.expected(end) for promise in self.promises))

    def allowed(self, end: datetime) -> set[datetime]:
        return self.skipped.union(*(promise.allowed(end) for promise in self.promises))
