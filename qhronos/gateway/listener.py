"""Who listens by tags, who wants what of it, and what was told lately."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from qhronos.gateway import frames
from qhronos.gateway.frames import Gap, Hello
from qhronos.gateway.socket import Socket
from qhronos.metrics import GATEWAY_FRAMES

REMEMBERED = 10_000  # frames
REMEMBERED_BYTES = 32 << 20
REMEMBERED_FOR = 300.0  # seconds
LOST = "not everything reached this gateway"
FORGOTTEN = "this gateway does not remember so far back"

_sent = GATEWAY_FRAMES.labels("listener")


class Head(Struct, frozen=True):
    """As much of a frame as decides who hears it."""

    kind: str
    event_id: UUID
    tags: tuple[str, ...]


read_head = msgspec.json.Decoder(Head).decode


class Telling(NamedTuple):
    """A frame that is told."""

    at: float
    offset: int
    head: Head
    frame: bytes


class Listener:
    def __init__(self, socket: Socket, hello: Hello) -> None:
        assert socket.caller is not None  # noqa: S101 - it was let in
        self.socket = socket
        self.tags = frozenset(hello.tags or ())
        self._all = hello.tags_match == "all"
        self._event_ids = frozenset(hello.event_ids or ())
        self._kinds = frozenset(hello.kinds)
        self._seen = None if socket.caller.unrestricted else socket.caller.scope

    def wants(self, head: Head) -> bool:
        if head.kind not in self._kinds or (self._event_ids and head.event_id not in self._event_ids):
            return False
        if self._seen is not None and self._seen.isdisjoint(head.tags):
            return False
        return self.tags.issubset(head.tags) if self._all else not self.tags.isdisjoint(head.tags)

    def hear(self, telling: Telling) -> None:
        _sent.inc()
        self.socket.push(telling.frame)


class Audience:
    """All listeners here, and what was told since there was the first of them."""

    def __init__(self) -> None:
        self.epoch = ""
        self.offset = 0
        self._floor = 0  # what came after it is remembered
        self._by_tag: defaultdict[str, set[Listener]] = defaultdict(set)
        self._told: deque[Telling] = deque()
        self._bytes = 0  # of what is remembered
        self.count = 0

    def add(self, listener: Listener) -> None:
        self.count += 1
        for tag in listener.tags:
            self._by_tag[tag].add(listener)

    def remove(self, listener: Listener) -> None:
        self.count -= 1
        for tag in listener.tags:
            self._by_tag[tag].discard(listener)
            if not self._by_tag[tag]:
                del self._by_tag[tag]

    def everybody(self) -> set[Listener]:
        return set().union(*self._by_tag.values())

    def begin(self, epoch: str, offset: int) -> None:
        """Nothing is remembered, and what follows comes after this."""
        self.epoch, self.offset, self._floor = epoch, offset, offset
        self._told.clear()
        self._bytes = 0

    def tell(self, epoch: str, last: int, told: list[msgspec.Raw], now: float) -> None:
        """Frames with the numbers up to `last`. What is missing before them is made known."""
        self.catch_up(epoch, last - len(told))
        for number, raw in enumerate(told, last - len(told) + 1):
            if number <= self.offset:
                continue  # it was on its way when listening began
            frame = frames.with_more(bytes(raw), {"epoch": epoch, "offset": number})
            telling = Telling(now, number, read_head(raw), frame)
            self.offset = number
            self._remember(telling)
            for listener in self._candidates(telling.head):
                if listener.wants(telling.head):
                    listener.hear(telling)

    def catch_up(self, epoch: str, offset: int) -> None:
        """Something was told up to there, and nothing of it came here."""
        if epoch == self.epoch and offset <= self.offset:
            return
        missed = offset - self.offset if epoch == self.epoch else None
        self.begin(epoch, offset)
        gap = frames.encode(Gap(epoch=epoch, offset=offset, missed=missed, reason=LOST))
        for listener in self.everybody():
            listener.socket.push(gap)

    def repeat(self, listener: Listener, epoch: str, offset: int) -> None:
        """What was told since; a gap first, if that is not all."""
        if epoch != self.epoch or not self._floor <= offset <= self.offset:
            missed = self._floor - offset if epoch == self.epoch and offset < self._floor else None
            listener.socket.say(Gap(epoch=self.epoch, offset=self._floor, missed=missed, reason=FORGOTTEN))
            offset = self._floor
        for telling in self._told:
            if telling.offset > offset and listener.wants(telling.head):
                listener.hear(telling)

    def _remember(self, telling: Telling) -> None:
        self._told.append(telling)
        self._bytes += len(telling.frame)
        while self._told and self._is_too_much(telling.at):
            oldest = self._told.popleft()
            self._bytes -= len(oldest.frame)
            self._floor = oldest.offset

    def _is_too_much(self, now: float) -> bool:
        is_old = self._told[0].at < now - REMEMBERED_FOR
        return is_old or len(self._told) > REMEMBERED or self._bytes > REMEMBERED_BYTES

    def _candidates(self, head: Head) -> Iterator[Listener]:
        found = [self._by_tag[tag] for tag in head.tags if tag in self._by_tag]
        return iter(found[0] if len(found) == 1 else set().union(*found))
