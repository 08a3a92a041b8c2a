"""How close to each other the instants of a recurrence may come."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.expansion import expand, start
from qhronos.core.recurrence.model import Recurrence
from qhronos.errors import Invalid

LOOKED_AT = 1_000  # instants
SECOND = timedelta(seconds=1)


def refuse_crowded(recurrence: Recurrence, now: datetime, least: timedelta) -> None:
    """Refuse, as Invalid, what fires twice within less than `least`.

    Looked at are the first LOOKED_AT instants from `now` on, or from DTSTART if that is later, as far as one pass comes: a
    rule that is crowded only after them is let in. Rules work in whole seconds, so up to one second there is nothing to
    look for.
    """
    if least <= SECOND:
        return
    found = expand(recurrence, max(now, start(recurrence)), None, LOOKED_AT).instants
    for one, next_one in itertools.pairwise(found):
        apart = next_one.at - one.at
        if apart < least:
            raise Invalid(
                f"schedule: fires at {stamps.iso(one.at)} and {stamps.iso(next_one.at)}, {_seconds(apart)} apart; "
                f"at least {_seconds(least)} are required",
                field="schedule",
            )


def _seconds(span: timedelta) -> str:
    return f"{span / SECOND:.12g} s"
