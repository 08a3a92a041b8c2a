import uuid
from datetime import UTC, datetime, timedelta

import msgspec

from qhronos.engine.held import Held
from qhronos.store.pending import Claimed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def claimed(fire_at, event_id=None):
    empty = msgspec.Raw(b"{}")
    return Claimed(
        event_id=event_id or uuid.uuid4(),
        due_at=fire_at,
        fire_at=fire_at,
        meant_at=fire_at,
        version=1,
        origin="rule",
        attempt=0,
        starts=0,
        losses=0,
        fence=1,
        name="",
        description="",
        action=empty,
        tags=[],
        policies=empty,
        hmac_plain=None,
        hmac_sealed=None,
        hmac_previous=None,
        hmac_previous_until=None,
        headers_sealed=None,
        orphaned=False,
        metadata=empty,
    )


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_what_is_held_comes_out_in_order_and_never_early():
    held = Held()
    for seconds in (3, 1, 2, 5):
        held.add(claimed(after(seconds)), 0.0)

    due = [holding.fire_at for holding in held.pop_due(after(3), 10)]

    assert [after(1), after(2), after(3)] == due
    assert after(5) == held.next_at()


def test_of_what_is_due_at_once_no_more_come_out_than_asked_for():
    held = Held()
    for _ in range(5):
        held.add(claimed(NOW), 0.0)

    assert 2 == len(held.pop_due(NOW, 2))
    assert 3 == len(held)


def test_removing_an_event_leaves_the_others_in_order():
    held, gone = Held(), uuid.uuid4()
    for seconds in (3, 1, 2):
        held.add(claimed(after(seconds)), 0.0)
        held.add(claimed(after(seconds), gone), 0.0)

    removed = held.remove({gone})

    assert 3 == len(removed)
    assert [after(1), after(2), after(3)] == [holding.fire_at for holding in held.pop_due(after(9), 10)]


def test_an_empty_heap_waits_for_nothing():
    assert Held().next_at() is None
