"""What a live stream is asked for, and who serves it: a gateway, which this package does not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from msgspec import Meta, Struct

from qhronos.api.auth import Caller
from qhronos.api.event_body import Tag
from qhronos.engine.announce import TOPICS, Kind
from qhronos.errors import Malformed

USUAL = ("events", "occurrences")


class FollowEvents(Struct, frozen=True, kw_only=True):
    topics: Annotated[
        tuple[str, ...],
        Meta(
            description="Changes of events, their occurrences, and the numbers of `GET /stats` every 5 s.",
            extra_json_schema={"items": {"type": "string", "enum": list(TOPICS)}},
        ),
    ] = USUAL
    tags: tuple[Tag, ...] | None = None
    tags_match: Literal["any", "all"] = "any"
    event_ids: Annotated[tuple[UUID, ...], Meta(max_length=1000)] | None = None
    kinds: Annotated[tuple[Kind, ...], Meta(description="Of occurrences. Left out: all.")] | None = None
    last_event_id: Annotated[str, Meta(description="As the header, which wins.", max_length=100)] | None = None

    def __post_init__(self) -> None:
        choice = ", ".join(TOPICS)
        if not self.topics:
            raise Malformed(f"topics: name at least one of {choice}", field="topics")
        if unknown := [topic for topic in self.topics if topic not in TOPICS]:
            raise Malformed(f"topics: there is no {unknown[0]!r}; choose from {choice}", field="topics")


class Streams(Protocol):
    async def stream(
        self,
        scope: Any,
        receive: Any,
        send: Any,
        caller: Caller,
        token: str,
        wanted: FollowEvents,
        resume: tuple[str, int] | None,
    ) -> None:
        """Answer, until the reader goes or is sent away. Before it has begun to, raises Unauthenticated, Denied, Throttled
        and Unavailable."""
        ...
