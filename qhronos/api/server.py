"""The HTTP server: uvicorn on a socket that is bound already."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from qhronos.config import Server

LARGEST_FRAME = 64 * 1024  # that a websocket is sent
DRAIN_SECONDS = 5  # for requests under way


class ApiServer(uvicorn.Server):
    """uvicorn as one task among others: the signals are the process', and `ready` says that it answers."""

    def __init__(
        self,
        app: Any,
        settings: Server,
        listener: socket.socket,
        wire: type[asyncio.Protocol] | None = None,
        pipe: type[asyncio.Protocol] | None = None,
    ) -> None:
        """`wire`: what speaks over websockets, if anything does. `pipe`: what speaks HTTP, if not the usual."""
        super().__init__(
            uvicorn.Config(
                app,
                http=pipe or "httptools",
                ws=wire or "none",
                ws_max_size=LARGEST_FRAME,
                ws_per_message_deflate=False,  # it takes more memory than all the rest of a socket
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # a peer is who it is, not who it says it is
                timeout_keep_alive=int(settings.timeout.total_seconds()),
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self.ready = asyncio.Event()
        self._listener = listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets or [self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
