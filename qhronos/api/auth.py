"""From an `Authorization` header to who is calling and what they may do.

Two credentials: the master token of the installation, and JWTs minted here (or elsewhere with one of our keys). The `kid`
in a token's header names the key, and the key alone says which algorithm holds: a token cannot choose. A token without a
`kid` we know is refused, as is every header that would point to a key elsewhere.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, cast
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from qhronos.config import Auth
from qhronos.errors import ConfigError, Denied, Unauthenticated

LEEWAY = timedelta(seconds=30)  # by how much the clocks of issuers may differ from ours
MAX_BYTES = 8 * 1024
MASTER_SUBJECT = "master"
SHORTEST_SECRET = 32
# Published as defaults or examples somewhere, so everybody knows them.
KNOWN_DEFAULTS = frozenset({"changeme", "secret", "master-token", "your-master-token", "your-jwt-secret", "qhronos.io"})
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
FOREIGN_KEYS = frozenset({"crit", "jku", "jwk", "x5u", "x5c"})


class Access(enum.StrEnum):
    """What a token may do and what a route asks for; each includes what stands above it."""

    PUBLIC = "public"  # of routes only: no token is asked for
    READ = "read"
    WRITE = "write"
    READ_WRITE = "read_write"
    ADMIN = "admin"
    MASTER = "master"  # the master token alone

    def covers(self, required: Access) -> bool:
        return RANK[self] >= RANK[required]


RANK = {access: rank for rank, access in enumerate(Access)}
GRANTABLE = (Access.READ, Access.WRITE, Access.READ_WRITE, Access.ADMIN)

ScopeItem = Annotated[str, Meta(min_length=1, max_length=100)]
Scope = Annotated[tuple[ScopeItem, ...], Meta(max_length=100)]
Subject = Annotated[str, Meta(min_length=1, max_length=200)]


class Caller(Struct, frozen=True, kw_only=True):
    """Who sent a request. Without `unrestricted` only events whose tags meet `scope` exist for them."""

    subject: str
    token_id: UUID | None  # None: the master token
    access: Access
    scope: frozenset[str]
    expires_at: datetime | None = None  # None: never

    @property
    def writes(self) -> bool:
        return self.access.covers(Access.WRITE)

    @property
    def unrestricted(self) -> bool:
        return self.access.covers(Access.ADMIN)

    @property
    def visible(self) -> list[str] | None:
        """The scope as SQL takes it: None sees everything."""
        return None if self.unrestricted else sorted(self.scope)

    def sees(self, tags: Collection[str]) -> bool:
        return self.unrestricted or not self.scope.isdisjoint(tags)

    def require(self, access: Access) -> None:
        if not self.access.covers(access):
            raise Denied("Master token required" if access is Access.MASTER else "insufficient access level")


MASTER = Caller(subject=MASTER_SUBJECT, token_id=None, access=Access.MASTER, scope=frozenset())


class Grant(NamedTuple):
    """What a new token says."""

    token_id: UUID
    subject: str
    access: Access
    scope: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


class Claims(Struct, frozen=True):
    sub: Subject
    jti: UUID
    access: Access
    scope: Scope
    exp: float
    iat: float
    nbf: float = 0


class Key(NamedTuple):
    """A key and the one algorithm that it may be used with."""

    kid: str
    algorithm: str
    verifies: bytes | Ed25519PublicKey
    signs: bytes | Ed25519PrivateKey


class Keyring:
    """The master token and every key whose tokens are accepted; the first key signs."""

    def __init__(self, master_token: str, keys: list[Key], issuer: str, audience: str) -> None:
        self._master = _digest(master_token)
        self._keys = {key.kid: key for key in keys}
        self._signing = keys[0]
        self.issuer = issuer
        self._audience = audience

    @classmethod
    def from_config(cls, auth: Auth, *, allow_weak_master: bool = False) -> Keyring:
        """`allow_weak_master` is for a token that somebody typed for a try on their own machine. Raises ConfigError."""
        master = _checked_master(auth.master_token, allow_weak=allow_weak_master)
        keys = [_ed25519_key(auth.jwt_private_key)] if auth.jwt_private_key else []
        keys += [_hs256_key(secret, "auth.jwt_secret") for secret in [auth.jwt_secret] if secret]
        keys += [_hs256_key(secret, "auth.jwt_previous_secrets") for secret in auth.jwt_previous_secrets]
        if not (auth.jwt_private_key or auth.jwt_secret):
            raise ConfigError("auth: set jwt_secret (32 bytes or more) or jwt_private_key; tokens are signed with it")
        return cls(master, keys, auth.jwt_issuer, auth.jwt_audience)

    @property
    def algorithm(self) -> str:
        return self._signing.algorithm

    def authenticate(self, header: str | None, now: datetime) -> Caller:
        """The caller named by an `Authorization` header. Raises Unauthenticated."""
        token = _bearer(header)
        # Digests have one length, so the comparison says nothing about that of the master token.
        if hmac.compare_digest(_digest(token), self._master):
            return MASTER
        claims = self._verified(token)
        _check_times(claims, now)
        if claims.access not in GRANTABLE or claims.sub == MASTER_SUBJECT:
            raise Unauthenticated("invalid token")
        return Caller(
            subject=claims.sub,
            token_id=claims.jti,
            access=claims.access,
            scope=frozenset(claims.scope),
            expires_at=_instant(claims.exp),
        )

    def mint(self, grant: Grant) -> str:
        claims = {
            "iss": self.issuer,
            "aud": self._audience,
            "sub": grant.subject,
            "jti": str(grant.token_id),
            "iat": int(grant.issued_at.timestamp()),
            "exp": int(grant.expires_at.timestamp()),
            "access": grant.access.value,
            "scope": list(grant.scope),
        }
        key = self._signing
        return jwt.encode(claims, cast(Any, key.signs), algorithm=key.algorithm, headers={"kid": key.kid})

    def _verified(self, token: str) -> Claims:
        try:
            key = self._key_for(token)
            claims = jwt.decode(
                token,
                cast(Any, key.verifies),
                algorithms=[key.algorithm],
                issuer=self.issuer,
                audience=self._audience,
                # Time is judged by our own clock, below.
                options={
                    "require": REQUIRED_CLAIMS,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            return msgspec.convert(claims, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError) as error:
            raise Unauthenticated("invalid token") from error

    def _key_for(self, token: str) -> Key:
        if len(token) > MAX_BYTES:
            raise jwt.DecodeError("too long")
        header = jwt.get_unverified_header(token)
        if not FOREIGN_KEYS.isdisjoint(header):
            raise jwt.DecodeError("a header that is not understood")
        key = self._keys.get(header.get("kid", ""))
        if key is None or header.get("alg") != key.algorithm:
            raise jwt.DecodeError("no such key")
        return key


def _bearer(header: str | None) -> str:
    if not header:
        raise Unauthenticated("Authorization header is required")
    scheme, space, token = header.partition(" ")
    if scheme.lower() != "bearer" or not space:
        raise Unauthenticated("Invalid authorization header format")
    if not token.strip():
        raise Unauthenticated("Token is required")
    if " " in token.strip():
        raise Unauthenticated("Invalid authorization header format")
    return token.strip()


def _check_times(claims: Claims, now: datetime) -> None:
    instant, leeway = now.timestamp(), LEEWAY.total_seconds()
    if claims.exp + leeway <= instant:
        raise Unauthenticated("token has expired")
    if max(claims.iat, claims.nbf) > instant + leeway:
        raise Unauthenticated("invalid token")


def _instant(seconds: float) -> datetime | None:
    """None: after all that can be written."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _checked_master(token: str | None, *, allow_weak: bool) -> str:
    if not token:
        raise ConfigError("auth.master_token is not set; QHRONOS_AUTH__MASTER_TOKEN or …_FILE sets it")
    if not allow_weak and (len(token) < SHORTEST_SECRET or token.lower() in KNOWN_DEFAULTS):
        raise ConfigError("auth.master_token is too easy to guess; use 32 random characters or more")
    return token


def _hs256_key(secret: str, name: str) -> Key:
    raw = secret.encode()
    if len(raw) < SHORTEST_SECRET:
        raise ConfigError(f"{name} is too short to sign tokens with; use 32 random bytes or more")
    return Key(f"hs256-{_fingerprint(raw)}", "HS256", raw, raw)


def _ed25519_key(pem: str) -> Key:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError("auth.jwt_private_key is not a private key in PEM form without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("auth.jwt_private_key is not an Ed25519 key; `openssl genpkey -algorithm ed25519` makes one")
    public = private.public_key()
    return Key(f"eddsa-{_fingerprint(public.public_bytes_raw())}", "EdDSA", public, private)


def _fingerprint(raw: bytes) -> str:
    # The prefix keeps it from being the plain hash of a secret.
    return hashlib.sha256(b"qhronos kid " + raw).hexdigest()[:16]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
