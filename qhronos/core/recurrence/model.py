"""The canonical recurrence and what expanding one gives."""

from __future__ import annotations

import enum
from datetime import date, datetime, timedelta
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct


class Gap(enum.StrEnum):
    """A wall time that the clock jumps over."""

    SHIFT = "shift"  # read with the offset before the gap: 02:30 happens at 03:30 (RFC 5545 §3.3.5)
    SKIP = "skip"


class Fold(enum.StrEnum):
    """A wall time that the clock shows twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Dst(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a clock change does to wall times. Elapsed time knows neither gap nor fold."""

    gap: Gap = Gap.SHIFT
    fold: Fold = Fold.FIRST


USUAL_DST = Dst()


class Subdaily(enum.StrEnum):
    """How HOURLY, MINUTELY and SECONDLY step."""

    ELAPSED = "elapsed"  # real time since DTSTART
    WALL = "wall"  # the clock face, as the letter of RFC 5545 has it


class Roll(enum.StrEnum):
    """What becomes of an instant on a closed day."""

    SKIP = "skip"
    FOLLOWING = "following"
    PRECEDING = "preceding"
    MODIFIED_FOLLOWING = "modified_following"  # following, but preceding where that is in another month
    NEAREST = "nearest"  # the following of two that are equally near


class Business(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the business calendars of a recurrence say, all of them together, as far as they were known.

    `closed` are dates in order, neighbours as one run such as `2026-12-24/2026-12-26`; `weekend` are weekdays that are
    closed, such as `SA`. Of dates after `known_until` the calendars say nothing.
    """

    calendars: tuple[str, ...]
    known_until: date
    roll: Roll = Roll.SKIP
    closed: tuple[str, ...] = ()
    weekend: tuple[str, ...] = ()


class Counted(Struct, frozen=True):
    """How far a rule with COUNT has been counted: `left` more after `until`, and none other up to it than were counted.

    With `left` 0, `until` is the rule's effective UNTIL.
    """

    until: Annotated[datetime, Meta(tz=True)]
    left: int


class Recurrence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When, in the one form that is stored and shown. Made by `parse`; its texts are canonical, so equal rules are equal.

    `dtstart` is wall time in `timezone`, in whole seconds unless the recurrence is a single instant. `rrule` are rules
    such as `FREQ=DAILY;COUNT=3`. A date in `rdate` or `exdate` is `2026-03-08T02:30:00` (wall time in `timezone`) or
    `2026-03-08T07:30:00Z`; in `exdate` also `2026-03-08`, the whole local day. `dtstart` counts if a rule gives it, or if
    there is no rule. What an `exrule` gives is taken away; only imported calendars still have them.
    """

    dtstart: Annotated[datetime, Meta(tz=False)]
    timezone: str
    rrule: tuple[str, ...]
    rdate: tuple[str, ...]
    exdate: tuple[str, ...]
    exrule: tuple[str, ...] = ()
    second_pass: bool = False  # `dtstart` is a wall time that comes twice, and the second of the two
    dst: Dst = USUAL_DST  # msgspec leaves out a default that is this very object
    subdaily: Subdaily = Subdaily.ELAPSED
    vtimezone: str = ""  # the rules of `timezone` where that is no IANA zone but a label: see `vtimezones`
    counted: tuple[Counted | None, ...] = ()  # one for each of rrule, exrule, or none at all: see `settle`
    business: Business | None = None


class Mark(enum.StrEnum):
    """What the clock does at an instant."""

    NORMAL = "normal"
    GAP_SHIFTED = "gap_shifted"  # its wall time does not exist that day
    FOLD_FIRST = "fold_first"  # its wall time comes twice; this is the first
    FOLD_SECOND = "fold_second"


class Instant(NamedTuple):
    """`at` is aware, in UTC. `wall` is the local time the rule asked for, which `at` does not show if it was shifted."""

    at: datetime
    wall: datetime
    mark: Mark
    rolled_from: date | None = None  # the closed day that it would be on


class Expansion(NamedTuple):
    """The instants of a window, as far as they are known.

    All instants before `covered` are in `instants`; go on with `since=covered`. `complete`: the window holds no other.
    `ended`: nor does the future after it. A window that is open towards the future is only complete once it has ended.
    """

    instants: tuple[Instant, ...]
    covered: datetime
    complete: bool
    ended: bool


class Explanation(NamedTuple):
    """Why an instant is in the set or not, and its nearest neighbours in it.

    None: there is none within ten years, or none that one pass could find.
    """

    included: bool
    reason: str  # names the part that decides
    before: datetime | None
    after: datetime | None


class ClockChange(NamedTuple):
    at: datetime
    before: timedelta  # the offset from UTC until then
    after: timedelta
