"""A real reader of the live stream, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from tests.service.sockets import MASTER, WITHIN


class Piece(NamedTuple):
    """One event of the stream; `name` is None for what only has an id, a pause or a comment."""

    name: str | None
    id: str | None
    data: Any
    retry: int | None
    comments: int


class Reader:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def piece(self) -> Piece:
        fields: dict[str, str] = {}
        comments = 0
        async with asyncio.timeout(WITHIN):
            while (line := await anext(self._lines)) != "":
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                comments += not name
        data = json.loads(fields["data"]) if "data" in fields else None
        retry = int(fields["retry"]) if "retry" in fields else None
        return Piece(fields.get("event"), fields.get("id"), data, retry, comments)

    async def hear(self, *names: str) -> Piece:
        """The next with one of these names; without any, the next that has one."""
        while (piece := await self.piece()).name is None or (names and piece.name not in names):
            pass
        return piece

    async def ended(self) -> list[Piece]:
        """What still comes until it is complete."""
        pieces = []
        try:
            while True:
                pieces.append(await self.piece())
        except StopAsyncIteration:
            return pieces


def http_of(url: str) -> str:
    return url.replace("ws://", "http://").removesuffix("/ws")


@asynccontextmanager
async def reading(
    url: str, *, token: str | None = MASTER, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Reader]:
    """Begun: the answer to it has been read, if it is a good one."""
    given = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(timeout=WITHIN) as client,
        client.stream(
            "GET", f"{http_of(url)}/events/stream", params=query, headers=given | (headers or {})
        ) as response,
    ):
        yield Reader(response)


@asynccontextmanager
async def following(url: str, **more: Any) -> AsyncIterator[tuple[Reader, Piece]]:
    """With the acknowledgement."""
    async with reading(url, **more) as reader:
        yield reader, await reader.hear("ack")
