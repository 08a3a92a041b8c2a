"""When an event is due: pure functions of a recurrence and a window.

    parse(schedule, now=…, start_time=…, timezone=…, dst=…)  what a caller wrote → Recurrence, or Invalid
    check(recurrence, now)                                   refuses what never fires
    settle(recurrence)                                       one pass at the effective UNTIL of rules with COUNT
    expand(recurrence, since, until, limit)                  the instants of a window
    explain(recurrence, instant)                             why it is in the set, or not
    describe(recurrence)                                     plain words, or the rule itself

Nothing here runs long: work is counted in steps, and what STEPS do not finish says how far it came and can be resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from qhronos.core.recurrence.model import (
    ClockChange,
    Counted,
    Dst,
    Expansion,
    Explanation,
    Fold,
    Gap,
    Instant,
    Mark,
    Recurrence,
    Subdaily,
)

STEPS = 20_000  # about 50 ms


def parse(
    schedule: object,
    *,
    now: datetime,
    start_time: datetime | None = None,
    timezone: str | None = None,
    dst: Dst = Dst(),
    subdaily: Subdaily = Subdaily.ELAPSED,
) -> Recurrence:
    """What a caller wrote, as the canonical recurrence; Invalid points at the part that cannot be.

    Does not look whether it ever fires (`check`). `start_time` with an offset is an instant, without one wall time in
    `timezone`; both may come from a DTSTART line, and default to `now` and UTC.
    """
    raise NotImplementedError


def check(recurrence: Recurrence, now: datetime) -> None:
    """Refuse, as Invalid with the reason, what has no instant within ten years of its DTSTART nor of `now`."""
    raise NotImplementedError


def settle(recurrence: Recurrence, steps: int = STEPS) -> Recurrence:
    """One pass at counting out the rules with COUNT. Repeat until `is_settled`, then store it: only then does the cost
    of a window not depend on the age of the recurrence."""
    raise NotImplementedError


def is_settled(recurrence: Recurrence) -> bool:
    """No rule with COUNT is left to be counted out."""
    raise NotImplementedError


def expand(
    recurrence: Recurrence, since: datetime, until: datetime | None, limit: int, steps: int = STEPS
) -> Expansion:
    """The instants of the window [since, until), in order, each once, at most `limit`.

    `until` None is ten years after `since`, or after DTSTART if that is later.
    """
    raise NotImplementedError


def start(recurrence: Recurrence) -> datetime:
    """DTSTART as an instant, whatever `dst` says of it."""
    raise NotImplementedError


def local(recurrence: Recurrence, instant: datetime) -> datetime:
    """The instant as the clocks in the zone of the recurrence show it, with its offset."""
    raise NotImplementedError


def describe(recurrence: Recurrence) -> str:
    raise NotImplementedError


def explain(recurrence: Recurrence, instant: datetime) -> Explanation:
    raise NotImplementedError


def zone(name: str) -> ZoneInfo:
    """Invalid(field="timezone"), with the nearest names, if there is none."""
    raise NotImplementedError


def timezones() -> Sequence[str]:
    raise NotImplementedError


def tzdata_version() -> str:
    """Such as `2026b`."""
    raise NotImplementedError


def clock_changes(timezone: str, since: datetime, until: datetime, limit: int = 100) -> tuple[ClockChange, ...]:
    """When the offset of the zone changes within [since, until), at most `limit` changes."""
    raise NotImplementedError
