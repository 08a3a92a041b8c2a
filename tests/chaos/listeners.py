"""A scenario of sockets that are never read, beside others that must not notice."""

from __future__ import annotations

import asyncio
import socket
from statistics import median
from typing import NamedTuple

from tests.benchmarks.crowd import TAG
from tests.chaos import crowds
from tests.chaos.crowds import Crowd
from tests.chaos.fleet import TOKEN, Fleet
from tests.chaos.oracle import quantile
from tests.chaos.role import Role
from tests.chaos.trial import Row, Trial
from tests.e2e.processes import free_port
from tests.wires import CLOSE, Unframer, text, upgrade

READERS, SLOW = 950, 50
ROUNDS = 3  # of a window in which all read and one in which some do not
RATE = 10  # messages a second, each to all
PADDING = "x" * 8_192  # of each, so that those who do not read are full soon
CLOSED_WITHIN = 15.0
WORSE_BY = 1.2
MOST_BYTES = 64 * 1024 * (READERS + SLOW) + (64 << 20)
BUFFER, ROOM = 4_096, 1 << 20  # of a socket that is not read, and when it is after all


class Window(NamedTuple):
    p99: float  # milliseconds
    missed: int
    codes: list[int]  # with which the slow ones were closed


async def some_never_read(trial: Trial) -> Row:
    """1,000 listeners of which 50 do not read any more: they are closed within 15 s, and the others are not later for them."""
    fleet, port, windows = trial.fleet, free_port(), list[Window]()
    await fleet.start_all(dispatchers=1, expanders=1)
    gateway = await fleet.start_gateway(port)
    async with crowds.connected(port, "tag-listener", READERS) as crowd:
        watching = asyncio.create_task(_most_memory(fleet, gateway))
        for number in range(2 * trial.count(ROUNDS)):
            windows.append(await _window(fleet, crowd, port, are_read=number % 2 == 0))
        watching.cancel()
        most = await watching
    base, now = median(one.p99 for one in windows[::2]), median(one.p99 for one in windows[1::2])
    codes = [code for one in windows for code in one.codes]
    missed, open_ = sum(one.missed for one in windows), sum(code != 4408 for code in codes)
    wrong = (
        f"p99 {now:.1f} ms > {WORSE_BY} × {base:.1f} ms" if now > WORSE_BY * base else "",
        f"{open_} of the slow not closed with 4408: {sorted(set(codes))}" if open_ else "",
        f"{most >> 20} MiB > {MOST_BYTES >> 20} MiB" if most > MOST_BYTES else "",
        f"{missed} messages missed by who reads" if missed else "",
    )
    each = ", ".join(f"{one.p99:.0f}" for one in windows)
    says = (
        f"p99 {base:.1f} ms while all read, {now:.1f} ms ({now / base:.2f} ×) while {SLOW} of {READERS + SLOW} do not; medians of the windows, "
        f"which in turn were {each} ms; {len(codes) - open_} of {len(codes)} closed with 4408 within {CLOSED_WITHIN:g} s; "
        f"{most >> 20} MiB at most, of {MOST_BYTES >> 20}"
    )
    return Row(says, tuple(one for one in wrong if one))


async def _window(fleet: Fleet, crowd: Crowd, port: int, *, are_read: bool) -> Window:
    """`are_read`: so are those, too, which else are not."""
    count = round(CLOSED_WITHIN * RATE)
    slow = await asyncio.gather(*(_unread(port) for _ in range(SLOW)))
    reading = [asyncio.create_task(_closed(one, None)) for one in slow] if are_read else []
    await crowd.heard()
    hook = fleet.hook("ok/0")
    first = await crowds.spread(fleet, count, CLOSED_WITHIN, webhook=hook, metadata={"padding": PADDING})
    await fleet.rest((first - fleet.clock.now()).total_seconds() + CLOSED_WITHIN)
    for one in reading:
        one.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    codes = [] if are_read else await asyncio.gather(*(_closed(one, crowds.AFTER) for one in slow))
    await fleet.rest(crowds.AFTER)
    heard = await crowd.heard()
    return Window(quantile(sorted(heard.late), 0.99), READERS * count - heard.count, codes)


async def _unread(port: int) -> socket.socket:
    """Registered, with hardly any room for what comes; nothing of that is read from here on."""
    loop, one = asyncio.get_running_loop(), socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    one.setblocking(False)
    await loop.sock_connect(one, ("127.0.0.1", port))
    for sent, answer in ((upgrade(), b"\r\n\r\n"), (text(type="tag-listener", tags=[TAG], token=TOKEN), b"registered")):
        await loop.sock_sendall(one, sent)
        heard = b""
        while answer not in heard:
            heard += await loop.sock_recv(one, 1024)
    return one


async def _closed(one: socket.socket, within: float | None) -> int:
    """With which code it is closed when it is read; 0: it is not."""
    loop, unframer, rest = asyncio.get_running_loop(), Unframer(), b""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)  # so that all of it comes before the gateway gives up
    with one:
        try:
            async with asyncio.timeout(within):
                while rest := await loop.sock_recv(one, 1 << 16):
                    for frame in unframer.feed(rest):
                        if frame.opcode == CLOSE:
                            return int.from_bytes(frame.payload[:2], "big")
        except (TimeoutError, ConnectionError):
            pass
    return 0


async def _most_memory(fleet: Fleet, gateway: Role) -> int:
    """Until it is cancelled."""
    most = 0
    try:
        while True:
            most = max(most, gateway.memory)
            await fleet.rest(0.25)
    except asyncio.CancelledError:
        return most
