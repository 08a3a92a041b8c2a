"""COUNT, said apart from the rule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qhronos.core.recurrence import parse
from qhronos.core.recurrence.counting import most_of, with_most
from qhronos.errors import Invalid

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def counted(schedule, most):
    return with_most(parse(schedule, now=NOW), most)


def test_a_rule_is_counted_counted_anew_and_not_any_more():
    ten = counted("FREQ=DAILY", 10)

    assert (("FREQ=DAILY;COUNT=10",), 10) == (ten.rrule, most_of(ten))
    assert ("FREQ=DAILY;COUNT=3",) == with_most(ten, 3).rrule
    assert ("FREQ=DAILY",) == with_most(ten, None).rrule


@pytest.mark.parametrize("schedule", ["FREQ=DAILY", None, {"rrule": ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO"]}])
def test_what_is_not_counted_stays_as_it_is(schedule):
    plain = parse(schedule, now=NOW)

    assert most_of(plain) is None
    assert plain is with_most(plain, None)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        (None, "counts a rule; this happens once as it is"),
        ({"rrule": ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO"]}, "counts one rule; the schedule has several"),
        ("FREQ=DAILY;UNTIL=20270101", "the rule ends with UNTIL; leave one of the two out"),
    ],
)
def test_what_cannot_be_counted_is_refused(schedule, why):
    with pytest.raises(Invalid, match=why) as refused:
        counted(schedule, 3)

    assert "max_occurrences" == refused.value.field
