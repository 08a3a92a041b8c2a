"""Secrets taken out of what others wrote."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.scrub import MASK, forms, scrub

SECRET = 'Bearer tök/"en+with&all <of> it'


def test_a_secret_is_masked_wherever_it_stands():
    assert f"a {MASK} b {MASK}" == scrub("a s3cret-one b s3cret-two", ["s3cret-one", "s3cret-two"])
    assert "nothing of it" == scrub("nothing of it", ["s3cret"])
    assert "as it is" == scrub("as it is", [])


def test_the_prefix_of_a_secret_is_none():
    assert f"whsec_{MASK}" == scrub("whsec_MfKQ9r8GKYqrTwjU", ["whsec_MfKQ9r8GKYqrTwjU"])
    assert "whsec_" == scrub("whsec_", ["whsec_"])


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote_plus(SECRET)),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        html.escape(SECRET),
        html.escape(SECRET, quote=False),
        SECRET.encode().decode("latin-1"),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_it_is_masked_in_every_form(form):
    assert f"<{MASK}>" == scrub(f"<{form}>", [SECRET])


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_it_is_masked_wherever_it_stands_in_base64(before, after):
    """At most the digits that it shares with its neighbours stay."""
    text = base64.b64encode(before + b"a-long-enough-secret" + after).decode()
    left = scrub(text, ["a-long-enough-secret"])

    assert MASK in left
    assert len(text) - len(left) + len(MASK) >= 26


def test_the_token_after_a_scheme_is_a_secret_by_itself():
    assert f"got {MASK}!" == scrub("got t0ken-t0ken!", ["Bearer t0ken-t0ken"])
    assert f"Bearer x {MASK}" == scrub("Bearer x Bearer short", ["Bearer short"])


def test_what_basic_stands_for_is_a_secret():
    header = "Basic " + base64.b64encode(b"user:pass-word-of-it").decode()

    assert f"hello {MASK}, {MASK}" == scrub("hello user:pass-word-of-it, pass-word-of-it", [header])
    assert f"and {MASK}" == scrub(f"and {header}", [header])


@pytest.mark.parametrize("header", ["Basic !!!", "Basic /////w==", "Basic", "Basic "])
def test_what_is_not_basic_is_only_itself(header):
    assert MASK == scrub(header, [header])


def test_a_short_part_is_no_secret():
    assert frozenset({"ab"}) == forms("ab")
    assert f"x{MASK}x YWI" == scrub("xabx YWI", ["ab"])


@pytest.mark.parametrize("rest", ["s3cr", "s3cret-of-thi"])
def test_the_beginning_of_one_at_a_cut_end_is_masked(rest):
    assert f"got {MASK}" == scrub(f"got {rest}", ["s3cret-of-this"], cut=True)
    assert f"got {rest}" == scrub(f"got {rest}", ["s3cret-of-this"])


def test_of_several_that_may_begin_at_a_cut_end_the_most_is_masked():
    assert f"got {MASK}" == scrub("got s3cret-that", ["s3cret-that-is", "that-is-longer-than-the-other"], cut=True)


def test_a_cut_end_that_begins_no_secret_stays():
    assert "got s3c" == scrub("got s3c", ["s3cret-of-this"], cut=True)


def test_nothing_is_left_where_a_mask_spells_a_secret_again():
    assert "" == scrub("[[secret]ecret]", ["[secret]"])


@given(text=st.text(), secrets=st.lists(st.text(min_size=1), max_size=3))
def test_no_secret_ever_stays(text, secrets):
    left = scrub("".join([text, *secrets, text]), secrets)

    assert not [secret for secret in secrets if (secret.removeprefix("whsec_") or "\0\0") in left]
