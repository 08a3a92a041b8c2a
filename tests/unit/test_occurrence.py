from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.occurrence import (
    NEXT,
    OPEN,
    Identity,
    Status,
    from_member,
    member,
    occurrence_id,
    parse_occurrence_id,
)
from qhronos.errors import NotFound

FIRST, LAST = datetime(1900, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001 - Hypothesis adds the zone itself
instants = st.datetimes(min_value=FIRST, max_value=LAST, timezones=st.just(UTC))
EVENT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
DUE = datetime(2026, 3, 8, 7, 30, 0, 123456, tzinfo=UTC)


@given(st.uuids(), instants)
def test_an_id_reads_back_into_what_it_was_made_of(event_id, due_at):
    identity = Identity(event_id, due_at)

    assert identity == parse_occurrence_id(occurrence_id(identity))
    assert identity == from_member(member(identity))


def test_the_same_instant_in_another_zone_is_the_same_occurrence():
    elsewhere = DUE.astimezone(timezone(timedelta(hours=-5)))

    assert occurrence_id(Identity(EVENT, DUE)) == occurrence_id(Identity(EVENT, elsewhere))


def test_an_id_names_its_occurrence():
    assert Identity(EVENT, DUE) == parse_occurrence_id(occurrence_id(Identity(EVENT, DUE)))


def test_an_id_is_a_short_word_of_plain_characters():
    text = occurrence_id(Identity(EVENT, DUE))

    assert len(text) == 43
    assert text.removeprefix("occ_").isalnum()
    assert text == text.lower()


KNOWN = occurrence_id(Identity(EVENT, DUE))


@pytest.mark.parametrize(
    "text", ["", "occ_", "7", "occ_zzz", "occ_" + "7" * 39, KNOWN.upper(), "occ_" + KNOWN.removeprefix("occ_").upper()]
)
def test_what_is_no_id_names_no_occurrence(text):
    with pytest.raises(NotFound):
        parse_occurrence_id(text)


def test_every_status_has_its_moves_and_can_be_reached():
    reached = {status for moves in NEXT.values() for status in moves}

    assert set(Status) == set(NEXT)
    assert set(Status) == reached


def test_a_closed_occurrence_only_opens_again_by_replay_and_a_dead_letter_may_be_purged():
    assert {NEXT[status] & OPEN for status in set(Status) - OPEN} == {frozenset({Status.SCHEDULED})}
    assert {status for status in set(Status) - OPEN if NEXT[status] - OPEN} == {Status.FAILED}
