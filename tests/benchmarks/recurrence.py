"""The recurrence engine beside python-dateutil, in one run: `make bench-recurrence`.

    python tests/benchmarks/recurrence.py [--quick]

Both are measured at their best: rules are built once, before the clock starts, and dateutil iterates wall time, which is
its fastest, and looks up in the zone only what it found. Times are of the processor; each is the median of several
rounds, in which the two take turns. What counts is a ratio. Ends with 1 if one is missed; `--quick` measures less and is
lenient, for machines that are busy with other things.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from dateutil.rrule import rrulestr

from qhronos.core.recurrence import Recurrence, expand, is_settled, parse, settle, timezones

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DAY = timedelta(days=1)
ZONE = "Europe/Berlin"
wall = datetime.fromisoformat
# In the same phase of the year, so that each window holds the same instants.
BEGINS = {"1 day": wall("2026-11-26T01:00"), "1 year": wall("2025-11-26T01:00"), "10 years": wall("2016-11-26T01:00")}
RULES = (
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,FR",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=YEARLY",
    "FREQ=HOURLY",
    "FREQ=MINUTELY;INTERVAL=15",
    "FREQ=MINUTELY",
    "FREQ=DAILY;COUNT=20000",
    "FREQ=HOURLY;COUNT=100000",
)
MANY = ("FREQ=DAILY", "FREQ=DAILY;BYHOUR=8,20", "FREQ=WEEKLY;BYDAY=MO,WE,FR", "FREQ=WEEKLY")
EVENTS = 1_000_000
MOST = 2000


class Targets(NamedTuple):
    age: float  # the cost of the oldest over that of the youngest, at most
    minutely: float  # dateutil's cost of an old MINUTELY window over ours, at least
    never_slower: float  # dateutil's cost over ours, at least, everywhere
    seconds: float  # for a window of EVENTS events, at most


FULL = Targets(age=1.2, minutely=100, never_slower=1.0, seconds=60)
QUICK = Targets(age=2.0, minutely=50, never_slower=0.6, seconds=120)


def main() -> int:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    flags.add_argument("--quick", action="store_true")
    quick = flags.parse_args().quick
    targets = QUICK if quick else FULL
    missed = windows(5 if quick else 15, targets)
    missed += long_run(2000 if quick else 10_000, targets)
    missed += many(EVENTS // 20 if quick else EVENTS, targets)
    say("\n".join(["", *(f"MISSED: {what}" for what in missed)]) if missed else "\nevery target met")
    return bool(missed)


def windows(rounds: int, targets: Targets) -> list[str]:
    say(f"A window of 24 h, DTSTART so long ago, in {ZONE}; µs of processor time, median of {rounds}\n")
    say(f"{'rule':28}{'age':>10}{'ours':>10}{'dateutil':>14}{'dateutil / ours':>18}")
    missed = []
    for rule in RULES:
        costs = {}
        for age, begins in BEGINS.items():
            if age == "10 years" and "HOURLY;COUNT" in rule:
                continue  # has nearly ended by then
            ours, theirs = compare(rule, begins, rounds)
            costs[age] = ours
            say(f"{rule:28}{age:>10}{ours:>10.1f}{theirs:>14.1f}{theirs / ours:>18.1f}")
            if theirs / ours < targets.never_slower:
                missed.append(f"{rule} aged {age}: dateutil is {ours / theirs:.2f} times as fast")
            if rule == "FREQ=MINUTELY" and age == "10 years" and theirs / ours < targets.minutely:
                missed.append(
                    f"{rule} aged {age}: {theirs / ours:.0f} times as fast as dateutil, not {targets.minutely}"
                )
        oldest = list(costs)[-1]
        ratio = costs[oldest] / costs["1 day"]
        say(f"{'':28}{oldest} / 1 day: {ratio:.2f}")
        if ratio > targets.age:
            missed.append(f"{rule}: {oldest} cost {ratio:.2f} times 1 day, more than {targets.age}")
    return missed


def compare(text: str, begins: datetime, rounds: int) -> tuple[float, float]:
    recurrence = settled(parse(text, now=NOW, start_time=begins, timezone=ZONE))
    rule, zone = rrulestr(text, dtstart=begins), ZoneInfo(ZONE)
    since = NOW.astimezone(zone).replace(tzinfo=None)

    def ours() -> object:
        return expand(recurrence, NOW, NOW + DAY, MOST)

    def theirs() -> object:
        return [wall.replace(tzinfo=zone).astimezone(UTC) for wall in rule.between(since, since + DAY, inc=True)]

    first, second = repeats(ours), repeats(theirs)
    rounds = 3 if second == 1 else rounds  # seconds each
    pairs = [(cost(ours, first), cost(theirs, second)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def repeats(work: Callable[[], object]) -> int:
    """So that a measurement takes some milliseconds."""
    return max(1, int(5000 / cost(work, 1)))


def cost(work: Callable[[], object], times: int) -> float:
    """In µs each."""
    begin = time.process_time()
    for _ in range(times):
        work()
    return max(0.1, (time.process_time() - begin) / times * 1e6)


def long_run(count: int, targets: Targets) -> list[str]:
    missed = []
    say(f"\n{count:,} instants in a row; instants a second\n")
    say(f"{'rule':28}{'ours':>14}{'dateutil':>14}")
    zone = ZoneInfo(ZONE)
    for text in RULES[:7]:
        recurrence = parse(text, now=NOW, start_time=NOW, timezone=ZONE)
        rule = rrulestr(text, dtstart=NOW.astimezone(zone).replace(tzinfo=None))
        count_here = min(count, 5000) if "YEARLY" in text else count

        def theirs(rule: object = rule, most: int = count_here) -> int:
            return len([wall.replace(tzinfo=zone).astimezone(UTC) for wall in islice(iter(rule), most)])  # type: ignore[call-overload]

        run(recurrence, count_here)  # as dateutil, which finds the zone's changes read: they are looked up once
        begin = time.process_time()
        found = run(recurrence, count_here)
        ours_rate = found / (time.process_time() - begin)
        begin = time.process_time()
        found = theirs()
        rate = found / (time.process_time() - begin)
        say(f"{text:28}{ours_rate:>14,.0f}{rate:>14,.0f}")
        if ours_rate / rate < targets.never_slower:
            missed.append(f"{text} in a row: dateutil is {rate / ours_rate:.2f} times as fast")
    return missed


def run(recurrence: Recurrence, count: int) -> int:
    found, since = 0, NOW
    while found < count:
        step = expand(recurrence, since, None, count - found)
        found, since = found + len(step.instants), step.covered
        if step.ended or step.complete:
            break
    return found


def many(events: int, targets: Targets) -> list[str]:
    """As the expander has them: each decoded from what is stored, compiled, and expanded once."""
    names = [name for name in timezones() if name.startswith(("Europe/", "America/"))][:20]
    stored = [
        msgspec.json.encode(parse(text, now=NOW, start_time=NOW - (37 * index) * DAY, timezone=name))
        for index, (text, name) in enumerate((text, name) for text in MANY for name in names)
    ]
    decode = msgspec.json.Decoder(Recurrence).decode
    begin = time.process_time()
    instants = 0
    # Each event has a start of its own, to the minute, so that none is compiled already.
    for index in range(events):
        recurrence = decode(stored[index % len(stored)])
        own = msgspec.structs.replace(recurrence, dtstart=recurrence.dtstart + timedelta(minutes=index // len(stored)))
        instants += len(expand(own, NOW, NOW + DAY, MOST).instants)
    whole = time.process_time() - begin
    ready = [decode(text) for text in stored]
    begin = time.process_time()
    for index in range(events):
        expand(ready[index % len(ready)], NOW, NOW + DAY, MOST)
    alone = time.process_time() - begin
    say(f"\n{events:,} daily and weekly events, a window of 24 h each, {instants:,} instants; one core")
    say(f"  decoded, compiled and expanded, each with a start of its own: {whole:.1f} s")
    say(f"  the engine alone, rules compiled: {alone:.1f} s")
    scaled = alone * EVENTS / events
    return [f"{EVENTS:,} events took {scaled:.0f} s, more than {targets.seconds}"] if scaled > targets.seconds else []


def settled(recurrence: Recurrence) -> Recurrence:
    while not is_settled(recurrence):
        recurrence = settle(recurrence)
    return recurrence


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
