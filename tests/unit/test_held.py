import uuid
from datetime import UTC, datetime, timedelta

import msgspec

from qhronos.core.event import Policies
from qhronos.core.retry import Retry
from qhronos.engine.deliver import Work
from qhronos.engine.held import Held, Holding, Recall
from qhronos.engine.ready import Ready
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


class Act:
    type = "test"

    def __init__(self, place):
        self.place = place


def work(fire_at, event_id=None, place=None, priority=5):
    return Work(claimed(fire_at, event_id), Policies(priority=priority), Retry(), Act(place))


def holding(number, place=None, priority=5, event_id=None):
    return Holding(NOW, number, work(NOW, event_id, place, priority), 0.0)


def taken(ready, now=0.0):
    """The numbers of all that may start."""
    return [one.number for one in iter(lambda: ready.take(now), None)]


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_what_is_held_comes_out_in_order_and_never_early():
    held = Held()
    for seconds in (3, 1, 2, 5):
        held.add(work(after(seconds)), 0.0)

    due = [holding.fire_at for holding in held.pop_due(after(3), 10)]

    assert [after(1), after(2), after(3)] == due
    assert after(5) == held.next_at()


def test_of_what_is_due_at_once_no_more_come_out_than_asked_for():
    held = Held()
    for _ in range(5):
        held.add(work(NOW), 0.0)

    assert 2 == len(held.pop_due(NOW, 2))
    assert 3 == len(held)


def test_a_recall_spares_what_was_at_hand_when_the_change_was_made():
    recalled, other = uuid.uuid4(), uuid.uuid4()
    recall = Recall(frozenset({recalled}), NOW)
    instants = [NOW, after(0.001), after(0.1), after(0.101)]

    assert [True, False, False, True] == [recall.takes(claimed(at, recalled)) for at in instants]
    assert not any(recall.takes(claimed(at, other)) for at in instants)


def test_a_recall_that_names_no_moment_takes_all():
    event_id = uuid.uuid4()

    assert Recall(frozenset({event_id})).takes(claimed(after(0.05), event_id))


def test_removing_an_event_leaves_the_others_in_order():
    held, gone = Held(), uuid.uuid4()
    for seconds in (3, 1, 2):
        held.add(work(after(seconds)), 0.0)
        held.add(work(after(seconds), gone), 0.0)

    removed = held.remove(Recall(frozenset({gone})))

    assert 3 == len(removed)
    assert [after(1), after(2), after(3)] == [holding.fire_at for holding in held.pop_due(after(9), 10)]


def test_an_empty_heap_waits_for_nothing():
    assert Held().next_at() is None


def test_the_highest_priority_goes_first_and_then_who_came_first():
    ready = Ready(lambda _place: 1)
    for number, priority in enumerate((5, 9, 5, 1)):
        ready.add(holding(number, priority=priority))

    assert [1, 0, 2, 3] == taken(ready)


def test_who_has_no_room_at_its_destination_stands_aside_and_delays_no_other():
    ready = Ready(lambda _place: 2)
    for number in range(5):
        ready.add(holding(number, place="full", priority=9))
    ready.add(holding(5, place="free"))

    assert [0, 1, 5] == taken(ready)
    assert 3 == len(ready)


def test_whoever_ends_makes_room_for_the_next_in_order():
    ready = Ready(lambda _place: 1)
    first, *others = [holding(number, place="here") for number in range(4)]
    for one in (first, others[2], others[0], others[1]):
        ready.add(one)
    assert first is ready.take(0.0)
    assert [] == taken(ready)

    ends = []
    for one in (first, *others):
        room = ready.ended(one)
        ends.append((room, taken(ready)))

    assert [(False, [1]), (False, [2]), (False, [3]), (True, [])] == ends


def test_room_that_grows_is_used_at_once():
    room = {"here": 1}
    ready = Ready(room.__getitem__)
    first = holding(0, place="here")
    for one in (first, *(holding(number, place="here") for number in range(1, 5))):
        ready.add(one)
    ready.take(0.0)
    taken(ready)
    room["here"] = 3
    ready.ended(first)

    assert [1, 2, 3] == taken(ready)


def test_those_that_wait_where_nothing_ends_are_given_up_after_a_second():
    ready = Ready(lambda _place: 1)
    for number in range(4):
        ready.add(holding(number, place="stuck"))
    taken(ready, 10.0)

    assert [] == ready.give_up(10.9)
    assert [1, 2, 3] == [one.number for one in ready.give_up(11.0)]
    assert 0 == len(ready)
    assert not ready.add(holding(4, place="stuck"))
    assert ready.add(holding(5, place="other"))


def test_as_many_wait_as_a_destination_takes_in_half_a_minute():
    ready = Ready(lambda _place: 1)
    waiting = [holding(number, place="slow") for number in range(40)]
    for one in waiting:
        ready.add(one)
    taken(ready, 0.0)
    ready.ended(waiting[0])
    taken(ready, 0.5)

    given_up = [one.number for one in ready.give_up(1.0)]

    assert list(range(32, 40)) == given_up
    assert 30 == len(ready)


def test_a_destination_where_nothing_is_left_is_forgotten():
    ready = Ready(lambda _place: 1)
    only = holding(0, place="stuck")
    ready.add(only)
    ready.add(holding(1, place="stuck"))
    taken(ready, 0.0)
    ready.give_up(1.0)
    ready.ended(only)

    assert ready.add(holding(2, place="stuck"))
    assert [2] == taken(ready)


def test_a_destination_that_is_better_lets_more_wait():
    ready = Ready(lambda _place: 2)
    first, second = (holding(number, place="here") for number in range(2))
    for one in (first, second, holding(2, place="here")):
        ready.add(one)
    taken(ready, 0.0)
    ready.give_up(1.0)  # nothing has ended, and one is given up
    refused = ready.add(holding(3, place="here"))
    ready.ended(first)
    ready.add(holding(4, place="here"))
    taken(ready, 1.5)
    ready.give_up(2.0)

    assert not refused
    assert ready.add(holding(5, place="here"))


def test_a_destination_that_nothing_is_at_any_more_takes_all_again():
    """Its last request ended, what waited had its turn, and was recalled before a hand was free."""
    ready = Ready(lambda _place: 1)
    first, second, *others = [holding(number, place="here") for number in range(5)]
    for one in (first, second, *others):
        ready.add(one)
    taken(ready, 0.0)
    ready.ended(first)
    taken(ready, 0.5)
    ready.give_up(1.0)
    ready.ended(second)
    ready.clear()
    ready.give_up(2.0)
    ready.give_up(3.0)

    assert ready.add(holding(9, place="here"))


def test_what_comes_where_there_is_room_is_not_put_off_though_nothing_ended_lately():
    ready = Ready(lambda _place: 10)
    here = [holding(number, place="slow") for number in range(12)]
    for one in here:
        ready.add(one)
    taken(ready, 0.0)
    ready.give_up(1.0)
    for one in here[:4]:
        ready.ended(one)
    ready.give_up(2.0)
    ready.give_up(3.0)

    assert ready.add(holding(99, place="slow"))


def test_what_is_recalled_goes_wherever_it_waits():
    event_id = uuid.uuid4()
    ready = Ready(lambda _place: 1)
    for number in range(3):
        ready.add(holding(number, place="here", event_id=event_id if number else None))
    ready.take(0.0)
    ready.take(0.0)
    ready.add(holding(3, event_id=event_id))
    ready.add(holding(4))

    assert 3 == len(ready.remove(Recall(frozenset({event_id}))))
    assert 1 == len(ready)
    assert 1 == len(ready.clear())
    assert [] == taken(ready)
