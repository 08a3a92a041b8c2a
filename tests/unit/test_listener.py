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
