"""Header fields: which ones a user may set, how they go on the wire, and what Retry-After says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from qhronos.errors import Invalid

Headers: TypeAlias = tuple[tuple[str, str], ...]

MOST = 32
LONGEST_VALUE = 4096
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# What frames a message or belongs to one connection is the client's to write, never a user's.
FRAMING = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
    }
    | {"transfer-encoding", "upgrade"}
)
# What names and signs a delivery must not be forged.
RESERVED = ("proxy-", "webhook-", "x-qhronos-")
# The block that goes on the wire, once more, whoever made it: one regular expression over all lines.
BLOCK = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


def check(headers: Mapping[str, str], field: str = "headers") -> None:
    """Refuse what a user must not send; the message says which header and why."""
    if len(headers) > MOST:
        raise Invalid(f"at most {MOST} headers can be given", field=field)
    seen: set[str] = set()
    for name, value in headers.items():
        where = f"{field}.{name}" if NAME.fullmatch(name) else field
        if reason := _reason(name, value, seen):
            raise Invalid(reason, field=where)
        seen.add(name.lower())


def lines(headers: Headers) -> bytes:
    """The fields as they go on the wire, in UTF-8. Raises Invalid rather than write what would break the framing."""
    block = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode()
    if not BLOCK.fullmatch(block) or block.count(b"\n") != len(headers):
        raise Invalid("a header contains a line break or another forbidden character", field="headers")
    for name, _ in headers:
        if name.lower() in FRAMING:
            raise Invalid(f"header `{name}` is written by the client itself", field="headers")
    return block


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date. None if absent or unreadable; never negative."""
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,10}", text):
        return timedelta(seconds=int(text))
    try:
        instant = parsedate_to_datetime(text)
        # A date with the zone "-0000" comes back naive; HTTP dates are in UTC whatever they say.
        return max(instant.replace(tzinfo=instant.tzinfo or UTC) - now, timedelta(0))
    except (ValueError, OverflowError):
        return None


def _reason(name: str, value: str, seen: set[str]) -> str | None:
    lower = name.lower()
    if not NAME.fullmatch(name):
        return "header names are 1 to 64 letters, digits or !#$%&'*+.^_`|~-"
    if lower in FRAMING or lower.startswith(RESERVED):
        return f"header `{name}` is set by Qhronos and cannot be given"
    if lower in seen:
        return f"header `{name}` is given twice"
    if CONTROL.search(value):
        return f"header `{name}` contains a line break or another control character"
    return _size(name, value)


def _size(name: str, value: str) -> str | None:
    try:
        size = len(value.encode())
    except UnicodeError:
        return f"header `{name}` is not valid Unicode"
    return f"header `{name}` is longer than {LONGEST_VALUE} bytes" if size > LONGEST_VALUE else None
