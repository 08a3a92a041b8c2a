"""RFC 6455, frame by frame: the cases of the Autobahn testsuite, by their numbers, against the gateway as it is.

It has no echo, so where Autobahn expects its message back, the gateway's answer to what the message says stands in for it:
`pong` for `{"type": "ping"}`, and else that it is not of a known form. What is left out: 9.* measures an echo; 12.* and 13.*
are about compression, which is not negotiated here; 1.1.8 and 7.1.6 are of messages that are longer than the gateway takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple

import pytest

from tests.service.rawsocket import Answer, dialled, listening
from tests.service.sockets import House, open_house
from tests.wires import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame, upgrade

LIMIT = 64 * 1024
NO_FORM = "invalid message format"
ASKED = b'{"type": "ping"}'  # answered by `pong`
WRONG, NO_TEXT, TOO_LONG = 1002, 1007, 1009


class Case(NamedTuple):
    number: str
    sent: Iterable[bytes]
    answers: list[Answer]


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


def words(what: str) -> bytes:
    """A question of a certain length."""
    return ASKED[:-1] + b" " * (int(what) - len(ASKED)) + b"}"


def octets(*frames: bytes) -> list[bytes]:
    """Each byte a segment of its own."""
    return [bytes([one]) for one in b"".join(frames)]


def whole(*frames: bytes) -> list[bytes]:
    """All in one segment."""
    return [b"".join(frames)]


def split(*parts: bytes, opcode: int = TEXT, between: bytes = b"") -> list[bytes]:
    """A message in so many frames, and what comes between them."""
    last = len(parts) - 1
    frames = [frame(CONT if number else opcode, part, fin=number == last) for number, part in enumerate(parts)]
    return list(chain.from_iterable((one, between) if between else (one,) for one in frames[:-1])) + frames[-1:]


LENGTHS = [
    *(Case(f"1.1.{n}", [frame(TEXT, words(size))], ["pong", "open"]) for n, size in ((2, 125), (3, 126), (4, 127), (5, 128), (6, LIMIT - 1), (7, LIMIT))),
    *(Case(f"1.2.{n}", [frame(BINARY, words(size))], ["pong", "open"]) for n, size in ((2, 125), (3, 126), (4, 127), (5, 128), (6, LIMIT - 1), (7, LIMIT))),
    Case("1.1.1", [frame(TEXT)], [NO_FORM, "open"]),
    Case("1.2.1", [frame(BINARY)], [NO_FORM, "open"]),
    Case("binary that is no text", [frame(BINARY, b"\xff\xfe")], [NO_FORM, "open"]),
    Case("a byte too long", [frame(TEXT, words(LIMIT + 1))], [TOO_LONG]),
    Case("a length alone that is too long", [bytes([0x81, 0xFF]) + (LIMIT + 1).to_bytes(8, "big")], [TOO_LONG]),
    Case("a length with its first bit set", [bytes([0x81, 0xFF]) + (1 << 63).to_bytes(8, "big")], [TOO_LONG]),
    Case("fragments too long together", split(b" " * LIMIT, b" "), [TOO_LONG]),
]  # fmt: skip
PINGS = [
    Case("2.1", [frame(PING)], [b"", "open"]),
    Case("2.2", [frame(PING, b"Hello, world!")], [b"Hello, world!", "open"]),
    Case("2.3", [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], [b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", "open"]),
    Case("2.4", [frame(PING, b"\xfe" * 125)], [b"\xfe" * 125, "open"]),
    Case("2.5", [frame(PING, b"\xfe" * 126)], [WRONG]),
    Case("2.6", octets(frame(PING, b"\xfe" * 125)), [b"\xfe" * 125, "open"]),
    Case("2.7", [frame(PONG)], ["open"]),
    Case("2.8", [frame(PONG, b"unsolicited pong payload")], ["open"]),
    Case("2.9", [frame(PONG, b"unsolicited"), frame(PING, b"ping payload")], [b"ping payload", "open"]),
    Case("2.10", [frame(PING, b"%d" % n) for n in range(10)], [*(b"%d" % n for n in range(10)), "open"]),
    Case("2.11", octets(*(frame(PING, b"%d" % n) for n in range(10))), [*(b"%d" % n for n in range(10)), "open"]),
]
RESERVED = [
    Case("3.1", [frame(TEXT, ASKED, rsv=1)], [WRONG]),
    Case("3.2", [frame(TEXT, ASKED), frame(TEXT, ASKED, rsv=2), frame(PING)], ["pong", WRONG]),
    Case("3.4", octets(frame(TEXT, ASKED), frame(TEXT, ASKED, rsv=4)), ["pong", WRONG]),
    Case("3.5", [frame(BINARY, ASKED, rsv=5)], [WRONG]),
    Case("3.6", [frame(PING, b"ping", rsv=6)], [WRONG]),
    Case("3.7", [frame(CLOSE, rsv=7)], [WRONG]),
    *(Case(f"4.1.{opcode - 2}", [frame(opcode, b"payload")], [WRONG]) for opcode in range(3, 8)),
    *(Case(f"4.2.{opcode - 10}", [frame(opcode, b"payload")], [WRONG]) for opcode in range(11, 16)),
    Case("4.1.3, after a message", [frame(TEXT, ASKED), frame(5), frame(PING)], ["pong", WRONG]),
    Case("no mask", [frame(TEXT, ASKED, mask=b"")], [WRONG]),
    Case("no mask on a ping", [frame(PING, mask=b"")], [WRONG]),
    Case("a mask of noughts", [frame(TEXT, ASKED, mask=b"\0\0\0\0")], ["pong", "open"]),
]
HALVES = ASKED[:7], ASKED[7:]
FRAGMENTS = [
    Case("5.1", split(b"fragment1", b"fragment2", opcode=PING), [WRONG]),
    Case("5.2", split(b"fragment1", b"fragment2", opcode=PONG), [WRONG]),
    Case("5.3", whole(*split(*HALVES)), ["pong", "open"]),
    Case("5.4", split(*HALVES), ["pong", "open"]),
    Case("5.5", octets(*split(*HALVES)), ["pong", "open"]),
    Case("5.6", whole(*split(*HALVES, between=frame(PING, b"ping"))), [b"ping", "pong", "open"]),
    Case("5.7", split(*HALVES, between=frame(PING, b"ping")), [b"ping", "pong", "open"]),
    Case("5.8", octets(*split(*HALVES, between=frame(PING, b"ping"))), [b"ping", "pong", "open"]),
    Case("5.9", whole(frame(CONT, b"non-continuation"), frame(TEXT, ASKED)), [WRONG]),
    Case("5.10", [frame(CONT, b"non-continuation"), frame(TEXT, ASKED)], [WRONG]),
    Case("5.11", octets(frame(CONT, b"non-continuation"), frame(TEXT, ASKED)), [WRONG]),
    Case("5.12", whole(frame(CONT, b"non-continuation", fin=False), frame(TEXT, ASKED)), [WRONG]),
    Case("5.13", [frame(CONT, b"non-continuation", fin=False), frame(TEXT, ASKED)], [WRONG]),
    Case("5.14", octets(frame(CONT, b"non-continuation", fin=False), frame(TEXT, ASKED)), [WRONG]),
    Case("5.15", [*split(*HALVES), frame(CONT, b"x", fin=False), frame(TEXT, ASKED)], ["pong", WRONG]),
    Case("5.16", [frame(CONT, b"f1", fin=False), frame(TEXT, b"f2", fin=False), frame(CONT, b"f3")] * 2, [WRONG]),
    Case("5.17", [frame(CONT, b"f1"), frame(TEXT, b"f2", fin=False), frame(CONT, b"f3")] * 2, [WRONG]),
    Case("5.18", [frame(TEXT, b"f1", fin=False), frame(TEXT, b"f2")], [WRONG]),
    Case("5.19", split(ASKED[:1], ASKED[1:2], ASKED[2:4], ASKED[4:9], ASKED[9:], between=frame(PING, b"p")), [b"p"] * 4 + ["pong", "open"]),
    Case("5.20", octets(*split(ASKED[:1], ASKED[1:], between=frame(PING, b"p"))), [b"p", "pong", "open"]),
    Case("10.1.1", split(*(words(LIMIT)[at : at + 1300] for at in range(0, LIMIT, 1300))), ["pong", "open"]),
]  # fmt: skip
GREEK = "κόσμε".encode()
FINE = {  # Autobahn's number: text
    "6.1.1": b"", "6.2.1": "Hello-µ@ßöäüàá-UTF-8!!".encode(), "6.5.5": GREEK, "6.6.2": "κ".encode(), "6.6.5": "κό".encode(),
    "6.7.1": b"\x00", "6.7.2": b"\xc2\x80", "6.7.3": b"\xe0\xa0\x80", "6.7.4": b"\xf0\x90\x80\x80", "6.9.1": b"\x7f",
    "6.9.2": b"\xdf\xbf", "6.9.3": b"\xef\xbf\xbf", "6.9.4": b"\xf4\x8f\xbf\xbf", "6.11.1": b"\xed\x9f\xbf",
    "6.11.2": b"\xee\x80\x80", "6.11.3": b"\xef\xbf\xbd", "6.11.4": b"\xf4\x8f\xbf\xbf", "6.22.1": b"\xef\xbf\xbe",
    "6.23.1": b"\xef\xbf\xbf",
}  # fmt: skip
BROKEN = {
    "6.3.1": GREEK + b"\xed\xa0\x80edited", "6.6.1": b"\xce", "6.6.3": b"\xce\xba\xe1", "6.6.4": b"\xce\xba\xe1\xbd",
    "6.8.1": b"\xf8\x88\x80\x80\x80", "6.8.2": b"\xfc\x84\x80\x80\x80\x80", "6.10.1": b"\xf7\xbf\xbf\xbf",
    "6.10.2": b"\xfb\xbf\xbf\xbf\xbf", "6.10.3": b"\xfd\xbf\xbf\xbf\xbf\xbf", "6.11.5": b"\xf4\x90\x80\x80",
    "6.12.1": b"\x80", "6.12.2": b"\xbf", "6.12.3": b"\x80\xbf", "6.12.8": bytes(range(0x80, 0xC0)),
    "6.13.1": b" ".join(bytes([one]) for one in range(0xC0, 0xE0)), "6.13.3": b" ".join(bytes([one]) for one in range(0xF0, 0xF8)),
    "6.14.1": b"\xc0", "6.14.2": b"\xe0\x80", "6.14.3": b"\xf0\x80\x80", "6.14.6": b"\xdf", "6.14.7": b"\xef\xbf",
    "6.15.1": b"\xc0\xe0\x80\xf0\x80\x80", "6.16.1": b"\xfe", "6.16.2": b"\xff", "6.17.1": b"\xc0\xaf", "6.17.2": b"\xe0\x80\xaf",
    "6.17.3": b"\xf0\x80\x80\xaf", "6.18.1": b"\xc1\xbf", "6.18.2": b"\xe0\x9f\xbf", "6.18.3": b"\xf0\x8f\xbf\xbf",
    "6.19.1": b"\xc0\x80", "6.20.1": b"\xed\xa0\x80", "6.20.2": b"\xed\xad\xbf", "6.20.7": b"\xed\xbf\xbf",
    "6.21.1": b"\xed\xa0\x80\xed\xb0\x80", "6.21.8": b"\xed\xaf\xbf\xed\xbf\xbf",
}  # fmt: skip
BAD = b"\xed\xa0\x80"  # half of a surrogate pair
TEXTS = [
    *(Case(number, [frame(TEXT, text)], [NO_FORM, "open"]) for number, text in FINE.items()),
    *(Case(number, [frame(TEXT, text)], [NO_TEXT]) for number, text in BROKEN.items()),
    Case("6.1.2", split(b"", b"", b""), [NO_FORM, "open"]),
    Case("6.1.3", split(b"", b"middle", b""), [NO_FORM, "open"]),
    Case("6.2.2", split("Hello-µ@ß".encode(), "öäüàá-UTF-8!!".encode()), [NO_FORM, "open"]),
    Case("6.2.3", split(*(bytes([one]) for one in FINE["6.2.1"])), [NO_FORM, "open"]),
    Case("6.2.4", split(*(bytes([one]) for one in GREEK)), [NO_FORM, "open"]),
    Case("6.3.2", split(*(bytes([one]) for one in BROKEN["6.3.1"])), [NO_TEXT]),
    Case("6.4.1, before its last frame", split(GREEK, BAD, b"edited")[:-1], [NO_TEXT]),
    Case("6.4.2, before its last frame", split(GREEK + b"\xf4", b"\x90", b"\x80\x80edited")[:-1], [NO_TEXT]),
    Case("in its first frame", split(GREEK + BAD, b"edited")[:-1], [NO_TEXT]),
    Case("twice in a segment", whole(frame(TEXT, BAD), frame(TEXT, BAD)), [NO_TEXT]),
    Case("cut in its last", split(GREEK, b"\xce"), [NO_TEXT]),
    Case("broken, as binary in frames", split(GREEK + b"\xff", BAD, opcode=BINARY), [NO_FORM, "open"]),
]
CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
NO_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
CLOSES = [
    Case("7.1.1", [frame(TEXT, ASKED), close(1000)], ["pong", 1000]),
    Case("7.1.2", whole(close(1000), close(1000)), [1000]),
    Case("7.1.3", whole(close(1000), frame(PING)), [1000]),
    Case("7.1.4", whole(close(1000), frame(TEXT, ASKED)), [1000]),
    Case("7.1.5", whole(frame(TEXT, HALVES[0], fin=False), close(1000), frame(CONT, HALVES[1])), [WRONG]),  # by choice
    Case("7.3.1", [frame(CLOSE)], [1005]),
    Case("7.3.2", [frame(CLOSE, b"a")], [WRONG]),
    Case("7.3.3", [close(1000)], [1000]),
    Case("7.3.4", [close(1000, b"Hello World!")], [1000]),
    Case("7.3.5", [close(1000, b"*" * 123)], [1000]),
    Case("7.3.6", [close(1000, b"*" * 124)], [WRONG]),
    Case("7.5.1", [close(1000, GREEK + BAD + b"edited")], [NO_TEXT]),
    Case("a reason that is cut", [close(1000, GREEK[:-1])], [NO_TEXT]),
    *(Case(f"7.7.{number}, {code}", [close(code)], [code]) for number, code in enumerate(CODES, 1)),
    *(Case(f"7.9.{number}, {code}", [close(code)], [WRONG]) for number, code in enumerate(NO_CODES, 1)),
]


@pytest.mark.parametrize("cases", [LENGTHS, PINGS, RESERVED, FRAGMENTS, TEXTS, CLOSES], ids=["lengths", "pings", "reserved", "fragments", "texts", "closes"])  # fmt: skip
async def test_frames_are_answered_as_autobahn_expects(house: House, cases: list[Case]):
    found = {}
    for case in cases:
        async with listening(house.url) as raw:
            await raw.say(case.sent)
            found[case.number] = await raw.answers()

    assert {case.number: case.answers for case in cases} == found


HOST = "127.0.0.1"
UPGRADES: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "as it should be": (lambda request: request, 101),
    "compression is offered": (lambda _: upgrade(HOST, Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), 101),
    "an extension that nobody knows": (lambda _: upgrade(HOST, Sec_WebSocket_Extensions="x-unknown; a=1"), 101),
    "a protocol that nobody speaks": (lambda _: upgrade(HOST, Sec_WebSocket_Protocol="x-unknown"), 101),
    "no key": (lambda request: request.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
    "a key that is too short": (lambda request: request.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
    "two keys": (lambda _: upgrade(HOST, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=="), 400),
    "an old version": (lambda request: request.replace(b"Version: 13", b"Version: 8"), 400),
    "no version": (lambda request: request.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 400),
    "another method": (lambda request: request.replace(b"GET ", b"POST "), 405),
}  # fmt: skip


async def test_what_is_no_upgrade_is_refused(house: House):
    found = {}
    for name, (change, _) in UPGRADES.items():
        async with dialled(house.url, change(upgrade(HOST))) as raw:
            found[name] = int(raw.answer.split()[1]), b"extensions" in raw.answer.lower()

    assert {name: (status, False) for name, (_, status) in UPGRADES.items()} == found
