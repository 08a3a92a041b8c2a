"""Signatures: known answers, another implementation, and everything that must not verify."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from qhronos.clock import SystemClock
from qhronos.core.signing import Keyed, check_secret, sign, sign_callback, verify
from qhronos.errors import Invalid

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
NOW = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'

secrets = st.text(min_size=1, max_size=64).filter(lambda text: not text.startswith("whsec_") and "\0" not in text)


def test_the_standard_signature_has_the_known_answer():
    headers = dict(sign([SECRET], ID, NOW, BODY))

    assert headers["webhook-id"] == ID
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_first_signature_is_the_hex_digest_of_the_body_keyed_with_the_secret_as_given():
    for secret in (SECRET, "qhronos.io"):
        expected = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()

        assert expected == dict(sign([secret], ID, NOW, BODY))["x-qhronos-signature"]


def test_rotation_signs_with_both_and_keeps_the_first_header_to_the_newest():
    both = dict(sign([OTHER, SECRET], ID, NOW, BODY))
    old, new = dict(sign([SECRET], ID, NOW, BODY)), dict(sign([OTHER], ID, NOW, BODY))

    assert f"{new['webhook-signature']} {old['webhook-signature']}" == both["webhook-signature"]
    assert new["x-qhronos-signature"] == both["x-qhronos-signature"]
    for secret in (SECRET, OTHER):
        verify(secret, both, BODY, NOW)


def test_a_callback_is_signed_over_timestamp_and_body_with_the_newest():
    expected = hmac.new(SECRET.encode(), b'1614265330{"test": 2432232314}', hashlib.sha256).hexdigest()
    name = (("x-task-id", ID), ("x-timestamp", "1614265330"))

    assert (*name, ("x-signature", f"sha256={expected}")) == sign_callback([SECRET, OTHER], ID, NOW, BODY)
    assert name == sign_callback([], ID, NOW, BODY)


def test_without_a_secret_a_delivery_is_named_and_not_signed():
    assert (("webhook-id", ID), ("webhook-timestamp", "1614265330")) == sign([], ID, NOW, BODY)


@given(secret=secrets, body=st.text(max_size=200), instant=st.integers(0, 4_000_000_000))
def test_what_is_signed_verifies(secret, body, instant):
    now = datetime.fromtimestamp(instant, UTC)

    verify(secret, dict(sign([secret], "occ_x", now, body.encode())), body.encode(), now)


@given(secret=secrets, body=st.text(max_size=200))
def test_the_standard_library_verifies_both_kinds_of_secret(secret, body):
    # It reads the clock itself.
    now = SystemClock().now()
    for mine, theirs in ((secret, secret.encode()), (SECRET, SECRET)):
        headers = dict(sign([OTHER, mine], "occ_x", now, body.encode()))

        Webhook(theirs).verify(body, headers, json_parse=False)
        with pytest.raises(WebhookVerificationError):
            Webhook(theirs).verify(body + " ", headers, json_parse=False)


def test_header_names_are_read_in_any_case():
    headers = {name.upper(): value for name, value in sign([SECRET], ID, NOW, BODY)}

    verify(SECRET, headers, BODY, NOW)


@pytest.mark.parametrize("late", [-301, 301])
def test_a_delivery_of_another_hour_is_refused(late):
    headers = dict(sign([SECRET], ID, NOW, BODY))

    with pytest.raises(Invalid, match="300 s away") as refusal:
        verify(SECRET, headers, BODY, NOW + timedelta(seconds=late))
    assert refusal.value.field == "webhook-timestamp"


@pytest.mark.parametrize("late", [-300, 0, 300])
def test_a_clock_may_be_off_by_five_minutes(late):
    verify(SECRET, dict(sign([SECRET], ID, NOW, BODY)), BODY, NOW + timedelta(seconds=late))


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("webhook-id", "", "webhook-id"),
        ("webhook-id", "msg_other", "webhook-signature"),
        ("webhook-timestamp", "1614265331", "webhook-signature"),
        ("webhook-timestamp", "soon", "webhook-timestamp"),
        ("webhook-timestamp", "١٦١٤٢٦٥٣٣٠", "webhook-timestamp"),
        ("webhook-timestamp", "9" * 400, "webhook-timestamp"),
        ("webhook-timestamp", "1614265330.0", "webhook-timestamp"),
        ("webhook-signature", "", "webhook-signature"),
        ("webhook-signature", "v1", "webhook-signature"),
        ("webhook-signature", "v1, ,", "webhook-signature"),
        ("webhook-signature", "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "webhook-signature"),
        ("webhook-signature", "v1,ü", "webhook-signature"),
    ],
)
def test_a_forged_header_is_refused_by_its_name(name, value, field):
    headers = dict(sign([SECRET], ID, NOW, BODY)) | {name: value}

    with pytest.raises(Invalid) as refusal:
        verify(SECRET, headers, BODY, NOW)
    assert field == refusal.value.field


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1]])
def test_a_changed_body_is_refused(body):
    with pytest.raises(Invalid, match="does not match"):
        verify(SECRET, dict(sign([SECRET], ID, NOW, BODY)), body, NOW)


@pytest.mark.parametrize("text", ["x", "qhronos.io", "ключ", "x" * 512, SECRET, SECRET + "==", "whsec_YQ"])
def test_a_secret_may_be_any_text_or_base64_after_its_prefix(text):
    check_secret(text)


@pytest.mark.parametrize(
    "text", ["", "x" * 513, "a\0b", "whsec_", "whsec_====", "whsec_not base64", "whsec_a", "whsec_ü", "\ud800"]
)
def test_a_secret_that_cannot_sign_is_refused_with_its_field(text):
    with pytest.raises(Invalid, match=r"^hmac_secret ") as refusal:
        check_secret(text)
    assert refusal.value.field == "hmac_secret"


@given(st.binary(max_size=200), st.binary(max_size=500))
def test_a_key_that_is_kept_signs_as_hmac_does(key, message):
    assert hmac.digest(key, message, "sha256") == Keyed(key).digest(message)
