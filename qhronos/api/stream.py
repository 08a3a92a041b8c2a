"""What happens, as it happens: Server-Sent Events."""

from __future__ import annotations

import re
from typing import Any

from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.api.frame import ENDLESS
from qhronos.api.live import FollowEvents, Streams
from qhronos.api.reading import Request
from qhronos.errors import Malformed, NotFound

RESUMES = "Last-Event-ID"
PLACE = re.compile(r"([0-9a-f]{32})-(\d{1,18})")
ELSEWHERE = "this process serves no stream; a gateway does, at the same path: ask `qhronos gateway` or `qhronos up`"


class Live(ASGIResponse):
    """An answer that somebody else gives, and that has no end."""

    def __init__(
        self, streams: Streams, caller: Caller, token: str, wanted: FollowEvents, resume: tuple[str, int] | None
    ) -> None:
        super().__init__()
        self._given = (caller, token, wanted, resume)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: Any = scope
        state[ENDLESS] = True
        await self._streams.stream(scope, receive, send, *self._given)


@get(
    "/events/stream",
    opt=needs(
        Access.READ,
        NotFound,
        headers={
            RESUMES: "The id of the last event that was read: what came after it is sent first, as far as it is known."
        },
        texts=("text/event-stream",),
    ),
    tags=["events"],
    summary="Follow what happens, as Server-Sent Events",
)
async def follow_events(
    deps: Given[Deps], caller: Given[Caller], request: Request, wanted: Given[FollowEvents]
) -> ASGIResponse:
    """Changes of events and what becomes of their occurrences, as far as the token sees them, until the connection ends.

    A gateway serves it: `qhronos gateway`, or `qhronos up`, which is one. Frames and rules are those of its websocket."""
    if deps.streams is None:
        raise NotFound(ELSEWHERE)
    token = request.headers["authorization"].partition(" ")[2].strip()
    return Live(deps.streams, caller, token, wanted, _resume(request.headers.get(RESUMES), wanted.last_event_id))


def _resume(header: str | None, parameter: str | None) -> tuple[str, int] | None:
    """A reader that comes back by itself still has the parameter that it first came with."""
    name, given = (RESUMES, header) if header else ("last_event_id", parameter)
    if not given:
        return None
    place = PLACE.fullmatch(given)
    if place is None:
        raise Malformed(f"{name}: is not the id of an event of a stream; leave it out to begin now", field=name)
    return place[1], int(place[2])


HANDLERS = [follow_events]
