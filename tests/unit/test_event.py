from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.event import (
    Misfire,
    MisfirePolicy,
    Overlap,
    Policies,
    check_policies,
    delay,
    expired,
    in_catchup,
    missed,
    most_caught_up,
)
from qhronos.errors import Invalid

GRACE = timedelta(seconds=60)
LATE = timedelta(minutes=5)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("policy", list(MisfirePolicy))
def test_what_is_within_the_grace_period_fires_under_every_policy(policy):
    assert missed(Misfire(policy=policy), GRACE, GRACE, later=9) is None


@pytest.mark.parametrize(
    ("misfire", "later", "reason"),
    [
        (Misfire(), 9, None),
        (Misfire(max_catchup=3), 2, None),
        (Misfire(max_catchup=3), 3, "missed: only the latest 3 are caught up"),
        (Misfire(policy=MisfirePolicy.FIRE_LATEST), 0, None),
        (Misfire(policy=MisfirePolicy.FIRE_LATEST), 1, "missed: a later occurrence fires instead"),
        (Misfire(policy=MisfirePolicy.SKIP), 0, "missed: misfire policy skip"),
    ],
)
def test_what_was_missed_is_judged_by_the_policy(misfire, later, reason):
    assert reason == missed(misfire, LATE, GRACE, later=later)


def test_nothing_older_than_the_catch_up_window_fires():
    late = timedelta(days=1, seconds=1)

    assert missed(Misfire(), late, GRACE, later=0) == "missed: older than the catch-up window"


def test_the_catch_up_window_ends_now():
    assert NOW - timedelta(days=1) == in_catchup(Misfire(), NOW)


@pytest.mark.parametrize(
    ("policies", "field"),
    [
        (Policies(overlap=Overlap.SKIP, ordering_key="a"), "ordering_key"),
        (Policies(overlap=Overlap.QUEUE_ALL, concurrency_key="a"), "concurrency_key"),
        (Policies(concurrency_key="a", ordering_key="a"), "ordering_key"),
        (Policies(concurrency_limit=2), "concurrency_limit"),
        (Policies(flex_window=86_400, jitter=1), "jitter"),
    ],
)
def test_what_cannot_be_together_is_refused_with_its_field(policies, field):
    with pytest.raises(Invalid) as refused:
        check_policies(policies)

    assert field == refused.value.field


@pytest.mark.parametrize(
    "policies",
    [
        Policies(),
        Policies(overlap=Overlap.SKIP, priority=10),
        Policies(concurrency_key="a", concurrency_limit=5, jitter=9),
    ],
)
def test_what_can_be_together_is_taken(policies):
    check_policies(policies)


@given(event_id=st.uuids(), flex=st.floats(0, 1000), jitter=st.floats(0, 1000), days=st.integers(0, 1000))
def test_what_an_occurrence_is_moved_by_is_the_same_each_time_and_lies_within(event_id, flex, jitter, days):
    policies, due_at = Policies(flex_window=flex, jitter=jitter), NOW + timedelta(days=days)
    moved = delay(policies, event_id, due_at)

    assert moved == delay(policies, event_id, due_at)
    assert 0 <= moved.total_seconds() <= flex + jitter + 0.001


def test_a_window_moves_all_occurrences_alike_and_jitter_each_by_itself():
    event_id = UUID(int=7)
    dues = [NOW + timedelta(hours=hours) for hours in range(50)]

    assert 1 == len({delay(Policies(flex_window=3600), event_id, due) for due in dues})
    assert 45 < len({delay(Policies(jitter=3600), event_id, due) for due in dues})
    assert 45 < len({delay(Policies(flex_window=3600), UUID(int=number), NOW) for number in range(50)})
    assert timedelta() == delay(Policies(), event_id, NOW)


def test_an_occurrence_expires_when_its_time_is_up():
    assert not expired(Policies(), NOW, NOW + timedelta(days=99))
    assert not expired(Policies(expires_after=60), NOW, NOW + timedelta(seconds=60))
    assert expired(Policies(expires_after=60), NOW, NOW + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("misfire", "most"),
    [
        (Misfire(), None),
        (Misfire(max_catchup=3), 3),
        (Misfire(policy=MisfirePolicy.FIRE_LATEST), 1),
        (Misfire(policy=MisfirePolicy.SKIP), 0),
    ],
)
def test_as_many_are_caught_up_as_the_policy_says(misfire, most):
    assert most == most_caught_up(misfire)
