# ruff: noqa: T201 - this is a command
"""The chaos suite: `python -m tests.chaos --seed 1 --scenario R1 --occurrences 10000 --seconds 60`.

Prints a row a scenario, and exits with 1 if one misses its figure. The same seed asks for the same and does it at the same
moments; what the processes make of it is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

import uvloop

from tests.chaos.fleet import Size
from tests.chaos.run import SCENARIOS, Done, run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**31), help="left out: a new one, which is printed"
    )
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be repeated; left out: all")
    parser.add_argument("--occurrences", type=int, default=Size().occurrences)
    parser.add_argument("--seconds", type=int, default=Size().seconds, help="over which they are spread")
    parser.add_argument("--share", type=float, default=1.0, help="of the faults of a full run")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of all processes")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> int:
    print(f"seed {options.seed}\n", flush=True)
    print("| | scenario | measured | | s |\n|---|---|---|---|---|", flush=True)
    size = Size(options.occurrences, options.seconds, options.share)
    done = [show(await run(name, options.seed, size, options.keep)) for name in options.scenario or SCENARIOS]
    missed = [one.name for one in done if one.row.missed]
    minutes = sum(one.seconds for one in done) / 60
    tail = f"; missed: {', '.join(missed)}" if missed else ""
    print(f"\n{len(done) - len(missed)} of {len(done)} hold, in {minutes:.1f} minutes{tail}")
    return 1 if missed else 0


def show(done: Done) -> Done:
    verdict = "**missed:** " + ", ".join(done.row.missed) if done.row.missed else "holds"
    print(f"| {done.name} | {done.title} | {done.row.figures} | {verdict} | {done.seconds:.0f} |", flush=True)
    return done


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main(arguments())))
