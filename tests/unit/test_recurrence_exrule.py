"""EXRULE: what imported calendars still say, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.recurrence import check, describe, expand, explain, is_settled, parse, settle, to_text
from qhronos.errors import Invalid
from tests.unit.test_recurrence_expand import instants

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGINS = datetime(2026, 1, 1, 9, tzinfo=UTC)


def less(rule: object, *exrule: str, **fields: object):
    made = parse(rule, now=NOW, start_time=BEGINS)
    return msgspec.structs.replace(made, exrule=exrule, **fields)


def days(recurrence, count: int = 5) -> list[str]:
    return [f"{one.at:%m-%d}" for one in expand(recurrence, BEGINS, None, count).instants]


def test_what_the_rule_gives_and_the_exrule_too_is_taken_away():
    assert ["01-01", "01-02", "01-05", "01-06", "01-07"] == days(less("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SA,SU"))


def test_several_take_away_together_and_dates_as_well():
    schedule = {"rrule": ["FREQ=DAILY;COUNT=6"], "rdate": ["2026-01-09T09:00:00", "2026-01-10T09:00:00"]}

    assert ["01-02", "01-05", "01-09"] == days(
        less(schedule, "FREQ=WEEKLY;BYDAY=TH,SA,SU", "FREQ=DAILY;INTERVAL=2;BYDAY=SU", exdate=("2026-01-06",))
    )[:3]


def test_it_takes_away_from_a_count_without_giving_back():
    assert ["01-02", "01-04"] == days(less("FREQ=DAILY;COUNT=4", "FREQ=DAILY;INTERVAL=2"))


def test_a_count_of_its_own_ends_it():
    assert ["01-03", "01-04", "01-05", "01-06", "01-07"] == days(less("FREQ=DAILY", "FREQ=DAILY;COUNT=2"))


def test_a_single_instant_can_be_taken_away():
    assert [] == days(less(None, "FREQ=DAILY"))


def test_counting_it_out_is_part_of_settling():
    recurrence = less("FREQ=DAILY", "FREQ=DAILY;COUNT=20000")

    settled = recurrence
    while not is_settled(settled):
        settled = settle(settled, 10_000)

    assert not is_settled(recurrence)
    assert BEGINS + timedelta(days=19_999) == settled.counted[1].until
    assert days(less("FREQ=DAILY", "FREQ=DAILY;UNTIL=20801003T090000Z")) == days(settled)


def test_a_pass_that_cannot_finish_goes_on_where_it_stopped():
    recurrence = less("FREQ=HOURLY", "FREQ=HOURLY;BYDAY=MO,TU,WE,TH,FR")
    since, found = BEGINS, []
    for _ in range(200):
        step = expand(recurrence, since, BEGINS + timedelta(days=14), 1000, 100)
        found += step.instants
        since = step.covered
        if step.complete:
            break

    assert step.complete
    assert instants(recurrence, BEGINS, BEGINS + timedelta(days=14)) == [one.at for one in found]
    assert 96 == len(found)


@given(a=st.integers(1, 9), b=st.integers(1, 9), steps=st.integers(100, 400), unit=st.sampled_from(["DAILY", "HOURLY"]))
def test_it_is_the_difference_of_two_sets_however_small_the_passes(a, b, steps, unit):
    until = BEGINS + timedelta(days=20)
    one, other = (set(instants(less(f"FREQ={unit};INTERVAL={n}"), BEGINS, until)) for n in (a, b))
    since, found = BEGINS, []
    while since < until:
        step = expand(less(f"FREQ={unit};INTERVAL={a}", f"FREQ={unit};INTERVAL={b}"), since, until, 1000, steps)
        found += [instant.at for instant in step.instants]
        assert step.covered > since
        since = step.covered

    assert sorted(one - other) == found


def test_what_leaves_nothing_is_refused():
    with pytest.raises(Invalid, match="happens too seldom to be found; EXDATE, EXRULE"):
        check(less("FREQ=MINUTELY", "FREQ=MINUTELY"), NOW)
    with pytest.raises(Invalid, match="never happens within ten years; EXDATE, EXRULE"):
        check(less("FREQ=MONTHLY", "FREQ=MONTHLY"), NOW)


def test_it_is_named_as_the_reason():
    recurrence = less("FREQ=DAILY", "FREQ=YEARLY;BYMONTH=3", "FREQ=WEEKLY;BYDAY=SA")

    assert "EXRULE: FREQ=WEEKLY;BYDAY=SA takes it away" == explain(recurrence, BEGINS + timedelta(days=2)).reason


def test_it_is_printed_and_kept():
    recurrence = less("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SA")

    assert "EXRULE:FREQ=WEEKLY;BYDAY=SA" in to_text(recurrence).splitlines()
    assert "but not by the rule FREQ=WEEKLY;BYDAY=SA" in describe(recurrence)
    assert recurrence == msgspec.json.decode(msgspec.json.encode(recurrence), type=type(recurrence))
