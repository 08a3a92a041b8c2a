"""Secrets at rest. Each is sealed with a key of its own, and that key with one of the configuration: AES-256-GCM both.

A sealed secret opens only in the place it was sealed for. It names its outer key, so older keys go on opening what they
sealed, and it can be put under the newest without being opened. Pure: randomness is given.

    version 1 B · key id 8 B · nonce 12 B · sealed key 48 B · nonce 12 B · sealed secret
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qhronos.errors import ConfigError, Locked

KEY_BYTES = 32
NONCE_BYTES = 12
RANDOM_BYTES = KEY_BYTES + 2 * NONCE_BYTES  # for a seal
VERSION = b"\x01"
HEAD = 9
KEY_END = HEAD + NONCE_BYTES + KEY_BYTES + 16
SHORTEST = KEY_END + NONCE_BYTES + 16
MAKE_ONE = "make one: openssl rand -base64 32"
NO_KEY = f"there is no key to keep secrets with; the operator sets secrets.keys ({MAKE_ONE})"


def place_of(table: str, column: str, row: UUID) -> bytes:
    """Where a secret belongs; it does not open anywhere else."""
    return f"{table}|{column}|{row}".encode()


class Vault:
    """The keys of the configuration, newest first. Without any, nothing can be sealed or opened."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._outer = {_id_of(key): AESGCM(key) for key in keys}
        self._newest = next(iter(self._outer), None)

    @classmethod
    def read(cls, keys: Sequence[str]) -> Vault:
        """Of `secrets.keys`, as they are written there. Raises ConfigError, which repeats none of them."""
        return cls([_read(text) for text in keys])

    @property
    def is_empty(self) -> bool:
        return self._newest is None

    def seal(self, secret: str, place: bytes, random: bytes) -> bytes:
        """Under the newest key, with RANDOM_BYTES that nobody could guess. Raises Locked if there is no key."""
        inner, nonce = random[:KEY_BYTES], random[KEY_BYTES + NONCE_BYTES : RANDOM_BYTES]
        content = AESGCM(inner).encrypt(nonce, secret.encode(), VERSION + place)
        return self._wrap(inner, place, random[KEY_BYTES : KEY_BYTES + NONCE_BYTES]) + nonce + content

    def open(self, sealed: bytes, place: bytes) -> str:
        """Raises Locked, which tells neither secret nor key."""
        inner = self._unwrap(sealed, place)
        try:
            nonce = sealed[KEY_END : KEY_END + NONCE_BYTES]
            return AESGCM(inner).decrypt(nonce, sealed[KEY_END + NONCE_BYTES :], VERSION + place).decode()
        except InvalidTag as error:
            raise Locked("it was changed since it was sealed, or belongs elsewhere") from error

    def is_stale(self, sealed: bytes) -> bool:
        """Whether it is sealed with another key than the newest."""
        return self._newest is not None and sealed[:HEAD] != VERSION + self._newest

    def rewrap(self, sealed: bytes, place: bytes, random: bytes) -> bytes:
        """The same under the newest key; the secret itself is not touched. Raises Locked."""
        return self._wrap(self._unwrap(sealed, place), place, random[:NONCE_BYTES]) + sealed[KEY_END:]

    def _wrap(self, inner: bytes, place: bytes, nonce: bytes) -> bytes:
        if self._newest is None:
            raise Locked(NO_KEY)
        head = VERSION + self._newest
        return head + nonce + self._outer[self._newest].encrypt(nonce, inner, head + place)

    def _unwrap(self, sealed: bytes, place: bytes) -> bytes:
        head = sealed[:HEAD]
        if head[:1] != VERSION or len(sealed) < SHORTEST:
            raise Locked("it was sealed by another version, or is damaged")
        outer = self._outer.get(head[1:])
        if outer is None:
            raise Locked(f"it was sealed with key {head[1:].hex()}, which is not among secrets.keys")
        try:
            return outer.decrypt(sealed[HEAD : HEAD + NONCE_BYTES], sealed[HEAD + NONCE_BYTES : KEY_END], head + place)
        except InvalidTag as error:
            raise Locked("it was changed since it was sealed, or belongs elsewhere") from error


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"qhronos key id|" + key).digest()[: HEAD - 1]


def _read(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"secrets.keys: each key is {KEY_BYTES} random bytes in base64 ({MAKE_ONE})")
    return key
