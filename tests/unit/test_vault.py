"""Secrets at rest: what opens, what must not, and what a change of keys does."""

from __future__ import annotations

import base64
import hashlib
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.vault import RANDOM_BYTES, Vault, place_of
from qhronos.errors import ConfigError, Locked

OLD, NEW = b"o" * 32, b"n" * 32
ROW, OTHER_ROW = UUID(int=1), UUID(int=2)
PLACE = place_of("events", "hmac_secret", ROW)
RANDOM = bytes(range(RANDOM_BYTES))


@given(secret=st.text(), random=st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_what_is_sealed_opens(secret, random):
    assert secret == Vault([NEW]).open(Vault([NEW]).seal(secret, PLACE, random), PLACE)


def test_a_sealed_secret_is_an_envelope_of_aes_gcm():
    """As any other implementation would open it."""
    sealed = Vault([NEW]).seal("s3cret", PLACE, RANDOM)
    head, nonce, wrapped, inner_nonce, content = sealed[:9], sealed[9:21], sealed[21:69], sealed[69:81], sealed[81:]

    assert b"\x01" + hashlib.sha256(b"qhronos key id|" + NEW).digest()[:8] == head
    inner = AESGCM(NEW).decrypt(nonce, wrapped, head + PLACE)
    assert RANDOM[:32] == inner
    assert b"s3cret" == AESGCM(inner).decrypt(inner_nonce, content, b"\x01" + PLACE)
    assert b"events|hmac_secret|00000000-0000-0000-0000-000000000001" == PLACE


def test_every_random_byte_counts_and_no_nonce_comes_twice():
    sealed = Vault([NEW]).seal("s3cret", PLACE, RANDOM)

    assert RANDOM[32:44] == sealed[9:21]
    assert RANDOM[44:56] == sealed[69:81]


@pytest.mark.parametrize("place", [place_of("events", "hmac_secret", OTHER_ROW), place_of("events", "headers", ROW)])
def test_it_opens_nowhere_else(place):
    sealed = Vault([NEW]).seal("s3cret", PLACE, RANDOM)

    with pytest.raises(Locked, match="belongs elsewhere"):
        Vault([NEW]).open(sealed, place)


def test_no_byte_can_be_changed():
    sealed = Vault([NEW]).seal("s3cret", PLACE, RANDOM)

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Locked) as refusal:
            Vault([NEW]).open(bytes(changed), PLACE)
        assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" * 200, Vault([NEW]).seal("", PLACE, RANDOM)[:-1]])
def test_what_is_no_envelope_is_refused(sealed):
    with pytest.raises(Locked, match="another version, or is damaged"):
        Vault([NEW]).open(sealed, PLACE)


def test_another_key_is_named_and_not_told():
    sealed = Vault([OLD]).seal("s3cret", PLACE, RANDOM)

    with pytest.raises(Locked) as refusal:
        Vault([NEW]).open(sealed, PLACE)
    assert f"it was sealed with key {sealed[1:9].hex()}, which is not among secrets.keys" == str(refusal.value)


def test_older_keys_open_and_the_newest_seals():
    sealed = Vault([OLD]).seal("s3cret", PLACE, RANDOM)
    both = Vault([NEW, OLD])

    assert "s3cret" == both.open(sealed, PLACE)
    assert both.is_stale(sealed)
    assert not both.is_stale(both.seal("s3cret", PLACE, RANDOM))
    with pytest.raises(Locked):
        Vault([OLD]).open(both.seal("s3cret", PLACE, RANDOM), PLACE)


def test_a_new_key_is_put_around_without_touching_the_secret():
    sealed = Vault([OLD]).seal("s3cret", PLACE, RANDOM)
    again = Vault([NEW, OLD]).rewrap(sealed, PLACE, bytes(reversed(RANDOM)))

    assert "s3cret" == Vault([NEW]).open(again, PLACE)
    assert sealed[69:] == again[69:]
    assert bytes(reversed(RANDOM))[:12] == again[9:21]
    with pytest.raises(Locked):
        Vault([NEW]).rewrap(sealed, PLACE, RANDOM)


def test_without_a_key_nothing_is_sealed_and_the_remedy_is_said():
    empty = Vault()

    assert empty.is_empty
    assert not Vault([NEW]).is_empty
    assert not empty.is_stale(b"anything")
    with pytest.raises(Locked, match=r"sets secrets.keys \(make one: openssl rand -base64 32\)"):
        empty.seal("s3cret", PLACE, RANDOM)


def test_keys_are_read_as_they_are_configured():
    texts = [base64.b64encode(key).decode() for key in (NEW, OLD)]

    assert "s3cret" == Vault.read(texts).open(Vault([OLD]).seal("s3cret", PLACE, RANDOM), PLACE)
    assert Vault.read([]).is_empty


@pytest.mark.parametrize("text", ["", "hunter2hunter2", base64.b64encode(b"short").decode(), "ü" * 44, "=" * 44])
def test_a_key_that_is_none_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigError, match=r"^secrets.keys: each key is 32 random bytes in base64") as refusal:
        Vault.read([text])
    assert not text or text not in str(refusal.value)
