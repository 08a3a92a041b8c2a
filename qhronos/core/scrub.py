"""Secrets taken out of a text that somebody else wrote, in whatever form they are likely to come back. Pure."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "[secret]"
PREFIX = "whsec_"
SHORTEST_PART = 8  # of a form other than the secret itself; what is shorter says little, and stands in many a text
SHORTEST_REST = 4
ESCAPE = re.compile(r"%[0-9A-F]{2}")


def scrub(text: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """`text` without the secrets. `cut`: its end is missing, so it may end within one. Nothing, if that cannot be done."""
    found = sorted({form for secret in secrets for form in forms(secret)}, key=len, reverse=True)
    there = [form for form in found if form in text]
    for form in there:
        text = text.replace(form, MASK)
    if cut:
        text = _without_rest(text, found)
    # A mask and its neighbours may spell a secret again.
    return "" if there and any(form in text for form in found) else text


@lru_cache(maxsize=1024)
def forms(secret: str) -> frozenset[str]:
    """The secret, what it is made of, and how either comes back: in base64, in a URL, in JSON, in HTML."""
    secret = secret.removeprefix(PREFIX)
    parts = {part for part in [*_words(secret), *_basic(secret)] if len(part) >= SHORTEST_PART}
    derived = {form for part in {secret, *parts} for form in _forms(part) if len(form) >= SHORTEST_PART}
    return frozenset({secret, *parts, *derived} - {""})


def _words(secret: str) -> list[str]:
    """Of `Bearer …` the token alone."""
    return secret.split()


def _basic(secret: str) -> list[str]:
    """Of `Basic …` what it stands for, and the password in it."""
    scheme, _, encoded = secret.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    return [pair, pair.partition(":")[2]]


def _forms(text: str) -> set[str]:
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    spelled = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {
        *quoted,
        *(ESCAPE.sub(lambda found: found[0].lower(), each) for each in quoted),
        *spelled,
        *(each.replace("/", "\\/") for each in spelled),
        html.escape(text),
        html.escape(text, quote=False),
        text.encode().decode("latin-1"),
        *_in_base64(text.encode()),
    }


def _in_base64(raw: bytes) -> set[str]:
    """By itself, and what of it stays the same wherever it stands in what is encoded."""
    alone = base64.b64encode(raw).decode()
    found = {alone, alone.replace("+", "-").replace("/", "_")}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = (before + len(raw)) * 8 // 6
        inner = encoded[-(-before * 8 // 6) : whole]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


def _without_rest(text: str, found: list[str]) -> str:
    lengths = [length for form in found for length in range(SHORTEST_REST, len(form)) if text.endswith(form[:length])]
    return text[: -max(lengths)] + MASK if lengths else text
