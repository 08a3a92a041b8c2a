from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.ids import RANDOM_BYTES, time_ordered_id

instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone comes with `timezones`
randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(instants, randomness, randomness)
def test_the_later_id_is_the_greater(instant, one, other):
    assert time_ordered_id(instant, one) < time_ordered_id(instant + timedelta(milliseconds=1), other)


@given(instants, randomness)
def test_an_id_is_a_uuid_of_version_7(instant, random):
    made = time_ordered_id(instant, random)

    assert (7, "specified in RFC 4122") == (made.version, made.variant)


def test_ids_of_one_instant_differ_by_chance():
    now = datetime(2026, 3, 1, tzinfo=UTC)

    assert time_ordered_id(now, b"a" * RANDOM_BYTES) != time_ordered_id(now, b"b" * RANDOM_BYTES)
