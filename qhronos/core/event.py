"""What a client asks for beside the rule: the policies of an event, each a field with its default."""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from qhronos.core.occurrence import Identity, member
from qhronos.core.retry import Retry
from qhronos.errors import Invalid


class EventStatus(enum.StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"  # nothing left to fire
    ERROR = "error"  # the rule is quarantined, with the reason
    DELETED = "deleted"


class MisfirePolicy(enum.StrEnum):
    FIRE_ALL = "fire_all"
    FIRE_LATEST = "fire_latest"
    SKIP = "skip"


class Misfire(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of an occurrence that is claimed more than the grace period late. Seconds."""

    policy: MisfirePolicy = MisfirePolicy.FIRE_ALL
    catchup_window: Annotated[float, Meta(ge=10, le=31_536_000)] = 86_400.0
    max_catchup: Annotated[int, Meta(ge=1, le=5_000)] | None = None  # missed ones that fire, the latest; null: all


class Overlap(enum.StrEnum):
    """What becomes of an occurrence that is due while another of its event is under way or waits to be tried again."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"  # one waits, those after it are skipped
    QUEUE_ALL = "queue_all"


LONGEST_DELAY = 86_400  # seconds

LaneKey = Annotated[str, Meta(min_length=1, max_length=255)]
LaneLimit = Annotated[int, Meta(ge=1, le=1000)]
Priority = Annotated[int, Meta(ge=0, le=10)]
Expiry = Annotated[float, Meta(gt=0, le=31_536_000)]
Delay = Annotated[float, Meta(ge=0, le=LONGEST_DELAY)]


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`retry` left out means: as the service is configured. Spans are in seconds."""

    retry: Retry | None = None
    misfire: Misfire = Misfire()
    overlap: Overlap = Overlap.ALLOW
    priority: Priority = 0
    expires_after: Expiry | None = None
    flex_window: Delay = 0.0
    jitter: Delay = 0.0
    concurrency_key: LaneKey | None = None
    concurrency_limit: LaneLimit = 1
    ordering_key: LaneKey | None = None
    on_success: dict[str, Any] | None = None  # an action
    on_failure: dict[str, Any] | None = None


LANES = ("overlap", "concurrency_key", "ordering_key")


def check_policies(policies: Policies) -> None:
    """Refuse, as Invalid, what cannot be together."""
    given = [name for name in LANES if getattr(policies, name) not in (None, Overlap.ALLOW)]
    if len(given) > 1:
        raise Invalid(f"{given[1]}: not beside {given[0]}; an event waits for one thing", field=given[1])
    if policies.concurrency_limit != 1 and policies.concurrency_key is None:
        raise Invalid("concurrency_limit: limits a concurrency_key; name one", field="concurrency_limit")
    if policies.flex_window + policies.jitter > LONGEST_DELAY:
        raise Invalid(f"jitter: with flex_window at most {LONGEST_DELAY} seconds", field="jitter")


def delay(policies: Policies, event_id: UUID, due_at: datetime) -> timedelta:
    """How much later than due it acts: within `flex_window` always the same for an event, within `jitter` for an
    occurrence. The same on every node."""
    if not policies.flex_window and not policies.jitter:
        return timedelta()
    whole = policies.flex_window * _share(event_id.bytes) + policies.jitter * _share(member(Identity(event_id, due_at)))
    return timedelta(seconds=round(whole, 3))


def _share(name: bytes) -> float:
    """In [0, 1), evenly."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=6).digest(), "big") / (1 << 48)


def expired(policies: Policies, meant_at: datetime, now: datetime) -> bool:
    return policies.expires_after is not None and (now - meant_at).total_seconds() > policies.expires_after


def missed(misfire: Misfire, late: timedelta, grace: timedelta, *, later: int) -> str | None:
    """Why an occurrence that is `late` is skipped instead of fired, or None.

    `later`: how many later occurrences of the same event are due as well.
    """
    if late <= grace:
        return None
    if late.total_seconds() > misfire.catchup_window:
        return "missed: older than the catch-up window"
    most = most_caught_up(misfire)
    if most is None or later < most:
        return None
    if misfire.policy is MisfirePolicy.SKIP:
        return "missed: misfire policy skip"
    if misfire.policy is MisfirePolicy.FIRE_LATEST:
        return "missed: a later occurrence fires instead"
    return f"missed: only the latest {most} are caught up"


def most_caught_up(misfire: Misfire) -> int | None:
    """How many of those that were missed may fire, the latest; None: all."""
    if misfire.policy is MisfirePolicy.SKIP:
        return 0
    if misfire.policy is MisfirePolicy.FIRE_LATEST:
        return 1
    return misfire.max_catchup


def in_catchup(misfire: Misfire, now: datetime) -> datetime:
    """The instant before which nothing is caught up."""
    return now - timedelta(seconds=misfire.catchup_window)
