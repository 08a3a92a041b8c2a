"""What a local time means in a recurrence, whatever it meant by other rules of its zone."""

from __future__ import annotations

from datetime import datetime

from qhronos.core.recurrence.expansion import compiled_of, expand
from qhronos.core.recurrence.model import Instant, Recurrence, Subdaily
from qhronos.core.recurrence.rule import Freq, from_text
from qhronos.core.recurrence.zones import SECOND, instant, wall_seconds

MOST = 10_000  # instants between the two passes of a clock that is set back, which is not by three hours


def at_wall(recurrence: Recurrence, wall: datetime) -> tuple[Instant, ...]:
    """The instants that the recurrence asks for by this local time: none, one, or both passes of the clock."""
    passes = compiled_of(recurrence).face.passes(wall_seconds(wall))
    found = expand(recurrence, instant(min(passes)), instant(max(passes)) + SECOND, MOST)
    return tuple(one for one in found.instants if one.wall == wall)


def is_elapsed(recurrence: Recurrence) -> bool:
    """Whether all of its rules run in real time from DTSTART on, and none by the clock."""
    return bool(recurrence.rrule) and all(_elapsed(recurrence))


def runs_in_real_time(recurrence: Recurrence) -> bool:
    """Whether any does: then a local time does not tell an instant of it."""
    return any(_elapsed(recurrence))


def _elapsed(recurrence: Recurrence) -> list[bool]:
    stepped = recurrence.subdaily is Subdaily.ELAPSED
    return [stepped and from_text(text).freq >= Freq.HOURLY for text in recurrence.rrule]
