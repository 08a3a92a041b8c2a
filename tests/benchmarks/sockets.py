"""The gateway: how many sockets one process holds, how fast it fans out, how late it is.

    python -m tests.benchmarks.sockets [--rounds N] [--connections 10000]

One `qhronos gateway` at the defaults, beside the API, the expander and the dispatcher of the other benchmarks. The sockets are
opened by processes of their own, and what is counted is what arrived there. Writes build/bench/sockets.json; ends with 1 if
something is missed. `make bench ARGS=--write-docs` puts it on its page.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any

import msgspec

from tests.benchmarks import bed as beds
from tests.benchmarks import machine, ours, usage
from tests.benchmarks.bed import Bed, Used, rest_until
from tests.benchmarks.crowd import TAG
from tests.benchmarks.crowds import Crowd
from tests.benchmarks.gates import sockets as gates
from tests.benchmarks.results import Sockets
from tests.benchmarks.work import SETTLED, Work, percentile
from tests.e2e.processes import free_port

LISTENERS = 1_000
TOLD = 60  # occurrences of a round, all due at once, each to every listener
CLIENTS = 20
RATE, SECONDS = 200, 20  # messages to clients a second, and for how long
STILL = 2.0  # seconds, for what connecting has left to do


class Scene:
    """A gateway of its own for each measurement, and what makes things happen."""

    def __init__(self, fleet: ours.Fleet, dispatcher: int) -> None:
        self.fleet = fleet
        self.dispatcher = dispatcher

    @contextmanager
    def gateway(self) -> Iterator[tuple[ExitStack, int, int]]:
        """Its pid and port; what is put on the stack ends before it."""
        port = free_port()
        process = self.fleet.start("gateway", "--port", str(port))
        with ExitStack() as stack:
            stack.callback(ours.ended, process)
            yield stack, process.pid, port

    def create(self, work: Work, **more: Any) -> Work:
        """The items as events; when they are due is decided here."""
        work = work._replace(first=math.ceil(time.time() + ours.lead(work)))
        self.fleet.create([self.fleet.event(work, item) | more for item in range(work.count)])
        return work

    def to_clients(self) -> Work:
        """So many a second, to each client in turn."""
        work = Work(RATE * SECONDS, SECONDS)
        work = work._replace(first=math.ceil(time.time() + ours.lead(work)))
        actions = [{"type": "websocket", "params": {"client_name": f"client-{n}"}} for n in range(CLIENTS)]
        events = [self.fleet.event(work, item) for item in range(work.count)]
        for item, event in enumerate(events):
            del event["webhook"]
            event["action"] = actions[item % CLIENTS]
        self.fleet.create(events)
        return work


def connections(scene: Scene, count: int) -> dict[str, float]:
    """So many listeners at once, and what they cost while nothing happens; then one message to all of them."""
    with scene.gateway() as (stack, gateway, port):
        empty, before = usage.pss([gateway]), usage.cpu([gateway])
        half = count // 2
        crowds = [
            Crowd(stack, port, "tag-listener", half),
            Crowd(stack, port, "tag-listener", count - half, first=half),
        ]
        took = max(crowd.joined() for crowd in crowds)
        spent = usage.cpu([gateway]) - before
        time.sleep(STILL)
        full, resident = usage.pss([gateway]), rss(gateway)
        work = scene.create(Work(1), tags=[TAG])
        heard = [crowd.all_heard(part) for crowd, part in zip(crowds, (half, count - half), strict=True)]
        return {
            "connected": count - sum(one.lost for one in heard),
            "seconds to connect all": took,
            "handshakes a second": count / took,
            "µs of the gateway for a handshake": spent / count * 1e6,
            "MB (PSS) with none": empty,
            "MB (PSS) with all": full,
            "MB (RSS) with all": resident,
            "KiB (PSS) for each": (full - empty) * 1e6 / 1024 / count,
            "one message to all: heard by": sum(one.count for one in heard),
            "one message to all: ms from due to the last": (max(one.last for one in heard) - work.first) * 1e3,
        }


def fan_out(scene: Scene, rounds: int) -> dict[str, float]:
    """What is due at once, told to a thousand listeners."""
    with scene.gateway() as (stack, gateway, port):
        crowd = Crowd(stack, port, "tag-listener", LISTENERS)
        crowd.joined()
        found = [fanned(scene, crowd, gateway) for _ in range(rounds)]
        return {what: median(one[what] for one in found) for what in found[0]}


def fanned(scene: Scene, crowd: Crowd, gateway: int) -> dict[str, float]:
    bed, wanted = scene.fleet.bed, TOLD * LISTENERS
    work = scene.create(Work(TOLD), tags=[TAG])
    crowd.heard()
    rest_until(work.first - 0.5)
    before, crowd_before = bed.used([gateway]), usage.cpu([crowd.pid])
    heard = crowd.all_heard(wanted)
    used, of_crowd = bed.used([gateway]).since(before), usage.cpu([crowd.pid]) - crowd_before
    return {
        "messages": heard.count,
        "missing": wanted - heard.count,
        "a second": heard.count / (heard.last - heard.first),
        "ms from due to the first": (heard.first - work.first) * 1e3,
        **costs(used, heard.count),
        "µs of the listeners": of_crowd / heard.count * 1e6,
    }


def to_clients(scene: Scene) -> dict[str, float]:
    """Messages for clients by name, spread evenly, each acknowledged."""
    bed = scene.fleet.bed
    with scene.gateway() as (stack, gateway, port):
        crowd = Crowd(stack, port, "client-hook", CLIENTS)
        crowd.joined()
        work = scene.to_clients()
        rest_until(work.first - 0.5)
        before, of_dispatcher = bed.used([gateway]), usage.cpu([scene.dispatcher])
        rest_until(work.last)
        heard = crowd.all_heard(work.count)
        time.sleep(SETTLED)
        used, of_dispatcher = bed.used([gateway]).since(before), usage.cpu([scene.dispatcher]) - of_dispatcher
        ours.settled(scene.fleet)
    late = sorted(heard.late)
    return {
        "messages": heard.count,
        "missing": work.count - heard.count,
        "ms late, p50": percentile(late, 0.5),
        "ms late, p99": percentile(late, 0.99),
        "ms late, most": late[-1],
        **costs(used, heard.count),
        "µs of the dispatcher": of_dispatcher / heard.count * 1e6,
    }


def costs(used: Used, count: int) -> dict[str, float]:
    names = ("µs of the gateway", "µs of Postgres", "µs of Valkey")
    return {name: seconds / count * 1e6 for name, seconds in zip(names, used, strict=True)}


def rss(pid: int) -> float:
    """Megabytes."""
    text = (usage.PROC / str(pid) / "status").read_text()
    (kilobytes,) = (int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))
    return kilobytes / 1e3


@contextmanager
def set_up(bed: Bed) -> Iterator[Scene]:
    with ours.started(bed) as fleet:
        fleet.start("expander")
        yield Scene(fleet, fleet.start("dispatcher").pid)


def quick(bed: Bed) -> dict[str, float]:
    with set_up(bed) as scene:
        return fan_out(scene, 1)


def measured(rounds: int, count: int) -> Sockets:
    with beds.made() as bed:
        began = time.monotonic()
        found = Sockets(began_at=datetime.now(UTC).isoformat(timespec="minutes"), machine=machine.described(bed))
        with set_up(bed) as scene:
            for name, measure in (
                ("fan-out", lambda: fan_out(scene, rounds)),
                ("clients", lambda: to_clients(scene)),
                ("connections", lambda: connections(scene, count)),
            ):
                found.numbers[name] = numbers = measure()
                print(f"{name}: " + ", ".join(f"{what} {number:,.1f}" for what, number in numbers.items()), flush=True)
        found.rounds, found.seconds = rounds, time.monotonic() - began
        return found


def raise_file_limit() -> None:
    """Of the processes here, which each hold an end of thousands of sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    flags = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sockets", description=(__doc__ or "").splitlines()[0]
    )
    flags.add_argument("--rounds", type=int, default=5, help="of the fan-out")
    flags.add_argument("--connections", type=int, default=10_000)
    given = flags.parse_args()
    raise_file_limit()
    found = measured(given.rounds, given.connections)
    beds.BUILD.mkdir(parents=True, exist_ok=True)
    (beds.BUILD / "sockets.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    judged = gates(found)
    print("\n" + "\n".join(map(str, judged)))
    print(f"{found.seconds / 60:.1f} minutes, load {os.getloadavg()[0]:.1f}; {beds.BUILD / 'sockets.json'}")
    return int(not all(gate.is_met for gate in judged))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    sys.exit(main())
