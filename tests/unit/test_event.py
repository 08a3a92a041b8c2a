from datetime import UTC, datetime, timedelta

import pytest

from qhronos.core.event import Misfire, MisfirePolicy, in_catchup, missed

GRACE = timedelta(seconds=60)
LATE = timedelta(minutes=5)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("policy", list(MisfirePolicy))
def test_what_is_within_the_grace_period_fires_under_every_policy(policy):
    assert missed(Misfire(policy=policy), GRACE, GRACE, superseded=True) is None


@pytest.mark.parametrize(
    ("policy", "superseded", "reason"),
    [
        (MisfirePolicy.FIRE_ALL, True, None),
        (MisfirePolicy.FIRE_LATEST, False, None),
        (MisfirePolicy.FIRE_LATEST, True, "missed: a later occurrence fires instead"),
        (MisfirePolicy.SKIP, False, "missed: misfire policy skip"),
    ],
)
def test_what_was_missed_is_judged_by_the_policy(policy, superseded, reason):
    assert reason == missed(Misfire(policy=policy), LATE, GRACE, superseded=superseded)


def test_nothing_older_than_the_catch_up_window_fires():
    late = timedelta(days=1, seconds=1)

    assert missed(Misfire(), late, GRACE, superseded=False) == "missed: older than the catch-up window"


def test_the_catch_up_window_ends_now():
    assert NOW - timedelta(days=1) == in_catchup(Misfire(), NOW)
