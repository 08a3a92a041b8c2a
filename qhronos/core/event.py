"""What a client asks for beside the rule: the policies of an event, each a field with its default."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from qhronos.core.retry import Retry


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


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`retry` left out means: as the service is configured."""

    retry: Retry | None = None
    misfire: Misfire = Misfire()


def missed(misfire: Misfire, late: timedelta, grace: timedelta, *, superseded: bool) -> str | None:
    """Why an occurrence that is `late` is skipped instead of fired, or None.

    `superseded`: a later occurrence of the same event is due as well.
    """
    if late <= grace:
        return None
    if late.total_seconds() > misfire.catchup_window:
        return "missed: older than the catch-up window"
    match misfire.policy:
        case MisfirePolicy.SKIP:
            return "missed: misfire policy skip"
        case MisfirePolicy.FIRE_LATEST if superseded:
            return "missed: a later occurrence fires instead"
        case _:
            return None


def in_catchup(misfire: Misfire, now: datetime) -> datetime:
    """The instant before which nothing is caught up."""
    return now - timedelta(seconds=misfire.catchup_window)
