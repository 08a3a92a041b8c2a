"""A scenario of sockets that mean harm, beside clients that must not notice."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from statistics import median
from typing import NamedTuple

from tests.benchmarks import usage
from tests.chaos import crowds
from tests.chaos.crowds import Crowd
from tests.chaos.fleet import TOKEN, Fleet
from tests.chaos.oracle import quantile
from tests.chaos.role import Role
from tests.chaos.trial import Row, Trial
from tests.e2e.processes import free_port
from tests.service.rawsocket import Raw, dialled
from tests.wires import CLOSE, CONT, PING, TEXT, frame, text, upgrade

ROUNDS = 5  # of a window without attacks and one with them
WINDOW = 8.0  # seconds
CLIENTS, RATE = 10, 50  # who are told something, and how often a second
WORSE_BY = 2.0
MOST_CPU = 0.9  # of a core
AT_ONCE = 1  # of each attack
PAUSE = 0.5  # seconds between two

HELLO = text(type="tag-listener", tags=["x"], token=TOKEN)
DEFLATE = "permessage-deflate; client_max_window_bits"
BOMB = zlib.compress(bytes(32 << 20), 9)[2:-4]


class Attack(NamedTuple):
    request: bytes
    sent: bytes
    end: int  # the status of the answer, or the code with which it is closed


ATTACKS = {
    "a page of another origin": Attack(upgrade(Origin="https://evil.example"), b"", 403),
    "no token": Attack(upgrade(), text(type="tag-listener", tags=["x"]), 4401),
    "a token that is none": Attack(upgrade(), text(type="tag-listener", tags=["x"], token="x" * 4_000), 4401),
    "no handshake": Attack(upgrade(), b"", 4408),
    "a frame of 64 KiB and a byte": Attack(upgrade(), HELLO + frame(TEXT, b" " * (64 * 1024 + 1)), 1009),
    "fragments without end": Attack(upgrade(), HELLO + frame(TEXT, fin=False) + frame(CONT, fin=False) * 1_000_000, 4429),
    "a million pings": Attack(upgrade(), HELLO + frame(PING) * 1_000_000, 4429),
    "a million pings of a stranger": Attack(upgrade(), frame(PING) * 1_000_000, 4429),
    "a compressed bomb": Attack(upgrade(Sec_WebSocket_Extensions=DEFLATE), HELLO + frame(TEXT, BOMB, rsv=4), 1002),
    "words without end": Attack(upgrade(), HELLO + text(type="ping") * 10_000, 4429),
}  # fmt: skip


class Window(NamedTuple):
    p99: float  # milliseconds
    missed: int
    cpu: float  # of a core


async def sockets_attack(trial: Trial) -> Row:
    """Sockets of ten evil sorts: each is refused or cut off, and clients beside them are served as ever."""
    fleet, port = trial.fleet, free_port()
    await fleet.start_all(dispatchers=1, expanders=1)
    gateway, windows, ends = await fleet.start_gateway(port), list[Window](), Counter[tuple[str, int]]()
    async with crowds.connected(port, "client-hook", CLIENTS) as crowd:
        for number in range(2 * trial.count(ROUNDS)):
            windows.append(await _window(fleet, crowd, gateway, port, ends if number % 2 else None))
    base, now = median(one.p99 for one in windows[::2]), median(one.p99 for one in windows[1::2])
    missed, cpu = sum(one.missed for one in windows), max(one.cpu for one in windows[1::2])
    harmful = {f"{name}: {end}": count for (name, end), count in ends.items() if end != ATTACKS[name].end}
    untried = set(ATTACKS) - {name for name, _ in ends}
    wrong = (
        f"p99 {now:.1f} ms > {WORSE_BY} × {base:.1f} ms" if now > WORSE_BY * base else "",
        f"ended otherwise: {harmful}" if harmful else "",
        f"untried: {untried}" if untried else "",
        f"{missed} messages missed" if missed else "",
        f"{cpu:.0%} of a core" if cpu > MOST_CPU else "",
        "the gateway has ended" if not gateway.lives else "",
    )
    each = ", ".join(f"{one.p99:.0f}" for one in windows)
    says = (
        f"{ends.total()} attacks of {len(ATTACKS)} sorts, each ended as it should; p99 of clients {base:.1f} ms alone, "
        f"{now:.1f} ms ({now / base:.2f} ×) meanwhile; medians of the windows, which in turn were {each} ms; the gateway "
        f"took {cpu:.0%} of a core at most, {max(one.cpu for one in windows[::2]):.0%} without them"
    )
    return Row(says, tuple(one for one in wrong if one))


async def _window(
    fleet: Fleet, crowd: Crowd, gateway: Role, port: int, ends: Counter[tuple[str, int]] | None
) -> Window:
    """`ends`: how attacks end is counted there; None: there are none."""
    count = round(WINDOW * RATE)
    await crowd.heard()
    first = await crowds.spread(fleet, count, WINDOW, action=_to_client)
    await fleet.rest((first - fleet.clock.now()).total_seconds())
    before, stop = usage.cpu([gateway.pid]), asyncio.Event()
    attackers = [
        asyncio.create_task(_attack_again(fleet, port, name, ends, stop))
        for name in (ATTACKS if ends is not None else ())
        for _ in range(AT_ONCE)
        if ends is not None
    ]
    await fleet.rest(WINDOW)
    cpu = (usage.cpu([gateway.pid]) - before) / WINDOW
    stop.set()
    await asyncio.gather(*attackers)
    await fleet.rest(crowds.AFTER)
    heard = await crowd.heard()
    return Window(quantile(sorted(heard.late), 0.99), count - heard.count, cpu)


def _to_client(number: int) -> dict[str, object]:
    return {"type": "websocket", "params": {"client_name": f"client-{number % CLIENTS}"}}


async def _attack_again(
    fleet: Fleet, port: int, name: str, ends: Counter[tuple[str, int]], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        ends[name, await _attacked(port, ATTACKS[name])] += 1
        await fleet.clock.wait(stop, PAUSE)


async def _attacked(port: int, attack: Attack) -> int:
    """How it ends."""
    async with dialled(f"ws://127.0.0.1:{port}/ws", attack.request) as raw:
        if not raw.answer.startswith(b"HTTP/1.1 101"):
            return int(raw.answer.split()[1])
        assert b"permessage-deflate" not in raw.answer
        raw.transport.write(attack.sent)
        return await _closed(raw)


async def _closed(raw: Raw) -> int:
    """0: without a code."""
    while (one := await raw.next()) is not None:
        if one.opcode == CLOSE:
            return int.from_bytes(one.payload[:2], "big")
    return 0
