"""A client by name: it is sent what waits for it, in order, and says what became of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from qhronos.broadcast import end_if_cancelled
from qhronos.clock import Clock
from qhronos.core.attempt import Delivered, Failed, Outcome, Refused
from qhronos.core.occurrence import Identity, Status, occurrence_id, parse_occurrence_id
from qhronos.engine.forward import Letter, Signer
from qhronos.engine.outbox import Words
from qhronos.errors import NotFound, Unavailable
from qhronos.gateway import frames
from qhronos.gateway.frames import Acknowledged, Code, Reconnect, Trouble, Word
from qhronos.gateway.socket import Socket
from qhronos.log import get_logger
from qhronos.metrics import GATEWAY_FRAMES
from qhronos.store import Database, occurrences, outbox
from qhronos.store.outbox import Asking, Connected, Look, Message, Sending

WINDOW_BYTES = 1 << 20  # on their way without an acknowledgement
OUTAGE_REST = 1.0
LONGEST_REST = 60.0
PAGE = 500  # messages settled at once that are not in hand

log = get_logger()
_sent = GATEWAY_FRAMES.labels("client")
_resent = GATEWAY_FRAMES.labels("client again")


class Sent(NamedTuple):
    message: Message
    size: int
    occurrence_id: str
    due_by: float  # when the client has to have spoken, by the monotonic clock


def _identity(text: str | None) -> Identity | None:
    """None: that is no id."""
    try:
        return parse_occurrence_id(text or "")
    except NotFound:
        return None


class Client:
    """A connection that is served. `ring` says that there may be more to send."""

    def __init__(
        self,
        socket: Socket,
        name: str,
        connected: Connected,
        database: Database,
        words: Words,
        clock: Clock,
        window: int,
        signer: Signer | None = None,
    ) -> None:
        """`signer`: for one that forwards. It is sent one message at a time, so that none waits signed for its turn."""
        self.socket = socket
        self.name = name
        self.generation = connected.generation
        self.is_shared = connected.shared  # with other connections of that name
        self._after = 0  # the highest number that was read
        self._sent_before = connected.sent_seq
        self._borrows = connected.shared
        self._database = database
        self._words = words
        self._clock = clock
        self._signer = signer
        self._window = window if signer is None else 1
        self._in_hand: dict[int, Sent] = {}
        self._busy: set[int] = set()  # what is in hand, or is just being settled
        self._doubts: list[tuple[Identity, Acknowledged]] = []  # words that did not count, not answered yet
        self._bytes = 0
        self._has_more = True
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._has_more = True
        self._rung.set()

    async def pump(self) -> None:
        """Send what waits, as far as the window lets it, until it is cancelled."""
        while self.socket.is_open:
            self._rung.clear()
            self._give_up_late()
            try:
                while self._has_more and self._room() > 0:
                    await self._send_page()
                await self._answer_doubts()
                rest = self._until_late()
            except Unavailable as error:
                log.warning("outbox.unavailable", client=self.name, error=str(error))
                rest = OUTAGE_REST
            end_if_cancelled()  # the driver may have swallowed it, and a rest is long
            await self._clock.wait(self._rung, rest)

    def _room(self) -> int:
        return self._window - len(self._in_hand) if self._bytes < WINDOW_BYTES else 0

    async def _send_page(self) -> None:
        self._has_more = False  # unless it is rung meanwhile
        limit = self._room()
        async with self._database.connection() as conn:
            asking = Asking(
                client=self.name,
                generation=self.generation,
                shared=self.is_shared,
                sent_before=self._sent_before,
                after=self._after,
            )
            now, most_bytes = self._clock.now(), WINDOW_BYTES - self._bytes
            page = await outbox.pull(conn, asking, now, limit=limit, most_bytes=most_bytes)
        for message in page:
            letter = await self._signer.letter(message, message.frame) if self._signer else None
            if self.is_shared == asking.shared:  # else something may have been passed over
                self._after = max(self._after, message.seq)
            self._send(message, letter)
        if len(page) == limit or self._bytes >= WINDOW_BYTES:  # it was cut
            self._has_more = True

    def _send(self, message: Sending, letter: Letter | str | None) -> None:
        self._borrows |= message.is_lent
        if message.seq in self._busy:
            return  # it was sent before the name came to be shared, or ceased to be
        frame = message.frame.encode()
        self._busy.add(message.seq)
        self._bytes += len(frame)
        due_by = self._clock.monotonic() + message.ack_timeout
        self._in_hand[message.seq] = Sent(message, len(frame), occurrence_id(message.identity), due_by)
        if isinstance(letter, str):
            self._say(message, Failed(reason=letter), None)
            return
        (_resent if message.again else _sent).inc()
        more: dict[str, Any] = {"seq": message.seq, "redelivered": message.again}
        if letter:
            more |= {"headers": dict(letter.headers), "body": letter.body.decode()}
        self.socket.push(frames.with_more(frame, more))

    # what it says

    async def heed(self, word: Word) -> bool:
        """Whether the word was on a message."""
        match word.type:
            case "ack":
                return await self._acknowledge(word)
            case "nack":
                return await self._refuse(word)
            case _:
                self.socket.say(Trouble(message=frames.UNEXPECTED))
                return False

    async def resume(self, seq: int) -> set[int]:
        """Everything up to that number was processed; returns, when that is committed, of which that was heard now."""
        heard: set[int] = set()
        while True:
            async with self._database.connection() as conn:
                found = await outbox.waiting_until(conn, self.name, self.generation, seq, PAGE, shared=self.is_shared)
            if not found:
                return heard
            words = [asyncio.get_running_loop().create_future() for _ in found]
            for message, word in zip(found, words, strict=True):
                self._words.say(message, Delivered(), word.set_result)
            counted = {
                message.seq for message, counts in zip(found, await asyncio.gather(*words), strict=True) if counts
            }
            if not counted:
                return heard
            heard |= counted

    async def _acknowledge(self, word: Word) -> bool:
        answer = Acknowledged(message=frames.ACKNOWLEDGED, seq=word.seq, occurrence_id=word.occurrence_id)
        if word.seq is not None:
            await self._acknowledge_until(word.seq, answer)
            return True
        message = await self._find(word)
        if message is None:
            identity = _identity(word.occurrence_id)
            self.socket.say(await self._doubted(identity, answer) if identity else answer)
            return False
        self._say(message, Delivered(), answer)
        return True

    async def _acknowledge_until(self, seq: int, answer: Acknowledged) -> None:
        meant = [sent.message for number, sent in self._in_hand.items() if number <= seq]
        if seq > self._after:
            heard = await self.resume(seq)  # an older connection was sent these
            for message in meant:
                if message.seq in heard:
                    self._let_go(message)
                    self._busy.discard(message.seq)
            meant = [message for message in meant if message.seq in self._in_hand]
        for message in meant[:-1]:
            self._say(message, Delivered(), None)
        if meant:
            self._say(meant[-1], Delivered(), answer)  # committed with, or after, the others
        else:
            self.socket.say(answer)

    async def _refuse(self, word: Word) -> bool:
        message = await self._find(word)
        if message is None:
            self.socket.say(Trouble(message=frames.NO_SUCH_MESSAGE))
            return False
        reason = f"not acknowledged: {word.why or 'the client gave no reason'}"
        delay = None if word.delay is None else timedelta(seconds=word.delay)
        outcome = Refused(reason=reason) if word.final else Failed(reason=reason, retry_after=delay)
        answer = Acknowledged(message=frames.ACKNOWLEDGED, seq=word.seq, occurrence_id=word.occurrence_id)
        self._say(message, outcome, answer)
        return True

    async def _find(self, word: Word) -> Message | None:
        """The message that is meant: in hand, or sent over an older connection."""
        if word.seq is not None:
            return self._in_hand[word.seq].message if word.seq in self._in_hand else None
        if not word.occurrence_id:  # the first Qhronos' frames had none: the oldest of that event
            return next((s.message for s in self._in_hand.values() if str(s.message.event_id) == word.event_id), None)
        found = next((s.message for s in self._in_hand.values() if s.occurrence_id == word.occurrence_id), None)
        if found:
            return found
        identity = _identity(word.occurrence_id)
        if identity is None:
            return None
        async with self._database.connection() as conn:
            return await outbox.waiting_one(conn, self.name, identity)

    def _say(self, message: Message, outcome: Outcome, answer: Acknowledged | None) -> None:
        self._let_go(message)

        def settled(is_first: bool) -> None:  # noqa: FBT001 - what a settlement says
            self._busy.discard(message.seq)
            if answer and answer.occurrence_id and not is_first:
                self._doubts.append((message.identity, answer))
                self._rung.set()
            elif answer and self.socket.is_open:
                self.socket.say(answer)

        self._words.say(message, outcome, settled)

    async def _answer_doubts(self) -> None:
        while self._doubts:
            self.socket.say(await self._doubted(*self._doubts[0]))
            del self._doubts[0]

    async def _doubted(self, identity: Identity, answer: Acknowledged) -> Acknowledged:
        """The answer to a word that did not count. What is completed was acknowledged before, as far as anybody can tell."""
        async with self._database.connection() as conn:
            is_ours = await outbox.is_told(conn, self.name, identity.event_id)
            found = await occurrences.get(conn, identity, None, self._clock.now()) if is_ours else None
        if found and found.status == Status.COMPLETED:
            return answer
        return msgspec.structs.replace(answer, counted=False, status=found.status if found else None)

    def _let_go(self, message: Message) -> None:
        sent = self._in_hand.pop(message.seq, None)
        if sent:
            self._bytes -= sent.size
            self._rung.set()

    # what it does not say

    def _give_up_late(self) -> None:
        now = self._clock.monotonic()
        for sent in [sent for sent in self._in_hand.values() if sent.due_by <= now]:
            seconds = f"{sent.message.ack_timeout:g}"
            self._say(sent.message, Failed(reason=f"not acknowledged within {seconds} s"), None)

    def _until_late(self) -> float:
        soonest = min((sent.due_by for sent in self._in_hand.values()), default=None)
        if soonest is None:
            return LONGEST_REST
        return min(LONGEST_REST, max(0.0, soonest - self._clock.monotonic()))

    # others of its name

    def look(self, look: Look) -> None:
        """How the name stands."""
        if look.shared is not None and self.generation < look.generation:
            self.outdone(is_shared=look.shared)
        elif look.shared is not None and self.generation == look.generation:
            self._share(is_shared=look.shared)
        if look.last_seq > self._after or (self._borrows and look.waiting > len(self._in_hand)):
            self.ring()

    def outdone(self, *, is_shared: bool) -> None:
        """There is a newer connection, and it is served; this one is if they share the name."""
        if is_shared:
            self._share(is_shared=True)
        elif self.is_shared:
            self.ask_back("this name is not shared any more")  # and the newer may be gone
        else:
            self.replaced()

    def _share(self, *, is_shared: bool) -> None:
        if is_shared == self.is_shared:
            return
        self.is_shared = is_shared
        self._borrows |= is_shared
        if not is_shared:
            self._after = 0  # what was lent to others may have been passed over here
        self.ring()  # if it is, what is in hand here becomes lent

    def replaced(self) -> None:
        self.socket.close(Code.REPLACED, "a newer connection of this client is served")

    def ask_back(self, reason: str) -> None:
        self.socket.say(Reconnect(after_ms=0))
        self.socket.close(Code.ENDING, reason)

    async def leave(self) -> bool:
        """Give back what it was lent; whether there was something for others. Raises Unavailable."""
        if not self._borrows:
            return False
        async with self._database.connection() as conn:
            settling = self._busy - self._in_hand.keys()
            return await outbox.give_back(conn, self.name, self.generation, settling, self._clock.now())
