"""The receiver where there is no C compiler; as sink.c says, but at about a third of its speed."""

from __future__ import annotations

import asyncio
import re
import struct
import time

import httptools
import uvloop

RECORD = struct.Struct("=qdd")
ITEM = re.compile(rb'"item": ?(\d+)')
DUE = re.compile(rb'"due_ms": ?([\d.]+)')
records: list[bytes] = []


class Receiver(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # it is one of TCP
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = self._look(self._url) if self._parser.get_method() == b"GET" else self._keep(self._body)
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))

    def _look(self, url: bytes) -> bytes:
        if url == b"/records":
            return b"".join(records)
        if url == b"/count":
            return b"%d" % len(records)
        records.clear()
        return b""

    def _keep(self, body: bytes) -> bytes:
        item, due = ITEM.search(body), DUE.search(body)
        if item and due:
            records.append(RECORD.pack(int(item[1]), float(due[1]), time.time() * 1e3))
        return b""


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
