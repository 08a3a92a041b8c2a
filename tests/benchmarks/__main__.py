"""The benchmark: everyone at the same work, in turns, on one machine, with the same stores and the same receiver.

    python -m tests.benchmarks [--quick] [--rounds N] [--only burst,spread] [--peers none|all|pg-boss,BullMQ] [--write-docs]

What counts are ratios within a run, and the median of its rounds. Writes build/bench/results.json and report.html; ends
with 1 if one of the gates is not met.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.benchmarks import bed as beds
from tests.benchmarks import machine, page, report
from tests.benchmarks.gates import FULL, QUICK, gates
from tests.benchmarks.peers import Peer
from tests.benchmarks.peers.table import PEERS
from tests.benchmarks.results import QHRONOS, Contender, Growth, Results, Sockets
from tests.benchmarks.suite import ALL, OURS, Size, Suite, say
from tests.benchmarks.suite import QUICK as QUICK_SIZE

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
Measured = TypeVar("Measured")
QUICK_ONLY = ("limit", "burst", "spread", "idle", "expand", "api", "sockets")  # the last is a part of `make bench-ws`


def main() -> int:
    flags = arguments()
    if flags.render:
        results = msgspec.json.decode((beds.BUILD / "results.json").read_bytes(), type=Results)
    else:
        results = measured(flags)
        (beds.BUILD / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    judged = gates(results, QUICK if "--quick" in results.command else FULL)
    (beds.BUILD / "report.html").write_text(report.html(results, judged, last("sockets.json", Sockets)))
    if flags.write_docs:
        DOCS.write_text(page.markdown(results, judged, last("growth.json", Growth), last("sockets.json", Sockets)))
    say("\n" + "\n".join(map(str, judged)))
    say("".join(f"\n{remark}" for remark in results.said()))
    say(f"{results.seconds / 60:.1f} minutes; {beds.BUILD / 'report.html'}")
    return int(not all(gate.is_met for gate in judged))


def arguments() -> argparse.Namespace:
    flags = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--quick", action="store_true", help="less, without peers, and lenient")
    flags.add_argument("--rounds", type=int, default=0, help="3; quickly, 2")
    flags.add_argument("--only", type=words, default=(), help=",".join(ALL))
    flags.add_argument("--peers", default="", help="all, none, or their names; left out: all, quickly none")
    flags.add_argument("--burst", type=int, help="items of a burst, where it is not the usual")
    flags.add_argument("--write-docs", action="store_true", help=f"write {DOCS.name} from what was measured")
    flags.add_argument("--render", action="store_true", help="measure nothing: report on the last run anew")
    return flags.parse_args()


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def measured(flags: argparse.Namespace) -> Results:
    size = QUICK_SIZE if flags.quick else Size()
    size = size._replace(burst=flags.burst or size.burst)
    wanted = chosen(flags.peers or ("none" if flags.quick else "all"))
    peers = [peer for peer in wanted if peer.is_installed]
    with beds.made() as bed:
        began = time.monotonic()
        results = Results(
            began_at=datetime.now(UTC).isoformat(timespec="minutes"),
            command=" ".join(sys.argv[1:]),
            rounds=flags.rounds or (2 if flags.quick else 3),
            machine=machine.described(bed),
            contenders={QHRONOS: OURS, **{peer.name: described(peer) for peer in peers}},
        )
        if missing := [peer.name for peer in wanted if not peer.is_installed]:
            results.remarks.append(f"not installed: {', '.join(missing)}; `make bench-peers` does so")
        only = flags.only or (QUICK_ONLY if flags.quick else ALL)
        Suite(bed, results, size, peers, only).run()
        results.seconds = time.monotonic() - began
    return results


def last(name: str, of: type[Measured]) -> Measured | None:
    """What the last run of another of the benchmarks measured."""
    path = beds.BUILD / name
    return msgspec.json.decode(path.read_bytes(), type=of) if path.exists() else None


def chosen(names: str) -> list[Peer]:
    if names in ("all", "none"):
        return list(PEERS) if names == "all" else []
    return [peer for peer in PEERS if peer.name in names.split(",")]


def described(peer: Peer) -> Contender:
    less = f"; {peer.burst:,} items in the burst" if peer.burst < Size().burst else ""
    return Contender(peer.durable, peer.is_durable, peer.settings + less, peer.is_tuned)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    sys.exit(main())
