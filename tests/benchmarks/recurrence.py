"""The recurrence engine beside python-dateutil, in one run: `make bench-recurrence`.

    python tests/benchmarks/recurrence.py [--quick]

Both are measured at their best: rules are built once, before the clock starts, and dateutil iterates wall time, which is
its fastest, and looks up in the zone only what it found. Times are of the processor; each is the median of several
rounds. What counts is a ratio: of costs measured one right after the other, and the median of those of all rounds. Ends with 1 if one is missed; `--quick` measures less and is
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
        ages = [age for age in BEGINS if age != "10 years" or "HOURLY;COUNT" not in rule]  # has nearly ended by then
        ours = {age: our_window(rule, BEGINS[age]) for age in ages}
        for age in ages:
            pair = compare(ours[age], their_window(rule, BEGINS[age]), rounds)
            say(f"{rule:28}{age:>10}{pair.first:>10.1f}{pair.second:>14.1f}{pair.ratio:>18.1f}")
            if pair.ratio < targets.never_slower:
                missed.append(f"{rule} aged {age}: dateutil is {1 / pair.ratio:.2f} times as fast")
            if rule == "FREQ=MINUTELY" and age == "10 years" and pair.ratio < targets.minutely:
                missed.append(f"{rule} aged {age}: {pair.ratio:.0f} times as fast as dateutil, not {targets.minutely}")
        ratio = compare(ours[ages[0]], ours[ages[-1]], 3 * rounds).ratio
        say(f"{'':28}{ages[-1]} / {ages[0]}: {ratio:.2f}")
        if ratio > targets.age:
            missed.append(f"{rule}: {ages[-1]} cost {ratio:.2f} times {ages[0]}, more than {targets.age}")
    return missed


Work = Callable[[], object]


def our_window(text: str, begins: datetime) -> Work:
    recurrence = settled(parse(text, now=NOW, start_time=begins, timezone=ZONE))
    return lambda: expand(recurrence, NOW, NOW + DAY, MOST)


def their_window(text: str, begins: datetime) -> Work:
    rule, zone = rrulestr(text, dtstart=begins), ZoneInfo(ZONE)
    since = NOW.astimezone(zone).replace(tzinfo=None)
    return lambda: [wall.replace(tzinfo=zone).astimezone(UTC) for wall in rule.between(since, since + DAY, inc=True)]


class Pair(NamedTuple):
    """Medians, in µs; the ratio is of the second over the first."""

    first: float
    second: float
    ratio: float


def compare(first: Work, second: Work, rounds: int) -> Pair:
    times = repeats(first), repeats(second)
    rounds = 3 if times[1] == 1 else rounds  # seconds each
    pairs = [(cost(first, times[0]), cost(second, times[1])) for _ in range(rounds)]
    firsts, seconds = zip(*pairs, strict=True)
    return Pair(statistics.median(firsts), statistics.median(seconds), statistics.median(b / a for a, b in pairs))


def repeats(work: Work) -> int:
    """So that a measurement takes some milliseconds."""
    return max(1, int(5000 / cost(work, 1)))


def cost(work: Work, times: int) -> float:
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
        pair = compare(lambda: run(recurrence, count_here), theirs, 5)  # noqa: B023 - called at once
        say(f"{text:28}{count_here / pair.first * 1e6:>14,.0f}{count_here / pair.second * 1e6:>14,.0f}")
        if pair.ratio < targets.never_slower:
            missed.append(f"{text} in a row: dateutil is {1 / pair.ratio:.2f} times as fast")
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
