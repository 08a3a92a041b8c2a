"""Who listens: a client, that takes what is meant for its name, or somebody who hears of what has certain tags."""

from __future__ import annotations

import asyncio
from typing import Any

from qhronos.actions.forwarded import forwarded
from qhronos.cli.forward import Answer, Forwarder
from qhronos.cli.heard import Printer
from qhronos.cli.link import Frame, Say
from qhronos.clock import Clock
from qhronos.core.occurrence import OPEN
from qhronos.errors import Invalid

REST = 1.0  # seconds after which a word that did not count is said again
UNAVAILABLE, NO_SUCH_MESSAGE = "unavailable", "no such message"


class ByName:
    """Says yes to a message after it was printed, or what the port said. A word that may have been lost is said again, and
    what it is about is not done again."""

    def __init__(
        self, client: str, printer: Printer, forwarder: Forwarder | None, clock: Clock, most: int | None
    ) -> None:
        """`most`: messages that are taken."""
        self.name = f"client {client}"
        needed = f"client:{client} in its scope" + (", and access write to forward" if forwarder else "")
        self.denied = f"this token may not be {self.name}; it needs {needed}"
        self._client = client
        self._printer = printer
        self._forwarder = forwarder
        self._clock = clock
        self._most = most
        self._taken = 0
        self._epoch: str | None = None
        self._yes: dict[str, Frame] = {}  # said and not answered, by the occurrence
        self._no: dict[int, Frame] = {}  # the same, by the number of the message
        self._late: dict[str, Frame] = {}  # said too late, for when the occurrence comes again
        self._never = asyncio.Event()

    def hello(self) -> Frame:
        hello: Frame = {"type": "client-hook", "client_name": self._client}
        return hello | ({"forward": True} if self._forwarder else {})

    async def registered(self, answer: Frame, say: Say) -> None:
        if answer["epoch"] != self._epoch:
            self._epoch = answer["epoch"]
            self._no.clear()  # the numbers began anew
        for word in list(self._yes.values()):
            await say(word)

    async def heed(self, frame: Frame, _text: str, say: Say) -> bool:
        match frame["type"]:
            case "event":
                await self._take(frame, say)
            case "ack":
                self._answered(frame)
                self._no.pop(frame.get("seq", -1), None)
            case "error" if frame["message"] == UNAVAILABLE:
                await self._clock.wait(self._never, REST)
                for word in [*self._yes.values(), *self._no.values()]:
                    await say(word)
            case "error" if frame["message"] == NO_SUCH_MESSAGE:
                self._no.clear()  # too late, or it is settled
        return self._most is not None and self._taken >= self._most

    async def _take(self, frame: Frame, say: Say) -> None:
        if word := self._yes.get(frame["occurrence_id"]) or self._no.get(frame["seq"]):
            await say(word)
        elif self._most is None or self._taken + len(self._yes) < self._most:
            await say(await self._do(frame))

    def _answered(self, frame: Frame) -> None:
        """A yes, unless it was a no."""
        occurrence = frame.get("occurrence_id", "")
        word = self._yes.pop(occurrence, None)
        if word and frame.get("counted", True):
            self._taken += 1
        elif word:
            self._printer.late(frame)
            if frame.get("status") in OPEN:
                self._late[occurrence] = word

    async def _do(self, frame: Frame) -> Frame:
        """The word on it."""
        if word := self._late.pop(frame["occurrence_id"], None):
            return self._yes.setdefault(frame["occurrence_id"], word)
        word = await self._ask(frame)
        if word["type"] == "ack":
            self._yes[frame["occurrence_id"]] = word
        else:
            self._no[frame["seq"]] = word
        return word

    async def _ask(self, frame: Frame) -> Frame:
        """Whoever is to take it."""
        word: Frame = {"type": "ack", "occurrence_id": frame["occurrence_id"]}
        answer = None
        if self._forwarder:
            answer = await self._forwarder.post(tuple(frame["headers"].items()), frame["body"].encode())
            word = answer.word(frame)
        self._printer.event(frame, answer)
        return word


class ByTags:
    """Comes back where it was, and is told what it missed."""

    name = "a listener by these tags"
    denied = "this token may not hear of these tags; each has to be in its scope"

    def __init__(
        self, asked: dict[str, Any], printer: Printer, forwarder: Forwarder | None, clock: Clock, most: int | None
    ) -> None:
        """`asked`: what the handshake says of what to hear. `most`: events that are heard."""
        self._asked = asked
        self._printer = printer
        self._forwarder = forwarder
        self._clock = clock
        self._left = most
        self._resume: Frame | None = None

    def hello(self) -> Frame:
        return {"type": "tag-listener", **self._asked} | ({"resume": self._resume} if self._resume else {})

    async def registered(self, answer: Frame, _say: Say) -> None:
        if self._resume is None:  # else what was told since comes now
            self._go_on_after(answer)

    async def heed(self, frame: Frame, text: str, _say: Say) -> bool:
        if frame["type"] == "gap":
            self._printer.gap(frame)
        elif frame["type"] == "event":
            self._printer.event(frame, await self._forwarded(text))
            self._left = None if self._left is None else self._left - 1
        else:
            return False
        self._go_on_after(frame)
        return self._left == 0

    async def _forwarded(self, text: str) -> Answer | None:
        if self._forwarder is None:
            return None
        try:
            headers, body = forwarded(text, (), self._clock.now())
        except Invalid as error:
            return self._forwarder.cannot(str(error))
        return await self._forwarder.post(headers, body)

    def _go_on_after(self, frame: Frame) -> None:
        self._resume = {"epoch": frame["epoch"], "offset": frame["offset"]}
