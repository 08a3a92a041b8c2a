"""Signatures of deliveries: Standard Webhooks v1, and the header of the first Qhronos.

A secret is plain text, whose UTF-8 bytes are the key, or `whsec_` and the key in base64. The first Qhronos' header is
keyed with the text as it was given, whatever it looks like.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from qhronos.errors import Invalid

Headers: TypeAlias = tuple[tuple[str, str], ...]

PREFIX = "whsec_"
LONGEST_SECRET = 512
BLOCK = 64  # bytes that SHA-256 takes at once
INNER, OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
TOLERANCE = timedelta(seconds=300)
ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
FIRST_SIGNATURE = "x-qhronos-signature"
TASK_ID = "x-task-id"
TASK_TIMESTAMP = "x-timestamp"
TASK_SIGNATURE = "x-signature"


def check_secret(text: str, field: str = "hmac_secret") -> None:
    """Refuse what cannot be signed with."""
    if not text:
        raise Invalid(f"{field} must not be empty", field=field)
    if len(text) > LONGEST_SECRET:
        raise Invalid(f"{field} must not be longer than {LONGEST_SECRET} characters", field=field)
    if "\0" in text:
        raise Invalid(f"{field} must not contain NUL", field=field)
    try:
        _key(text)
    except UnicodeError as error:
        raise Invalid(f"{field} is not valid Unicode", field=field) from error
    except ValueError as error:
        raise Invalid(f"{field} starts with {PREFIX}, so base64 must follow; it does not", field=field) from error


def sign(secrets: Sequence[str], message_id: str, now: datetime, body: bytes) -> Headers:
    """The headers that name and sign a delivery. The first secret is the newest; with none it is named only."""
    timestamp = str(int(now.timestamp()))
    name = ((ID, message_id), (TIMESTAMP, timestamp))
    if not secrets:
        return name
    signatures = " ".join([_standard(secret, message_id, timestamp, body) for secret in secrets])
    return (*name, (SIGNATURE, signatures), (FIRST_SIGNATURE, _first(secrets[0], body)))


def sign_callback(secrets: Sequence[str], task_id: str, now: datetime, body: bytes) -> Headers:
    """The further headers of a callback. One signature has room for one secret, the newest, with the text as its key;
    it is over the digits of the timestamp and the body, one after the other."""
    timestamp = str(int(now.timestamp()))
    name = ((TASK_ID, task_id), (TASK_TIMESTAMP, timestamp))
    return (*name, *((TASK_SIGNATURE, f"sha256={_first(secret, timestamp.encode() + body)}") for secret in secrets[:1]))


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Refuse a delivery that this secret did not sign, or that is not of these minutes. For receivers."""
    given = {name.lower(): value for name, value in headers.items()}
    for name in (ID, TIMESTAMP, SIGNATURE):
        if not given.get(name):
            raise Invalid(f"header {name} is missing", field=name)
    _check_age(given[TIMESTAMP], now)
    expected = _standard(secret, given[ID], given[TIMESTAMP], body).encode()
    # Every signature is compared, and each in constant time: how long it takes tells nothing.
    matches = [hmac.compare_digest(expected, each.encode()) for each in given[SIGNATURE].split(" ")]
    if not any(matches):
        raise Invalid(
            f"{SIGNATURE} does not match: another secret, or a body that was changed on the way", field=SIGNATURE
        )


def _check_age(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Invalid(f"{TIMESTAMP} is no number of seconds", field=TIMESTAMP)
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise Invalid(
            f"{TIMESTAMP} is more than {TOLERANCE.seconds} s away: a replay, or a clock that is off", field=TIMESTAMP
        )


def _standard(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(_keyed(_key(secret)).digest(signed)).decode()


def _first(secret: str, body: bytes) -> str:
    return _keyed(secret.encode()).digest(body).hex()


class Keyed:
    """HMAC-SHA256 with what depends on the key alone done once: that is more than half of it for a small body."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = (key if len(key) <= BLOCK else hashlib.sha256(key).digest()).ljust(BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(INNER))
        self._outer = hashlib.sha256(padded.translate(OUTER))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


_keyed = lru_cache(maxsize=1024)(Keyed)


@lru_cache(maxsize=1024)
def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    text = secret.removeprefix(PREFIX).rstrip("=")
    key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not key:
        raise binascii.Error("no key")
    return key
