from __future__ import annotations

import base64
import hmac
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from qhronos.api import auth
from qhronos.api.auth import GRANTABLE, LEEWAY, MAX_BYTES, Access, Caller, Grant, Keyring
from qhronos.config import Auth
from qhronos.errors import ConfigError, Denied, Unauthenticated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MASTER = "a-master-token-that-is-long-enough-to-be-taken"
SECRET = "an-hs256-secret-of-at-least-32-bytes-of-length"
OLD_SECRET = "the-hs256-secret-that-was-in-use-before-this-one"


def pem(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


PEM = pem(Ed25519PrivateKey.generate())
HS256 = Keyring.from_config(Auth(master_token=MASTER, jwt_secret=SECRET))
EDDSA = Keyring.from_config(Auth(master_token=MASTER, jwt_private_key=PEM))


def grant(**more) -> Grant:
    said = {
        "token_id": uuid.uuid4(),
        "subject": "ada",
        "access": Access.READ_WRITE,
        "scope": ("billing", "user:ada"),
        "issued_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return Grant(**{**said, **more})


def claims(**more) -> dict[str, object]:
    said = {
        "iss": "qhronos",
        "aud": "qhronos",
        "sub": "ada",
        "jti": str(uuid.uuid4()),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
        "access": "read",
        "scope": ["billing"],
    }
    return {name: value for name, value in {**said, **more}.items() if value is not None}


def kid_of(keyring: Keyring) -> str:
    return jwt.get_unverified_header(keyring.mint(grant()))["kid"]


def signed(said: dict[str, object], *, secret: str = SECRET, algorithm: str = "HS256", **header) -> str:
    return jwt.encode(said, secret, algorithm=algorithm, headers={"kid": kid_of(HS256), **header})


def forged(header: dict[str, object], said: dict[str, object], key: bytes) -> str:
    """A token as somebody writes it who is held by no library."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, said)]
    signature = hmac.digest(key, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def refused(header: str | None, keyring: Keyring = HS256, now: datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        keyring.authenticate(header, now)
    return str(refusal.value)


@pytest.mark.parametrize("keyring", [HS256, EDDSA])
def test_a_minted_token_names_its_caller(keyring):
    given = grant()

    caller = keyring.authenticate(f"Bearer {keyring.mint(given)}", NOW)

    assert (
        Caller(
            subject="ada",
            token_id=given.token_id,
            access=Access.READ_WRITE,
            scope=frozenset({"billing", "user:ada"}),
            expires_at=given.expires_at,
        )
        == caller
    )


@pytest.mark.parametrize("seconds", [1e18, float("inf")])
def test_an_end_that_is_beyond_all_dates_never_comes(seconds):
    assert auth._instant(seconds) is None


def test_the_master_token_is_let_in_unrestricted():
    caller = HS256.authenticate(f"Bearer {MASTER}", NOW)

    assert caller.unrestricted
    assert caller.access is Access.MASTER
    assert caller.token_id is None


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (None, "Authorization header is required"),
        ("", "Authorization header is required"),
        ("Bearer", "Invalid authorization header format"),
        ("Basic YTpi", "Invalid authorization header format"),
        ("Bear x", "Invalid authorization header format"),
        ("Bearer a b", "Invalid authorization header format"),
        ("Bearer ", "Token is required"),
        ("Bearer    ", "Token is required"),
        ("Bearer x", "invalid token"),
        ("Bearer test.jwt.token", "invalid token"),
        ("Bearer ..", "invalid token"),
        ("Bearer \u00fc\u00fc", "invalid token"),
    ],
)
def test_a_header_that_does_not_hold_is_refused_in_the_first_qhronos_words(header, answer):
    assert answer == refused(header)


def test_the_scheme_is_read_in_any_case():
    assert HS256.authenticate(f"bearer {MASTER}", NOW).unrestricted


def test_a_token_holds_until_its_end_and_the_leeway():
    given = grant()
    header = f"Bearer {HS256.mint(given)}"

    HS256.authenticate(header, given.expires_at + LEEWAY - timedelta(seconds=1))

    assert "token has expired" == refused(header, now=given.expires_at + LEEWAY)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused(claim):
    soon, later = (int((NOW + by).timestamp()) for by in (LEEWAY, LEEWAY + timedelta(seconds=1)))

    HS256.authenticate(f"Bearer {signed(claims(**{claim: soon}))}", NOW)

    assert "invalid token" == refused(f"Bearer {signed(claims(**{claim: later}))}")


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "jti", "iat", "exp", "access", "scope"])
def test_every_claim_is_required(missing):
    HS256.authenticate(f"Bearer {signed(claims())}", NOW)

    assert "invalid token" == refused(f"Bearer {signed(claims(**{missing: None}))}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"sub": ""},
        {"sub": 7},
        {"sub": "master"},  # would pass for the master token in the audit
        {"jti": "not-a-uuid"},
        {"access": "root"},
        {"access": "master"},
        {"access": "public"},
        {"scope": "billing"},
        {"scope": [1]},
        {"scope": ["x" * 101]},
        {"exp": "tomorrow"},
        {"exp": True},
    ],
)
def test_a_claim_that_says_something_else_is_refused(wrong):
    assert "invalid token" == refused(f"Bearer {signed(claims(**wrong))}")


@pytest.mark.parametrize(
    "header",
    [
        {"kid": None},
        {"kid": 7},
        {"kid": "unknown"},
        {"alg": "HS512"},
        {"crit": ["exp"]},
        # Keys that the token brings along.
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jku": "https://x/"},
        {"x5u": "https://x/"},
    ],
)
def test_a_header_that_names_no_key_of_ours_or_asks_for_more_is_refused(header):
    good = {"alg": "HS256", "typ": "JWT", "kid": kid_of(HS256)}

    assert "ada" == HS256.authenticate(f"Bearer {forged(good, claims(), SECRET.encode())}", NOW).subject
    assert "invalid token" == refused(f"Bearer {forged({**good, **header}, claims(), SECRET.encode())}")


def test_a_token_without_a_kid_is_refused():
    token = forged({"alg": "HS256", "typ": "JWT"}, claims(), SECRET.encode())

    assert "invalid token" == refused(f"Bearer {token}")


def test_the_key_decides_on_the_algorithm_and_not_the_token():
    unsigned = jwt.encode(claims(), None, algorithm="none", headers={"kid": kid_of(HS256)})
    stronger = signed(claims(), secret=SECRET * 2, algorithm="HS512")

    assert "invalid token" == refused(f"Bearer {unsigned}")
    assert "invalid token" == refused(f"Bearer {stronger}")


def test_the_public_key_is_no_secret_to_sign_with():
    public = serialization.load_pem_private_key(PEM.encode(), password=None).public_key().public_bytes_raw()
    token = forged({"alg": "HS256", "kid": kid_of(EDDSA), "typ": "JWT"}, claims(), public)

    assert "invalid token" == refused(f"Bearer {token}", EDDSA)


def test_tokens_of_another_installation_are_refused():
    other = Keyring.from_config(Auth(master_token=MASTER, jwt_secret=SECRET[::-1]))

    assert "invalid token" == refused(f"Bearer {other.mint(grant())}")


def test_a_token_signed_before_the_secret_changed_still_holds():
    before = Keyring.from_config(Auth(master_token=MASTER, jwt_secret=OLD_SECRET))
    after = Keyring.from_config(Auth(master_token=MASTER, jwt_secret=SECRET, jwt_previous_secrets=(OLD_SECRET,)))

    assert "ada" == after.authenticate(f"Bearer {before.mint(grant())}", NOW).subject
    assert "invalid token" == refused(f"Bearer {after.mint(grant())}", before)


def test_the_private_key_signs_and_the_secret_still_verifies():
    both = Keyring.from_config(Auth(master_token=MASTER, jwt_secret=SECRET, jwt_private_key=PEM))

    assert "EdDSA" == both.algorithm
    assert "ada" == both.authenticate(f"Bearer {HS256.mint(grant())}", NOW).subject
    assert "ada" == both.authenticate(f"Bearer {EDDSA.mint(grant())}", NOW).subject


def test_a_token_of_more_than_eight_kilobytes_is_not_even_read():
    token = signed(claims(note="x" * MAX_BYTES))

    assert "invalid token" == refused(f"Bearer {token}")


def test_a_token_with_one_letter_changed_is_refused():
    token = HS256.mint(grant())

    for place in range(0, len(token) - 1, 7):
        other = "A" if token[place] != "A" else "B"
        assert "invalid token" == refused(f"Bearer {token[:place]}{other}{token[place + 1 :]}")


@given(st.text(max_size=300))
def test_no_header_breaks_the_keyring(text):
    refused(f"Bearer {text}x")


@pytest.mark.parametrize(
    ("auth", "named"),
    [
        (Auth(jwt_secret=SECRET), "auth.master_token"),
        (Auth(master_token="", jwt_secret=SECRET), "auth.master_token"),
        (Auth(master_token="short", jwt_secret=SECRET), "auth.master_token"),
        (Auth(master_token="x" * 31, jwt_secret=SECRET), "auth.master_token"),
        (Auth(master_token=MASTER), "jwt_secret"),
        (Auth(master_token=MASTER, jwt_secret="short"), "auth.jwt_secret"),
        (Auth(master_token=MASTER, jwt_secret=SECRET, jwt_previous_secrets=("short",)), "auth.jwt_previous_secrets"),
        (Auth(master_token=MASTER, jwt_private_key="no key"), "auth.jwt_private_key"),
        (Auth(master_token=MASTER, jwt_private_key=pem(X25519PrivateKey.generate())), "not an Ed25519 key"),
    ],
)
def test_weak_keys_stop_the_start(auth, named):
    with pytest.raises(ConfigError, match=named):
        Keyring.from_config(auth)


def test_a_short_master_token_is_taken_where_somebody_typed_it_for_a_try():
    keyring = Keyring.from_config(Auth(master_token="abc", jwt_secret=SECRET), allow_weak_master=True)

    assert keyring.authenticate("Bearer abc", NOW).unrestricted


def test_ranks_include_those_below():
    ranks = [Access.PUBLIC, *GRANTABLE, Access.MASTER]

    for place, access in enumerate(ranks):
        assert [access.covers(other) for other in ranks] == [rank <= place for rank in range(len(ranks))]


@pytest.mark.parametrize(
    ("access", "tags", "seen"),
    [
        (Access.READ_WRITE, ["billing"], True),
        (Access.READ_WRITE, ["billing", "other"], True),
        (Access.READ_WRITE, ["other"], False),
        (Access.READ_WRITE, [], False),
        (Access.ADMIN, ["other"], True),
        (Access.ADMIN, [], True),
    ],
)
def test_a_caller_sees_what_its_scope_meets(access, tags, seen):
    caller = Caller(subject="ada", token_id=uuid.uuid4(), access=access, scope=frozenset({"billing"}))

    assert seen == caller.sees(tags)


def test_a_scope_restricts_sql_and_its_absence_does_not():
    caller = Caller(subject="ada", token_id=uuid.uuid4(), access=Access.READ, scope=frozenset({"b", "a"}))

    assert ["a", "b"] == caller.visible
    assert HS256.authenticate(f"Bearer {MASTER}", NOW).visible is None


def test_what_is_denied_says_why():
    caller = Caller(subject="ada", token_id=uuid.uuid4(), access=Access.ADMIN, scope=frozenset())

    caller.require(Access.ADMIN)

    with pytest.raises(Denied, match="Master token required"):
        caller.require(Access.MASTER)
    with pytest.raises(Denied, match="insufficient access level"):
        Caller(subject="ada", token_id=None, access=Access.READ, scope=frozenset()).require(Access.WRITE)
