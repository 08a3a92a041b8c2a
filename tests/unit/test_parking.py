from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from qhronos.engine import parking
from qhronos.engine.parking import Parking
from qhronos.store.pending import Entry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = "https://example.com"


def entry(number: int) -> Entry:
    return Entry(UUID(int=number), NOW, NOW + timedelta(seconds=number))


@pytest.fixture
def woken() -> list[None]:
    return []


@pytest.fixture
def lot(woken) -> Parking:
    return Parking(lambda: woken.append(None))


def test_who_waits_is_called_in_turn(lot, woken):
    for number in range(3):
        lot.add(PLACE, entry(number))
    lot.room("https://other.example.com", 5)

    assert [] == lot.take_called()
    lot.room(PLACE, 2)

    assert [entry(0), entry(1)] == lot.take_called()
    assert [] == lot.take_called()
    lot.room(PLACE, 1)
    assert [entry(2)] == lot.take_called()
    assert len(woken) == 2


def test_room_that_comes_before_those_who_were_turned_away_is_theirs(lot):
    lot.room(PLACE, 2)
    for number in range(3):
        lot.add(PLACE, entry(number))

    assert [entry(0), entry(1)] == lot.take_called()


def test_who_comes_again_keeps_its_turn_and_is_called_by_its_new_instant(lot):
    lot.add(PLACE, entry(0))
    lot.add(PLACE, entry(1))
    again = entry(0)._replace(fire_at=NOW + timedelta(minutes=1))
    lot.add(PLACE, again)
    lot.room(PLACE, 2)

    assert [again, entry(1)] == lot.take_called()


def test_of_many_the_oldest_are_forgotten(lot, monkeypatch):
    monkeypatch.setattr(parking, "MOST_WAITING", 1)
    for number in range(3):
        lot.add(PLACE, entry(number))
    lot.room(PLACE, 1)
    lot.add(PLACE, entry(3))
    lot.room(PLACE, 1)

    assert [entry(2), entry(3)] == lot.take_called()


def test_nothing_is_kept_of_places_where_nobody_waits(lot):
    lot.add(PLACE, entry(0))
    lot.room(PLACE, 2)
    lot.add(PLACE, entry(1))

    assert (({}, {}), 0) == ((lot._waiting, lot._room), lot._count)
