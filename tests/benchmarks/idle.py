"""What a dispatcher costs that has nothing to do for a while: all that waits is planned, and due in three quarters of an hour."""

from __future__ import annotations

import time

from tests.benchmarks import ours, usage
from tests.benchmarks.bed import Bed
from tests.benchmarks.work import Work

DUE_IN = 2_700
WAITING = 1_000
QUIET = 5.0  # seconds, for what starting has left to do


def idle(bed: Bed, seconds: float) -> dict[str, float]:
    with ours.started(bed) as fleet:
        dispatcher = fleet.start("dispatcher").pid
        expander = fleet.start("expander").pid
        work = Work(WAITING, first=round(time.time()) + DUE_IN)
        fleet.create([fleet.event(work, item) for item in range(WAITING)])
        time.sleep(QUIET)
        pids = {"dispatcher": dispatcher, "expander": expander}
        before = {name: usage.cpu([pid]) for name, pid in pids.items()}
        stores = bed.used([])
        time.sleep(seconds)
        used = bed.used([]).since(stores)
        shares = {name: usage.cpu([pid]) - before[name] for name, pid in pids.items()}
        shares |= {"Postgres": used.postgres, "Valkey": used.valkey}
        numbers = {f"% of a core, {name}": share / seconds * 100 for name, share in shares.items()}
        return numbers | {f"MB of the {name}": usage.pss([pid]) for name, pid in pids.items()}
