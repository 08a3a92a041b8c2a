"""COUNT of a rule, said apart from it: at most so many occurrences."""

from __future__ import annotations

import msgspec

from qhronos.core.recurrence.model import Recurrence
from qhronos.core.recurrence.rule import from_text, to_text
from qhronos.errors import Invalid

FIELD = "max_occurrences"


def most_of(recurrence: Recurrence) -> int | None:
    """None: it is not counted, or not by one rule."""
    return from_text(recurrence.rrule[0]).count if len(recurrence.rrule) == 1 else None


def with_most(recurrence: Recurrence, most: int | None) -> Recurrence:
    """The recurrence with this COUNT, or with none. Raises Invalid where that cannot be said."""
    if most is None and most_of(recurrence) is None:
        return recurrence
    if len(recurrence.rrule) != 1:
        what = "one rule; the schedule has several" if recurrence.rrule else "a rule; this happens once as it is"
        raise Invalid(f"{FIELD}: counts {what}", field=FIELD)
    rule = from_text(recurrence.rrule[0])
    if rule.until is not None:
        raise Invalid(f"{FIELD}: the rule ends with UNTIL; leave one of the two out", field=FIELD)
    counted = to_text(msgspec.structs.replace(rule, count=most))
    return msgspec.structs.replace(recurrence, rrule=(counted,), counted=())
