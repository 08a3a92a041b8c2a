"""One try at the action: what the action is given, and how it may end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct


class Delivery(Struct, frozen=True, kw_only=True):
    """One attempt, as an action sees it."""

    event_id: UUID
    occurrence_id: str
    name: str
    description: str
    due_at: datetime
    attempt: int
    metadata: msgspec.Raw
    tags: tuple[str, ...]
    secrets: tuple[str, ...]  # to sign with; the first is the newest
    header_secrets: Mapping[
        str, str
    ] = {}  # values of headers, by their names in lower case, and what else of the action is secret
    other_secrets: tuple[str, ...] = ()  # that a receiver may know from other deliveries
    timeout: timedelta  # everything, from name lookup to the last byte, ends within it
    wanted: Callable[[], bool] = lambda: True  # to be asked last of all before it is acted on

    @property
    def confidential(self) -> tuple[str, ...]:
        """All that must not come back in an answer, an error or a log line."""
        return (*self.secrets, *self.header_secrets.values(), *self.other_secrets)

    def __repr__(self) -> str:
        return f"Delivery({self.occurrence_id}, attempt {self.attempt})"


class Delivered(Struct, frozen=True, kw_only=True):
    """The endpoint took it."""

    status_code: int | None = None
    excerpt: str = ""


class Failed(Struct, frozen=True, kw_only=True):
    """Not this time; trying again makes sense."""

    reason: str
    status_code: int | None = None
    excerpt: str = ""
    retry_after: timedelta | None = None  # what the endpoint asked for


class Refused(Struct, frozen=True, kw_only=True):
    """Trying again makes no sense."""

    reason: str
    status_code: int | None = None
    excerpt: str = ""
    gone: bool = False  # the endpoint says that it will never be there again


class Parked(Struct, frozen=True, kw_only=True):
    """Nothing was sent, and no attempt is used up: there is no room at its destination, or that is given a rest."""

    cause: str  # full, rate or breaker
    place: str
    pause: timedelta | None = None  # until there is any point in asking again; None: until there is room


class Withdrawn(Struct, frozen=True):
    """Nothing was sent: it was wanted no more when it came to that."""


class Handed(Struct, frozen=True, kw_only=True):
    """It is kept for a client of the gateway, whose word decides how it ends."""

    client: str
    frame: str  # what the client is sent, as a JSON object
    ttl: timedelta  # how long it is kept
    max_backlog: int  # how much may be kept for that client
    ack_timeout: float  # seconds, once it was sent
    mode: str = "latest"  # to which of its connections
    fallback_after: timedelta | None = None  # when it is taken back and done otherwise
    first_at: datetime | None = None  # when it was handed over first; None: it is now

    def fallback_at(self, now: datetime) -> datetime | None:
        """When it is taken back, as it is handed over now: so long after it first was."""
        return None if self.fallback_after is None else max(now, (self.first_at or now) + self.fallback_after)


Outcome: TypeAlias = Delivered | Failed | Refused
Sent: TypeAlias = Outcome | Parked | Withdrawn
Performed: TypeAlias = Sent | Handed
