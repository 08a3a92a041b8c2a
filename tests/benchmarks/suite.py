"""What is measured, and in which order: rounds in which everyone has a turn at the same work, then what is ours alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from tests.benchmarks import api, expanding, faults, idle, limit, ours, sockets
from tests.benchmarks.bed import Bed
from tests.benchmarks.peers import Peer
from tests.benchmarks.results import QHRONOS, Case, Contender, Results
from tests.benchmarks.work import Enqueue, Figures, TooLate, Work, measure

OURS = Contender(
    durable="yes",
    is_durable=True,
    settings="one dispatcher and one expander, all at the defaults; signed deliveries, fenced claims, a ledger",
)
BEHIND = 15.0  # seconds after the last instant of a spread for whoever cannot keep up
ALL = ("limit", "burst", "spread", "large", "fast", "crash", "expand", "api", "idle")


class Size(NamedTuple):
    burst: int = 10_000
    large: int = 100_000
    spread: int = 500  # items a second
    fast: int = 2_000  # the same
    spread_seconds: int = 10
    limit: int = 20_000
    crash: int = 20_000
    rules: int = 200
    requests: int = 2_000
    idle_seconds: int = 20


QUICK = Size(burst=4_000, spread_seconds=5, limit=10_000, crash=4_000, rules=200, requests=500, idle_seconds=8)


class Suite:
    def __init__(self, bed: Bed, results: Results, size: Size, peers: Sequence[Peer], only: Sequence[str]) -> None:
        self._bed = bed
        self._results = results
        self._size = size
        self._peers = peers
        self._only = only
        self._works = {
            "burst": ("Due at once", Work(size.burst)),
            "spread": (f"{size.spread} a second", self._spread(size.spread)),
            "large": ("Due at once", Work(size.large, longest=180.0)),
            "fast": (f"{size.fast:,} a second", self._spread(size.fast)),
        }

    def run(self) -> None:
        for turn in range(self._results.rounds):
            self._limits()
            for name in ("burst", "spread"):
                self._everyone(name, turn)
            self._ours("fast")
            if turn == 0:
                self._ours("large")
        self._alone("crash", lambda: faults.crash(self._bed, self._size.crash))
        self._alone("expand", lambda: expanding.expand(self._bed, self._size.rules))
        self._alone("api", lambda: api.api(self._bed, self._size.requests))
        self._alone("sockets", lambda: sockets.quick(self._bed))
        self._alone("idle", lambda: idle.idle(self._bed, self._size.idle_seconds))

    def _spread(self, rate: int) -> Work:
        return Work(rate * self._size.spread_seconds, self._size.spread_seconds, longest=BEHIND)

    def _limits(self) -> None:
        if "limit" not in self._only:
            return
        for name, one in (("bare engine", limit.engine), ("bare aiohttp", limit.aiohttp)):
            if found := one(self._bed, self._size.limit):
                self._results.limits.setdefault(name, []).append(found)
                say(f"{name:24}{found.rate:10,.0f} a second{found.cpu_us:8.0f} µs each")
            elif not any(name in remark for remark in self._results.remarks):
                self._results.remarks.append(f"{name} is not installed: `make bench-peers` does so")

    def _everyone(self, name: str, turn: int) -> None:
        """Those that take long only in the first round."""
        self._ours(name)
        for peer in self._peers:
            if name in self._only and (turn == 0 or peer.is_quick):
                self._turn(name, peer.name, peer.begin, peer.lead, self._less(name, peer))

    def _less(self, name: str, peer: Peer) -> Work:
        """As much of it as it can do in a sensible time: fewer at once, or for half as long."""
        work = self._works[name][1]
        if work.spread:
            return work if peer.is_quick else work._replace(count=work.count // 2, spread=work.spread / 2)
        return work._replace(count=min(work.count, peer.burst))

    def _ours(self, name: str) -> None:
        if name in self._only:
            self._turn(name, QHRONOS, ours.at_work, ours.lead)

    def _turn(
        self,
        name: str,
        who: str,
        begin: Callable[[Bed], AbstractContextManager[Enqueue]],
        lead: Callable[[Work], float],
        given: Work | None = None,
    ) -> None:
        title, usual = self._works[name]
        work = given or usual
        case = self._results.cases.setdefault(name, Case(title, usual.count, usual.spread))
        for patience in (1, 3):
            try:
                found = measure(self._bed, work, lead(work) * patience, begin)
            except TooLate:
                continue
            except Exception as error:  # noqa: BLE001 - one that breaks must not end the whole; it is said
                self._broke(who, title, error)
                return
            case.rounds.setdefault(who, []).append(found)
            say(line(name, who, found))
            return
        self._broke(who, title, "it did not take the items in before they were due")

    def _broke(self, who: str, title: str, why: object) -> None:
        if isinstance(why, Exception):
            traceback.print_exception(why)
        text = f"{who}, {title}: {str(why) or repr(why):.200}"
        (self._results.broken if who == QHRONOS else self._results.remarks).append(text)

    def _alone(self, name: str, scenario: Callable[[], dict[str, float]]) -> None:
        if name not in self._only:
            return
        try:
            self._results.numbers[name] = found = scenario()
        except Exception as error:  # noqa: BLE001 - as above
            self._broke(QHRONOS, name, error)
        else:
            say(f"{name}: " + ", ".join(f"{what} {number:,.1f}" for what, number in found.items()))


def line(name: str, who: str, one: Figures) -> str:
    return (
        f"{name:8}{who:24}{one.unique:8,} of {one.count:7,}{one.rate:10,.0f} a second"
        f"   p50 {one.late_p50:9,.1f} ms   p99 {one.late_p99:9,.1f} ms{one.cpu_us:8.0f} µs{one.pss_mb:7.0f} MB"
    )


def say(text: str) -> None:
    print(text, flush=True)
