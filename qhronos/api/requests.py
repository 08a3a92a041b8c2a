"""What the headers of a change say: who asks, on which version, and whether it was asked before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from uuid import UUID

from qhronos.api.auth import Caller
from qhronos.api.reading import Request
from qhronos.engine.actor import Actor
from qhronos.engine.change import IfMatch
from qhronos.errors import Denied, Malformed
from qhronos.store import idempotency

IDEMPOTENCY_KEY = "Idempotency-Key"
SANE_KEY = re.compile(r"[ -~]{1,255}")
TAG = re.compile(r'\s*(?:W/)?"([^"]*)"\s*')

# For the description of a route.
TAKES_KEY = {IDEMPOTENCY_KEY: "Sent again within 24 hours, the same request gets the same answer and does nothing."}
TAKES_MATCH = {"If-Match": "The ETag of the version that is to be changed; any other answers 412."}


def actor_of(caller: Caller, request: Request) -> Actor:
    return Actor(caller.subject, caller.token_id, request.request_id, caller.visible)


def require_sight(caller: Caller, tags: Collection[str]) -> None:
    """A token writes down only what it can see afterwards."""
    if not caller.sees(tags):
        raise Denied(
            f"insufficient scope: give the event at least one of the tags {', '.join(sorted(caller.scope))}",
            field="tags",
        )


async def keyed(caller: Caller, request: Request) -> idempotency.Request | None:
    """What makes this request the same as another, if its sender asked for that."""
    given = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not given:
        return None
    if len(given) > 1 or not SANE_KEY.fullmatch(given[0]):
        raise Malformed("the Idempotency-Key is up to 255 printable ASCII characters", field=IDEMPOTENCY_KEY)
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return idempotency.Request(caller.subject, given[0], digest.digest())


def if_match(request: Request) -> IfMatch:
    """The ETags that a change accepts; None: any."""
    given = ",".join(request.headers.getall("If-Match", [])).strip()
    if given in ("", "*"):
        return None
    tags = [TAG.fullmatch(part) for part in given.split(",")]
    if not all(tags):
        raise Malformed('If-Match is an ETag such as "3-active", with its quotes', field="If-Match")
    return frozenset(tag[1] for tag in tags if tag)


def event_id_of(text: str) -> UUID:
    try:
        parsed = UUID(text)
    except ValueError as error:
        raise Malformed("invalid event ID") from error
    if str(parsed) != text.lower():
        raise Malformed("invalid event ID")
    return parsed
