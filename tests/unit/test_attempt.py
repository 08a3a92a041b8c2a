"""What an attempt knows, and what it tells of itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from qhronos.core.attempt import Delivery, Handed
from tests.fakes import FakeClock

DELIVERY = Delivery(
    event_id=UUID(int=1),
    occurrence_id="occ_1",
    name="",
    description="",
    due_at=FakeClock().now(),
    attempt=2,
    metadata=msgspec.Raw(b"{}"),
    tags=(),
    secrets=("new", "old"),
    header_secrets={"authorization": "t0ken"},
    other_secrets=("default",),
    timeout=timedelta(seconds=1),
)


def test_everything_that_must_not_come_back_is_known():
    assert ("new", "old", "t0ken", "default") == DELIVERY.confidential


def test_it_does_not_show_its_secrets():
    assert "Delivery(occ_1, attempt 2)" == repr(DELIVERY) == str(DELIVERY)


def test_what_has_no_fallback_is_never_taken_back():
    now = FakeClock().now()
    handed = Handed(client="acme", frame="{}", ttl=timedelta(days=1), max_backlog=9, ack_timeout=30)
    falling_back = msgspec.structs.replace(handed, fallback_after=timedelta(seconds=60))

    assert handed.fallback_at(now) is None
    assert now + timedelta(seconds=60) == falling_back.fallback_at(now)


@pytest.mark.parametrize(("before", "left"), [(20, 40), (60, 0), (90, 0)])
def test_what_is_handed_over_again_is_taken_back_as_long_after_the_first_time(before, left):
    now = FakeClock().now()
    handed = Handed(
        client="acme",
        frame="{}",
        ttl=timedelta(days=1),
        max_backlog=9,
        ack_timeout=30,
        fallback_after=timedelta(seconds=60),
        first_at=now - timedelta(seconds=before),
    )

    assert now + timedelta(seconds=left) == handed.fallback_at(now)
