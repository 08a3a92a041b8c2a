"""What every action is: data that says what to do, and the doing of it, once."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol, Self

import msgspec

from qhronos.actions.tokens import Tokens
from qhronos.core.attempt import Delivery, Performed
from qhronos.http import Client, Egress
from qhronos.plan.breakers import Breakers


class Means(NamedTuple):
    """What actions act with."""

    http: Client
    tokens: Tokens
    breakers: Breakers | None = None  # None: no endpoint is ever given a rest


class Act(Protocol):
    """One attempt that is ready to be made."""

    @property
    def type(self) -> str: ...

    @property
    def place(self) -> str | None:
        """Where it goes, if that takes only so many at once: see `Acts.capacity`."""
        ...

    async def perform(self, now: datetime) -> Performed:
        """Make it, once. What an endpoint does is an outcome, never an exception."""
        ...


class Done(NamedTuple):
    """There is nothing to be done, for the outcome is known."""

    type: str
    outcome: Performed
    place: None = None

    async def perform(self, _now: datetime) -> Performed:
        return self.outcome


class Acts(Protocol):
    """How the dispatcher acts on what is stored."""

    def prepare(self, stored: msgspec.Raw, delivery: Delivery) -> Act:
        """All that can be done ahead of the instant."""
        ...

    def capacity(self, place: str) -> int:
        """How many a place takes at once just now."""
        ...


class Performs(Protocol):
    """A type of action: a Struct with `type` as its tag and its arguments in `params`."""

    @classmethod
    def example(cls, url: str) -> Self:
        """One that succeeds if `url` answers 200. The contract suite holds every listed type to it."""
        ...

    @property
    def legacy(self) -> str | None:
        """What the first Qhronos' `webhook` field would say, if it could."""
        ...

    def vet(self, egress: Egress, field: str) -> None:
        """Refuse params that cannot work, by their path under `field`. Pure: no name is looked up."""
        ...

    def prepare(self, delivery: Delivery, means: Means) -> Act:
        """All that can be done ahead of the instant. Raises Invalid for what must not be done at all."""
        ...
