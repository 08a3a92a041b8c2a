"""Who listens, who wants what of it, and what was told lately."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from qhronos.engine.announce import KINDS, Kind
from qhronos.gateway import frames
from qhronos.gateway.frames import Gap, Head, Telling, read_head
from qhronos.gateway.socket import Caller
from qhronos.metrics import GATEWAY_FRAMES

REMEMBERED = 10_000  # frames
REMEMBERED_BYTES = 32 << 20
REMEMBERED_FOR = 300.0  # seconds
SOON = 256 * 1024  # bytes; what is repeated goes no further ahead of what is read
LOST = "not everything reached this gateway"
FORGOTTEN = "this gateway does not remember so far back"
# In which frames a topic is told of. Numbers are not told in this way.
TOLD_IN = {"occurrences": "event", "events": "change"}

# Of what another version has told, which nobody here could have asked for.
STRANGE = Head(type="", kind="", event_id=UUID(int=0), tags=())

_sent = GATEWAY_FRAMES.labels("listener")


class Peer(Protocol):
    """Where frames go: a socket or a stream."""

    full_since: float | None

    @property
    def is_open(self) -> bool: ...
    @property
    def unsent(self) -> int: ...
    def tell(self, telling: Telling) -> None: ...
    def say(self, frame: msgspec.Struct) -> None: ...


class Wanted(Protocol):
    """What a listener asks for. Without topics, it is a tag listener."""

    @property
    def topics(self) -> Collection[str] | None: ...
    @property
    def tags(self) -> Collection[str] | None: ...
    @property
    def tags_match(self) -> Literal["any", "all"]: ...
    @property
    def event_ids(self) -> Collection[UUID] | None: ...
    @property
    def kinds(self) -> Collection[Kind] | None: ...


@lru_cache(maxsize=1_000)
def _shared(wanted: frozenset[Any]) -> frozenset[Any]:
    """Thousands who want the same hold it once."""
    return wanted


class Listener:
    __slots__ = ("_all", "_event_ids", "_kinds", "_tags", "after", "caller", "peer", "seen", "told_in", "topics")

    def __init__(self, peer: Peer, caller: Caller, wanted: Wanted) -> None:
        self.peer = peer
        self.caller = caller
        self.topics = _shared(frozenset(("occurrences",) if wanted.topics is None else wanted.topics))
        self.told_in = _shared(frozenset(TOLD_IN[topic] for topic in self.topics if topic in TOLD_IN))
        self.after = 0  # the number of what it has heard, here or elsewhere; what comes up to it is not for it
        self.seen = None if caller.unrestricted else caller.scope
        self._tags = _shared(frozenset(wanted.tags or ()))
        self._all = wanted.tags_match == "all"
        self._event_ids = frozenset(wanted.event_ids or ())
        self._kinds = _shared(frozenset(wanted.kinds or (("due",) if wanted.topics is None else KINDS)))

    @property
    def found_by(self) -> frozenset[str] | None:
        """What it wants has one of these tags; None: any, or none."""
        return self._tags or self.seen

    def wants(self, head: Head) -> bool:
        if head.type not in self.told_in or (self._event_ids and head.event_id not in self._event_ids):
            return False
        if head.type == "event" and head.kind not in self._kinds:
            return False
        if self.seen is not None and self.seen.isdisjoint(head.tags):
            return False
        return not self._tags or (self._tags.issubset(head.tags) if self._all else not self._tags.isdisjoint(head.tags))

    def hear(self, telling: Telling) -> None:
        _sent.inc()
        self.peer.tell(telling)


class Ears:
    """Those who hear of one sort of frames, found by tags."""

    def __init__(self) -> None:
        self._by_tag: defaultdict[str, set[Listener]] = defaultdict(set)
        self._open: set[Listener] = set()  # to whatever tags

    def add(self, listener: Listener) -> None:
        if listener.found_by is None:
            self._open.add(listener)
        for tag in listener.found_by or ():
            self._by_tag[tag].add(listener)

    def remove(self, listener: Listener) -> None:
        self._open.discard(listener)
        for tag in listener.found_by or ():
            self._by_tag[tag].discard(listener)
            if not self._by_tag[tag]:
                del self._by_tag[tag]

    def near(self, head: Head) -> set[Listener]:
        """Whoever else there is does not want it."""
        found = [self._by_tag[tag] for tag in head.tags if tag in self._by_tag]
        if self._open:
            found.append(self._open)
        return found[0] if len(found) == 1 else set().union(*found)


class Audience:
    """All listeners here, and what was told since there was the first of them."""

    def __init__(self) -> None:
        self.epoch = ""
        self.offset = 0
        self._floor = 0  # what came after it is remembered
        self._listeners: set[Listener] = set()
        self._ears = {told_in: Ears() for told_in in TOLD_IN.values()}
        self._told: deque[Telling] = deque()
        self._bytes = 0  # of what is remembered

    @property
    def count(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)
        for told_in in listener.told_in:
            self._ears[told_in].add(listener)

    def remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        for told_in in listener.told_in:
            self._ears[told_in].remove(listener)

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
            telling = Telling(now, epoch, number, _head(raw), frame)
            self.offset = number
            self._remember(telling)
            ears = self._ears.get(telling.head.type)
            for listener in ears.near(telling.head) if ears else ():
                if number > listener.after and listener.wants(telling.head):
                    listener.hear(telling)

    def catch_up(self, epoch: str, offset: int) -> None:
        """Something was told up to there, and nothing of it came here."""
        if epoch == self.epoch and offset <= self.offset:
            return
        is_anew, reached = epoch != self.epoch, self.offset
        self.begin(epoch, offset)
        for listener in self._listeners:
            listener.after = 0 if is_anew else listener.after
            missed = None if is_anew else offset - max(reached, listener.after)
            if missed is None or missed > 0:
                listener.peer.say(Gap(epoch=epoch, offset=offset, missed=missed, reason=LOST))

    def place_of(self, listener: Listener) -> tuple[str, int]:
        """How far it has heard. Without an epoch: nobody can say so yet."""
        return (self.epoch, max(self.offset, listener.after)) if listener in self._listeners else ("", 0)

    def goes_on(self, epoch: str, offset: int) -> int:
        """After which number `repeat` begins."""
        return offset if self._remembers(epoch, offset) else self._floor

    def repeat(self, listener: Listener, epoch: str, offset: int) -> int:
        """What was told since, as much as is read soon; a gap first, if that is not all. How far that is: if it has heard more
        than was told here, that far."""
        if not self._remembers(epoch, offset):
            missed = self._floor - offset if epoch == self.epoch and offset < self._floor else None
            listener.peer.say(Gap(epoch=self.epoch, offset=self._floor, missed=missed, reason=FORGOTTEN))
        reached = self.goes_on(epoch, offset)
        for telling in islice(
            self._told, min(reached, self.offset) - self._floor, None
        ):  # their numbers leave none out
            if listener.peer.unsent > SOON:
                break
            if listener.wants(telling.head):
                listener.hear(telling)
            reached = telling.offset
        listener.after = reached
        return reached

    def _remembers(self, epoch: str, offset: int) -> bool:
        """All since then. Who comes from a gateway that is ahead may have heard what has not come here yet."""
        return epoch == self.epoch and self._floor <= offset

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


def _head(raw: msgspec.Raw) -> Head:
    try:
        return read_head(raw)
    except (msgspec.DecodeError, UnicodeError):
        return STRANGE
