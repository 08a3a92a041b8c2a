"""What another rule would change: the instants that come, go and stay."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from qhronos.core.recurrence.expansion import expand_far
from qhronos.core.recurrence.model import Instant, Recurrence


class Diff(NamedTuple):
    """`complete`: the window holds no other. If it is not, all is told up to where the shorter side came."""

    added: tuple[Instant, ...]
    removed: tuple[Instant, ...]
    kept: tuple[Instant, ...]
    complete: bool


def diff(old: Recurrence, new: Recurrence, since: datetime, until: datetime, limit: int) -> Diff:
    """What the window [since, until) loses and gains by `new`, from at most `limit` instants of either."""
    before, after = expand_far(old, since, until, limit), expand_far(new, since, until, limit)
    told = min(before.covered, after.covered)
    was = {instant.at: instant for instant in before.instants if instant.at < told}
    becomes = {instant.at: instant for instant in after.instants if instant.at < told}
    return Diff(
        added=tuple(instant for at, instant in becomes.items() if at not in was),
        removed=tuple(instant for at, instant in was.items() if at not in becomes),
        kept=tuple(instant for at, instant in becomes.items() if at in was),
        complete=before.complete and after.complete,
    )
