"""The frames: what may come in, what goes out, and how it is closed. Texts are those of the first Qhronos."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from qhronos.engine.announce import Kind
from qhronos.engine.stats import Stats

Tag = Annotated[str, Meta(min_length=1, max_length=100)]

WINDOW = 100  # messages

INVALID_HANDSHAKE = "invalid handshake message"
INVALID_TYPE = "invalid type"
NO_TOKEN = "authentication required"  # noqa: S105 - what is said without one
NO_NAME = "client_name required for client-hook"
NO_TAGS = "tags required for tag-listener"
NO_TOPICS = "topics required for subscribe"
UNKNOWN_TOPIC = "unknown topic"
INVALID_MESSAGE = "invalid message format"
UNEXPECTED = "unexpected message type after handshake"
NOT_FOR_LISTENERS = "acknowledge not supported for {}"
NO_SUCH_MESSAGE = "no such message"
UNAVAILABLE = "unavailable"
ONLY_FOR_CLIENTS = "forward is for client-hook alone"
CANNOT_SIGN = "nothing can be signed here: hmac.default_secret is not set at this gateway"
INSUFFICIENT_ACCESS = "insufficient access level"
REVOKED = "this token was revoked"
EXPIRED = "token has expired"
REGISTERED = "subscription registered"
ACKNOWLEDGED = "acknowledged"


class Code(enum.IntEnum):
    """Why a socket is closed; 4000 and up are ours."""

    ENDING = 1012
    UNAVAILABLE = 1013
    UNREADABLE = 4400
    UNAUTHENTICATED = 4401
    DENIED = 4403
    TOO_SLOW = 4408
    REPLACED = 4409
    TOO_MANY = 4429


class Resume(Struct, frozen=True, forbid_unknown_fields=True):
    epoch: str
    seq: Annotated[int, Meta(ge=0)] = 0  # of a client: everything up to it is processed
    offset: Annotated[int, Meta(ge=0)] = 0  # of a listener: the last that it has heard


class Hello(Struct, frozen=True, forbid_unknown_fields=True):
    """The handshake. What is null is not said: so writes whoever writes all fields of a struct."""

    type: str = ""
    token: str | None = None
    client_name: str | None = None
    tags: Annotated[tuple[Tag, ...], Meta(max_length=100)] | None = None
    topics: Annotated[tuple[str, ...], Meta(max_length=100)] | None = None
    tags_match: Literal["any", "all"] = "any"
    event_ids: Annotated[tuple[UUID, ...], Meta(max_length=1000)] | None = None
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=3)] | None = None
    resume: Resume | None = None
    window: Annotated[int, Meta(ge=1, le=WINDOW)] = WINDOW  # of a client: on their way without an acknowledgement
    forward: bool = False  # a client's messages come with what a webhook would have been sent


class Word(Struct, frozen=True):
    """What comes after it."""

    type: str = ""
    seq: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    occurrence_id: str | None = None
    event_id: str | None = None
    reason: Annotated[str, Meta(max_length=1000)] | None = None
    delay: Annotated[float, Meta(ge=0, le=604_800)] | None = None
    final: bool = False

    @property
    def why(self) -> str:
        """Its reason, as it can be recorded: Postgres takes every character but one."""
        return (self.reason or "").replace("\0", "\N{REPLACEMENT CHARACTER}")


class Registered(Struct, kw_only=True, tag_field="type", tag="ack", omit_defaults=True):
    """The answer to a handshake: `seq` to a client, `offset` to a listener."""

    message: str
    epoch: str | None = None  # of a listener to nothing that is numbered
    seq: int | None = None
    offset: int | None = None
    gap: bool = False


class Acknowledged(Struct, kw_only=True, tag_field="type", tag="ack", omit_defaults=True):
    message: str
    seq: int | None = None
    occurrence_id: str | None = None
    counted: bool = True  # false: the occurrence is not completed, as the word came too late
    status: str | None = None  # what it is then


class Trouble(Struct, kw_only=True, tag_field="type", tag="error", omit_defaults=True):
    message: str
    detail: str | None = None


class Gap(Struct, kw_only=True, tag_field="type", tag="gap"):
    epoch: str
    offset: int
    missed: int | None
    reason: str


class StatsFrame(Stats, frozen=True, kw_only=True, tag_field="type", tag="stats"):
    pass


class Reconnect(Struct, kw_only=True, tag_field="type", tag="reconnect"):
    after_ms: int


class Pong(Struct, tag_field="type", tag="pong"):
    pass


class Head(Struct, frozen=True):
    """As much of what is told as decides who hears it."""

    type: str
    kind: str
    event_id: UUID
    tags: tuple[str, ...]


class Telling(NamedTuple):
    """A frame that is told."""

    at: float
    epoch: str
    offset: int
    head: Head
    frame: bytes


read_head = msgspec.json.Decoder(Head).decode
encode = msgspec.json.Encoder().encode
read_hello = msgspec.json.Decoder(Hello).decode
read_word = msgspec.json.Decoder(Word).decode


def with_more(frame: bytes, more: dict[str, Any]) -> bytes:
    """A frame that is encoded already, which has a field at least, with further fields."""
    return frame[:-1] + b"," + encode(more)[1:]
