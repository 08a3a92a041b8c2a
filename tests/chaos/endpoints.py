"""A scenario in which endpoints are bad, beside others that must not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from qhronos.core.occurrence import Identity
from tests.chaos import load, oracle
from tests.chaos.load import event
from tests.chaos.oracle import Delivery, quantile
from tests.chaos.poisons import WAYS
from tests.chaos.trial import Row, Trial, judge

HEALTHY = 500  # a minute
ROUNDS = 3  # of a window without poison and one with it
WINDOW = 15 / 60  # of the seconds of a scenario
BURST = 0.4  # of a window; in it all of its poison falls due, so that each way has more to do than it has places
EACH = 50  # endpoints for each way to be bad, all of a way at one address, so that it is full
DEADLINE = 4  # seconds of a poisoned attempt
LEAD = 13.0  # seconds to create everything
GAP = 7.0  # seconds for what is left of the poison to go
WORSE_BY = 1.5
GROWTH = 64 << 20  # bytes
AT_ONCE = 20  # requests to the API


class Window(NamedTuple):
    begins: datetime
    ends: datetime
    healthy: set[Identity]
    poison: set[Identity]


async def endpoints_are_poisonous(trial: Trial) -> Row:
    """20 ways to be bad, 50 endpoints each, beside 500 healthy events a minute that must not notice."""
    fleet = trial.fleet
    port = await fleet.start_receiver(fleet.home / "poisoned.log")
    await fleet.start_all()
    windows = await _windows(trial, port)
    await _reach(trial, windows[0].ends)
    before = [role.memory for role in fleet.of("dispatcher")]
    parked = 0
    for window in windows[1:]:
        await _reach(trial, window.begins + (window.ends - window.begins) * BURST)
        parked += await _parked(trial, window.poison)
        await _reach(trial, window.ends)
        growth = max(role.memory - was for role, was in zip(fleet.of("dispatcher"), before, strict=True))
        await _call_off(trial, window.poison)
    healthy = {one for window in windows for one in window.healthy}
    poison = frozenset(one for window in windows for one in window.poison)
    await oracle.all_closed(fleet, healthy | poison, 60)
    findings = await oracle.compare(fleet, healthy, ignored=poison)
    log = oracle.read(fleet.log)
    p99s = [_p99(log, window.healthy) for window in windows]
    base, now = median(p99s[::2]), median(p99s[1::2])  # one in which the machine was busy elsewhere tells nothing
    each = ", ".join(f"{one * 1e3:.0f}" for one in p99s)
    attempts, too_long = await _attempts(trial, poison)
    wrong = (
        f"p99 {now * 1e3:.1f} ms > {WORSE_BY} × {base * 1e3:.1f} ms" if now > WORSE_BY * base else "",
        f"a dispatcher grew by {growth >> 20} MiB" if growth > GROWTH else "",
        f"{too_long} attempts beyond their deadline" if too_long else "",
    )
    says = (
        f"healthy p99 {base * 1e3:.1f} ms alone, {now * 1e3:.1f} ms ({now / max(base, 1e-4):.2f} ×) beside {attempts} "
        f"attempts at {len(WAYS) * EACH} endpoints of {len(WAYS)} ways, {parked} of them parked when the last had fallen due; medians of the windows, which "
        f"in turn were {each} ms; memory +{growth >> 20} MiB"
    )
    return judge(findings, *wrong, most_doubled=0, says=says)


async def _windows(trial: Trial, port: int) -> list[Window]:
    """Without and with, in turn. All is created before the first begins, so that windows differ in nothing else."""
    length = trial.size.seconds * WINDOW
    first = trial.fleet.clock.now() + timedelta(seconds=LEAD)
    windows: list[Window] = []
    for number in range(2 * ROUNDS):
        begins = first + timedelta(seconds=number * length + number // 2 * GAP)
        healthy = await _healthy(trial, begins, length)
        poison = await _poison(trial, begins, length * BURST, port) if number % 2 else set[Identity]()
        windows.append(Window(begins, begins + timedelta(seconds=length), healthy, poison))
    assert trial.fleet.clock.now() < first, "creating it took too long"
    return windows


async def _healthy(trial: Trial, begins: datetime, seconds: float) -> set[Identity]:
    count = max(20, round(HEALTHY * seconds / 60))
    ats = [begins + timedelta(seconds=trial.random.uniform(0, seconds)) for _ in range(count)]
    ids = await load.create(trial.fleet, [event(trial.fleet.hook("ok/20"), at) for at in ats])
    return {Identity(*pair) for pair in zip(ids, ats, strict=True)}


async def _poison(trial: Trial, begins: datetime, seconds: float, port: int) -> set[Identity]:
    """One occurrence for each endpoint."""
    fleet, retry = trial.fleet, {"max_attempts": 1, "timeout": DEADLINE}
    hooks = [fleet.hook(f"poison/{way}/{n}", 2 + way, port) for n in range(EACH) for way in range(len(WAYS))]
    ats = [begins + timedelta(seconds=trial.random.uniform(0, seconds)) for _ in hooks]
    ids = await load.create(fleet, [event(hook, at, retry=retry) for hook, at in zip(hooks, ats, strict=True)])
    return {Identity(*pair) for pair in zip(ids, ats, strict=True)}


async def _parked(trial: Trial, poison: set[Identity]) -> int:
    """How many were put off without an attempt, as there was no room where they go."""
    ((count,),) = await trial.fleet.query(
        "SELECT count(*) FROM pending WHERE event_id = ANY(%s) AND meant_at IS NOT NULL AND lease_until IS NULL",
        [one.event_id for one in poison],
    )
    return int(count)


async def _call_off(trial: Trial, poison: set[Identity]) -> None:
    """Whatever of it is still parked, so that the next window has none of it."""
    left = await trial.fleet.query(
        "SELECT event_id FROM pending WHERE event_id = ANY(%s)", [one.event_id for one in poison]
    )
    for start in range(0, len(left), AT_ONCE):
        some = left[start : start + AT_ONCE]
        await asyncio.gather(*(trial.fleet.call("DELETE", f"/events/{event_id}") for (event_id,) in some))


async def _reach(trial: Trial, instant: datetime) -> None:
    await trial.fleet.rest((instant - trial.fleet.clock.now()).total_seconds())


async def _attempts(trial: Trial, poison: Iterable[Identity]) -> tuple[int, int]:
    """At what is poisoned: how many, and how many of them took longer than they may."""
    ((count, too_long),) = await trial.fleet.query(
        "SELECT count(*), count(*) FILTER (WHERE finished_at - started_at > %s) FROM attempts WHERE event_id = ANY(%s)",
        timedelta(seconds=DEADLINE + 1),
        [one.event_id for one in poison],
    )
    return count, too_long


def _p99(log: Iterable[Delivery], expected: Iterable[Identity]) -> float:
    wanted = set(expected)
    return quantile(sorted(one.lateness for one in log if one.identity in wanted) or [0.0], 0.99)
