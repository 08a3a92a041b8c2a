"""The handshake: who comes, from where, and as what."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from qhronos.engine.announce import TOPICS
from qhronos.gateway import frames
from qhronos.gateway.frames import Code, Hello
from qhronos.gateway.socket import Caller, Scope


class Door(Protocol):
    """Who may come in."""

    async def admit(self, token: str) -> Caller:
        """Raises Unauthenticated, Denied, and Unavailable when nobody knows."""
        ...


class Turned(Exception):
    """A handshake that leads nowhere."""

    def __init__(self, code: Code, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


def read_hello(frame: bytes) -> Hello:
    """Raises Turned, in the order of the first Qhronos."""
    try:
        hello = frames.read_hello(frame)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Turned(Code.UNREADABLE, frames.INVALID_HANDSHAKE, str(error)) from error
    if not (hello.token or "").strip():
        raise Turned(Code.UNAUTHENTICATED, frames.NO_TOKEN)
    if hello.type == "client-hook":
        if not hello.client_name:
            raise Turned(Code.UNREADABLE, frames.NO_NAME)
    elif hello.type == "tag-listener":
        if not hello.tags:
            raise Turned(Code.UNREADABLE, frames.NO_TAGS)
    elif hello.type == "subscribe":
        _check_topics(hello)
    else:
        raise Turned(Code.UNREADABLE, frames.INVALID_TYPE)
    if hello.forward and hello.type != "client-hook":
        raise Turned(Code.UNREADABLE, frames.ONLY_FOR_CLIENTS)
    if hello.topics is not None and hello.type != "subscribe":
        raise Turned(Code.UNREADABLE, frames.INVALID_HANDSHAKE, "topics: leave it out, or say type subscribe")
    return hello


def _check_topics(hello: Hello) -> None:
    if not hello.topics:
        raise Turned(Code.UNREADABLE, frames.NO_TOPICS, f"topics: name at least one of {', '.join(TOPICS)}")
    if unknown := [topic for topic in hello.topics if topic not in TOPICS]:
        detail = f"topics: there is no {unknown[0]!r}; choose from {', '.join(TOPICS)}"
        raise Turned(Code.UNREADABLE, frames.UNKNOWN_TOPIC, detail)


def check_scope(hello: Hello, caller: Caller) -> None:
    """Raises Turned. Whoever may write can have an endpoint of theirs sent what is signed; others get nothing signed here. Who
    listens to topics is told what the token sees, as everywhere in the API."""
    if hello.forward and not caller.writes:
        raise Turned(Code.DENIED, frames.INSUFFICIENT_ACCESS)
    if caller.unrestricted or hello.type == "subscribe":
        return
    if hello.type == "client-hook":
        allowed = not caller.scope.isdisjoint({f"client:{hello.client_name}", f"user:{hello.client_name}"})
    else:
        allowed = caller.scope.issuperset(hello.tags or ())
    if not allowed:
        raise Turned(Code.DENIED, "insufficient scope")


def is_from_here(scope: Scope, origins: tuple[str, ...]) -> bool:
    """A page of another origin would act with whatever its visitor has at hand."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    if origin is None or "*" in origins:
        return True
    return origin in origins or urlsplit(origin).netloc == headers.get(b"host")
