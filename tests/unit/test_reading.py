from __future__ import annotations

import enum
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from qhronos.api.paging import Page, Pagination, Paging, decode_cursor, encode_cursor, page_of
from qhronos.api.reading import Moment, decode, parse_query, parse_uuid
from qhronos.errors import Invalid, Malformed, NotFound


class Colour(enum.StrEnum):
    RED = "red"


class Wanted(Paging, frozen=True, kw_only=True):
    tags: tuple[str, ...] = ()
    colours: Annotated[tuple[Colour, ...] | None, Meta(description="Some.")] = None
    since: Moment | None = None
    dry_run: bool = False


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    count: int
    name: str = ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Wanted()),
        ("limit=7", Wanted(limit=7)),
        ("tags=a,b", Wanted(tags=("a", "b"))),
        ("tags=a&tags=b", Wanted(tags=("a", "b"))),
        ("tags=a,b&tags=c", Wanted(tags=("a", "b", "c"))),
        ("tags=%20a%20,,b", Wanted(tags=("a", "b"))),
        ("colours=red", Wanted(colours=(Colour.RED,))),
        ("since=2026-03-01T12:00:00Z", Wanted(since=datetime(2026, 3, 1, 12, tzinfo=UTC))),
        ("dry_run=true", Wanted(dry_run=True)),
    ],
)
def test_a_query_is_read_as_a_struct(query, expected):
    assert expected == parse_query(query.encode(), Wanted)


def test_an_offset_whose_plus_was_not_escaped_is_understood():
    wanted = parse_query(b"since=2026-03-01T12:00:00+02:00", Wanted)

    assert datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))) == wanted.since


@pytest.mark.parametrize(
    ("query", "name", "told"),
    [
        ("tag=a", "tag", "unknown query parameter 'tag'; did you mean 'tags'?"),
        ("xyz=a", "xyz", "known are colours, cursor"),
        ("tags.a=b", "tags.a", "unknown query parameter"),
        ("limit=7&limit=8", "limit", "given twice"),
        ("limit=many", "limit", "expected int"),
        ("limit=0", "limit", "expected int >= 1"),
        ("limit=1000", "limit", "expected int <= "),
        ("colours=blue", "colours[0]", "invalid enum value 'blue'"),
        ("since=2026-03-01T12:00:00", "since", "with a timezone"),
        ("since=yesterday", "since", "RFC3339"),
        ("tags=a%00b", None, "NUL"),
        ("tags=%ff", None, "cannot be read"),
        ("tags=\u00fc", None, "cannot be read"),
        ("&".join(f"tags={number}" for number in range(300)), None, "cannot be read"),
    ],
)
def test_what_a_query_may_not_say_is_refused_by_name(query, name, told):
    with pytest.raises(Malformed) as refusal:
        parse_query(query.encode(), Wanted)

    assert name == refusal.value.field
    assert told in str(refusal.value)


def test_a_body_is_read_strictly():
    assert Body(count=7) == decode(b'{"count": 7}', Body)

    with pytest.raises(Invalid, match="count: expected int, got str"):
        decode(b'{"count": "7"}', Body)
    with pytest.raises(Invalid, match="colour: unknown field"):
        decode(b'{"count": 7, "colour": 1}', Body)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"NaN", b"\xff", b'{"count": 1} x', b'{"name": "\xed\xa0\x80", "count": 1}']
)
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(Malformed, match="Invalid JSON format"):
        decode(body, Body)


def test_a_body_nested_without_end_is_malformed_and_not_a_crash():
    with pytest.raises(Malformed, match="nested too deeply"):
        decode(b'{"a":' * 100_000, dict[str, object])


def test_nul_is_refused_because_postgres_cannot_keep_it():
    for body in (rb'{"name": "a\u0000", "count": 1}', rb'{"name": "\\\u0000", "count": 1}'):
        with pytest.raises(Malformed, match="NUL"):
            decode(body, Body)

    assert r"\u0000" == decode(rb'{"name": "\\u0000", "count": 1}', Body).name


def test_a_uuid_is_read_in_its_one_spelling():
    spelled = "01a1fbd8-d3d8-73a5-b8ec-9b21d3b54efd"

    assert UUID(spelled) == parse_uuid(spelled) == parse_uuid(spelled.upper())

    for other in ("", "7", spelled.replace("-", ""), f"{{{spelled}}}", f"urn:uuid:{spelled}", "\u0660" * 32):
        with pytest.raises(NotFound):
            parse_uuid(other)


@given(st.binary(max_size=200))
def test_no_query_breaks_the_reader(raw):
    with suppress(Malformed):
        parse_query(raw, Wanted)


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(), st.tuples(st.text(), st.integers(0, 10))))
def test_a_cursor_is_read_back(key):
    assert key == decode_cursor(encode_cursor(key), type(key))


@given(st.text(max_size=100))
def test_no_cursor_breaks_the_reader(text):
    with suppress(Malformed):
        decode_cursor(text, int)


def test_the_first_page_needs_no_cursor():
    assert decode_cursor(None, int) is None


def test_a_page_says_where_the_next_begins():
    first = page_of([1, 2, 3], 2, lambda row: row)
    last = page_of([3], 2, lambda row: row)

    assert Page([1, 2], Pagination(limit=2, next_cursor=encode_cursor(2), has_more=True)) == first
    assert Page([3], Pagination(limit=2, next_cursor=None, has_more=False)) == last
