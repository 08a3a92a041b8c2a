"""Websocket frames written by hand, also those that no library would write, and read without one."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"  # that of RFC 6455
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    def json(self) -> Any:
        return json.loads(self.payload)


def upgrade(host: str = "127.0.0.1", **more: str) -> bytes:
    """A request to become a socket; further headers by name, with `_` for `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())
    return UPGRADE.format(host=host, more=lines).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    """As a client sends it. `rsv`: its three reserved bits. An empty `mask`: none."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size, is_masked = len(payload), bool(mask) << 7
    if size < 126:
        head += bytes([is_masked | size])
    elif size < 1 << 16:
        head += bytes([is_masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([is_masked | 127]) + size.to_bytes(8, "big")
    return head + mask + (masked(payload, mask) if mask else payload)


def masked(payload: bytes, mask: bytes) -> bytes:
    if not payload:
        return b""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def text(**said: Any) -> bytes:
    """A frame with one JSON object."""
    return frame(TEXT, json.dumps(said).encode())


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


class Unframer:
    """Bytes of a server in, whole frames out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        data, at, found = self._rest + data, 0, []
        while head := _head(data, at):
            begin, end = head
            if end > len(data):
                break
            found.append(Frame(data[at] & 15, data[begin:end]))
            at = end
        self._rest = data[at:]
        return found


def _head(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and ends; None: not all of its head is there."""
    if len(data) < at + 2:
        return None
    size, begin = data[at + 1], at + 2
    if size >= 126:
        begin += 2 if size == 126 else 8
        if len(data) < begin:
            return None
        size = int.from_bytes(data[at + 2 : begin], "big")
    return begin, begin + size
