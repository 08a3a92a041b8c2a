"""The ways in which an endpoint is bad, each as what it does with a request that it has read."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

from qhronos.clock import SystemClock

LONG = 120.0
SLOW = 3.0
OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(16 << 20))

Writer = asyncio.StreamWriter
_clock, _never = SystemClock(), asyncio.Event()


async def hang(_: Writer) -> None:
    await _pause(LONG)


async def be_slow(writer: Writer) -> None:
    await _pause(SLOW)
    writer.write(OK + b"content-length: 0\r\n\r\n")


async def drip_headers(writer: Writer) -> None:
    writer.write(OK)
    await _for_ever(writer, b"x-more: and more\r\n", 0.5)


async def drip_a_body(writer: Writer) -> None:
    writer.write(OK + b"content-length: 1000000\r\n\r\n")
    await _for_ever(writer, b".", 0.5)


async def send_endless_headers(writer: Writer) -> None:
    writer.write(OK)
    await _for_ever(writer, b"x-more: and more\r\n" * 1000)


async def send_an_endless_header(writer: Writer) -> None:
    writer.write(OK + b"x-more: ")
    await _for_ever(writer, b"and more " * 1000)


async def send_endless_interim_responses(writer: Writer) -> None:
    await _for_ever(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def flood(writer: Writer) -> None:
    writer.write(OK + b"content-length: 1000000000000\r\n\r\n")
    await _for_ever(writer, bytes(65_536))


async def send_endless_chunks(writer: Writer) -> None:
    writer.write(OK + b"transfer-encoding: chunked\r\n\r\n")
    await _for_ever(writer, b"1\r\n.\r\n" * 1000)


async def send_broken_chunks(writer: Writer) -> None:
    writer.write(OK + b"transfer-encoding: chunked\r\n\r\n-1\r\n.\r\n")


async def stop_half_way(writer: Writer) -> None:
    writer.write(OK + b"content-length: 10\r\n\r\nhalf")
    await _pause(LONG)


async def send_a_bomb(writer: Writer) -> None:
    writer.write(OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB)


async def answer_twice(writer: Writer) -> None:
    writer.write((OK + b"content-length: 0\r\n\r\n") * 2)


async def reset(writer: Writer) -> None:
    writer.transport.abort()


async def hang_up(writer: Writer) -> None:
    writer.close()


async def babble(writer: Writer) -> None:
    writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    writer.close()


async def lead_round_and_round(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nlocation: /poison/0\r\ncontent-length: 0\r\n\r\n")


async def lead_inside(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 307 Onward\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n")


async def have_enough(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 429 Enough\r\nretry-after: 999999999\r\ncontent-length: 0\r\n\r\n")


async def fail(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 500 Failed\r\ncontent-length: 0\r\n\r\n")


WAYS: tuple[Callable[[Writer], Awaitable[None]], ...] = (
    *(hang, be_slow, drip_headers, drip_a_body, send_endless_headers, send_an_endless_header),
    *(send_endless_interim_responses, flood, send_endless_chunks, send_broken_chunks, stop_half_way, send_a_bomb),
    *(answer_twice, reset, hang_up, babble, lead_round_and_round, lead_inside, have_enough, fail),
)


async def _for_ever(writer: Writer, data: bytes, pause: float = 0.0) -> None:
    """Until the other side has had enough."""
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()
        await _pause(pause)


async def _pause(seconds: float) -> None:
    await _clock.wait(_never, seconds)
