"""What listeners are told and what is remembered of it, without a socket."""

import json
from itertools import combinations, product
from uuid import UUID

import msgspec
import pytest

from qhronos.api.auth import Access, Caller
from qhronos.gateway import listener
from qhronos.gateway.frames import Head, Hello, with_more
from qhronos.gateway.listener import Audience, Ears, Listener

EVENT = UUID(int=7)


def raw(**more):
    frame = {"type": "event", "kind": "due", "event_id": str(EVENT), "tags": ["tea"]} | more
    return msgspec.Raw(json.dumps(frame).encode())


def remembered(audience):
    return [telling.offset for telling in audience._told]


def test_frames_have_numbers_up_to_the_last():
    audience = Audience()
    audience.begin("e", 5)
    audience.tell("e", 8, [raw(), raw(), raw()], 0.0)

    assert ([6, 7, 8], 8) == (remembered(audience), audience.offset)
    assert {"epoch": "e", "offset": 6} == {
        name: json.loads(audience._told[0].frame)[name] for name in ("epoch", "offset")
    }


def test_what_was_told_before_is_not_a_gap():
    audience = Audience()
    audience.begin("e", 5)
    audience.catch_up("e", 4)

    assert 5 == audience.offset


def test_what_was_on_its_way_when_listening_began_is_not_told():
    audience = Audience()
    audience.begin("e", 5)
    audience.tell("e", 6, [raw(), raw()], 0.0)

    assert ([6], 6) == (remembered(audience), audience.offset)


@pytest.mark.parametrize(("most", "later", "left"), [(2, 0.0, [7, 8]), (10, 301.0, [8])])
def test_only_so_much_and_so_long_is_remembered(monkeypatch, most, later, left):
    monkeypatch.setattr(listener, "REMEMBERED", most)
    audience = Audience()
    audience.begin("e", 5)
    audience.tell("e", 7, [raw(), raw()], 0.0)
    audience.tell("e", 8, [raw()], later)

    assert (left, left[0] - 1) == (remembered(audience), audience._floor)


def test_further_fields_are_added_to_what_is_encoded():
    assert {"a": 1, "b": True} == json.loads(with_more(b'{"a":1}', {"b": True}))


def test_of_what_is_large_less_is_remembered(monkeypatch):
    monkeypatch.setattr(listener, "REMEMBERED_BYTES", 2_500, raising=False)
    audience = Audience()
    audience.begin("e", 0)
    audience.tell("e", 5, [raw(metadata="x" * 1_000) for _ in range(5)], 0.0)
    audience.tell("e", 6, [raw()], 0.0)

    assert [4, 5, 6] == remembered(audience)


SUBSETS = [frozenset(tags) for size in range(3) for tags in combinations("abc", size)]


@pytest.mark.parametrize("scope", [None, *SUBSETS])
def test_who_wants_a_frame_is_found_by_its_tags(scope):
    access = Access.ADMIN if scope is None else Access.READ
    caller = Caller(subject="tester", token_id=None, access=access, scope=scope or frozenset())
    for tags, match in product(SUBSETS, ("any", "all")):
        hello = Hello(type="subscribe", topics=("events",), tags=tuple(tags), tags_match=match)
        one = Listener(None, caller, hello)
        ears = Ears()
        ears.add(one)
        for told in SUBSETS:
            head = Head("change", "created", EVENT, tuple(told))
            is_seen = scope is None or bool(scope & told)
            is_asked_for = not tags or (tags <= told if match == "all" else bool(tags & told))

            assert (is_seen and is_asked_for) == one.wants(head)
            assert not one.wants(head) or {one} == ears.near(head)
        ears.remove(one)

        assert not ears.near(Head("change", "created", EVENT, ("a", "b", "c")))


class Heard:
    """A peer that notes what it is sent."""

    full_since = None
    is_open = True
    unsent = 0

    def __init__(self):
        self.all = []

    def tell(self, telling):
        self.all.append(telling.offset)

    def say(self, frame):
        self.all.append((frame.offset, frame.missed))


MASTER = Caller(subject="tester", token_id=None, access=Access.ADMIN, scope=frozenset())


def joined(audience, epoch, offset):
    """A listener that has come back, with what it has heard up to there."""
    peer = Heard()
    one = Listener(peer, MASTER, Hello(type="tag-listener", tags=("tea",)))
    assert offset == audience.goes_on(epoch, offset)
    reached = audience.repeat(one, epoch, offset)
    audience.add(one)
    return peer.all, reached


def test_who_has_heard_more_elsewhere_is_told_what_comes_after_it():
    audience = Audience()
    audience.begin("e", 5)
    audience.tell("e", 8, [raw(), raw(), raw()], 0.0)
    heard, reached = joined(audience, "e", 10)
    audience.tell("e", 12, [raw()] * 4, 0.0)

    assert (10, [11, 12]) == (reached, heard)


def test_who_has_heard_more_elsewhere_has_missed_only_what_comes_after_it():
    audience = Audience()
    audience.begin("e", 5)
    behind, _ = joined(audience, "e", 5)
    level, _ = joined(audience, "e", 8)
    ahead, _ = joined(audience, "e", 10)
    audience.catch_up("e", 8)
    audience.catch_up("e", 12)

    assert ([(8, 3), (12, 4)], [(12, 4)], [(12, 2)]) == (behind, level, ahead)


def test_numbers_that_begin_anew_are_a_gap_for_who_was_ahead_as_well():
    audience = Audience()
    audience.begin("e", 5)
    heard, _ = joined(audience, "e", 10)
    audience.tell("f", 2, [raw()], 0.0)

    assert [(1, None), 2] == heard


@pytest.mark.parametrize("strange", [b'{"type":"change"}', b'{"type":"change","kind":7}', b"[1]", b'"\xff"'])
def test_what_cannot_be_read_is_wanted_by_nobody_and_has_its_number(strange):
    audience = Audience()
    audience.begin("e", 5)
    heard, _ = joined(audience, "e", 5)
    audience.tell("e", 8, [raw(), msgspec.Raw(strange), raw()], 0.0)

    assert ([6, 8], [6, 7, 8]) == (heard, remembered(audience))
    assert [6, 8] == joined(audience, "e", 5)[0]
