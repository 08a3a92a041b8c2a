"""`qhronos listen`: what is due, as it happens, on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from qhronos.cli import hush
from qhronos.cli.client import Api, uses_api
from qhronos.clock import SystemClock

if TYPE_CHECKING:
    from qhronos.cli.forward import Forwarder
    from qhronos.cli.link import Hearer

KINDS = ["due", "completed", "failed"]
# A terminal or a program that wraps this one tells it as well: one signal, that comes twice.
ECHO_SECONDS = 1.0
INTERRUPTED = 130


@click.command()
@click.option(
    "--client", metavar="NAME", help="Take what is meant for the client of that name; it is kept until it is taken."
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Hear of whatever has this tag; what happens while this does not run is missed; repeatable.",
)
@click.option("--tags-match", type=click.Choice(["any", "all"]), help="Of several tags.  [default: any]")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="What to hear of by tags; repeatable.  [default: due]",
)
@click.option("--forward-to", metavar="URL", help="POST each of them there, as a webhook would come.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines for people, or an object of JSON each.",
)
@click.option(
    "--exit-after",
    "most",
    type=click.IntRange(1),
    metavar="N",
    help="End after N: of a client, messages that were taken.",
)
@uses_api
def listen(
    *,
    api: Api,
    client: str | None,
    tags: tuple[str, ...],
    tags_match: str | None,
    kinds: tuple[str, ...],
    forward_to: str | None,
    form: str,
    most: int | None,
) -> None:
    """Hear what is due as it happens, and forward it to a port of yours.

    With --client a message is taken once it was printed, or once the port has answered 2xx; what was not taken comes again,
    also after this has ended. What is forwarded is signed as a webhook is. With --tag nothing is taken from anybody, what
    happens while this does not run is missed, and what is forwarded is not signed.

    It comes back by itself when the connection is lost, or the server starts anew. Ctrl-C ends it.
    """
    wanted = Wanted(client, tags, tags_match, kinds, forward_to, form, most)
    wanted.check()
    try:
        _until_interrupted(_listen(api, wanted))
    except BrokenPipeError:
        hush()  # click would call it a failure


class Wanted(NamedTuple):
    client: str | None
    tags: tuple[str, ...]
    tags_match: str | None
    kinds: tuple[str, ...]
    forward_to: str | None
    form: str
    most: int | None

    def check(self) -> None:
        """Raises UsageError for what does not go together."""
        if bool(self.client) == bool(self.tags):
            raise click.UsageError("say either --client or --tag: who listens, or what to listen for")
        if self.client and (self.tags_match or self.kinds):
            raise click.UsageError("--tags-match and --kind go with --tag; a client takes what is meant for it")
        if self.forward_to and set(self.kinds) - {"due"}:
            raise click.UsageError("--forward-to is for what is due; an end is told to nobody's endpoint")

    @property
    def asked(self) -> dict[str, Any]:
        """Of a handshake by tags."""
        chosen = {"tags_match": self.tags_match, "kinds": self.kinds}
        return {"tags": self.tags} | {name: value for name, value in chosen.items() if value}

    def sentence(self, forwarder: Forwarder | None) -> str:
        """What is waited for, and what becomes of it."""
        if self.client:
            taken = f"{forwarder.address} has answered 2xx" if forwarder else "it was printed"
            return f"Waiting for messages to client {self.client}; each is taken once {taken}. Ctrl-C ends this."
        which = f"{self.tags_match or 'any'} of the tags" if len(self.tags) > 1 else "the tag"
        kinds = " or ".join(self.kinds or ("due",))
        onward = (
            f" It is forwarded to {forwarder.address}, unsigned: only a --client gets signatures." if forwarder else ""
        )
        return f"Waiting for what is {kinds} and has {which} {', '.join(self.tags)}.{onward} Ctrl-C ends this."


async def _listen(api: Api, wanted: Wanted) -> None:
    from qhronos.cli.forward import Forwarder
    from qhronos.cli.heard import Printer
    from qhronos.cli.hearers import ByName, ByTags
    from qhronos.cli.link import Link

    clock = SystemClock()
    forwarder = Forwarder(wanted.forward_to, clock) if wanted.forward_to else None
    printer = Printer(wanted.form, clock)
    hearer: Hearer
    if wanted.client:
        hearer = ByName(wanted.client, printer, forwarder, clock, wanted.most)
    else:
        hearer = ByTags(wanted.asked, printer, forwarder, clock, wanted.most)
    link = Link(api.url, api.token, clock, lambda text: click.echo(text, err=True))
    try:
        await link.follow(hearer, wanted.sentence(forwarder))
    finally:
        if forwarder:
            await forwarder.close()


def _until_interrupted(main: Coroutine[Any, Any, None]) -> None:
    """Run it. A first Ctrl-C ends it in good order, a later one at once."""
    with asyncio.Runner() as runner:
        interruption = Interruption(runner.get_loop())
        before = {number: signal.signal(number, interruption) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            runner.run(interruption.guard(main))
        except asyncio.CancelledError:
            return  # what comes now disturbs nothing: the handler stays to the end of the program
        finally:
            if not interruption.has_come:
                for number, handler in before.items():
                    signal.signal(number, handler)


class Interruption:
    """A handler of signals that raises nothing, wherever in the program one comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clock = SystemClock()
        self._task: asyncio.Task[None] | None = None
        self._came_at = float("inf")

    @property
    def has_come(self) -> bool:
        return self._came_at < float("inf")

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        now = self._clock.monotonic()
        if now - self._came_at >= ECHO_SECONDS:
            os._exit(INTERRUPTED)
        if not self.has_come:
            self._came_at = now
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._cancel)

    async def guard(self, main: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(main)
        if self.has_come:
            self._task.cancel()
        await self._task

    def _cancel(self) -> None:
        if self._task:
            self._task.cancel()
