"""Expanders turning rules into open occurrences and the plan, twice; and what one takes up in each store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from tests.benchmarks import ours
from tests.benchmarks.bed import Bed

EACH = 400  # occurrences of an event, all within the look-ahead; the API expands the first hundred
EVERY = 8  # seconds
STARTS_IN = timedelta(seconds=120)
WITHIN = 90.0
SOON = "UPDATE events SET next_expand_at = now()"
AGAIN = (
    "UPDATE events SET next_expand_at = now(), expanded_until = created_at, next_due_at = start_time, status = 'active'"
)


def expand(bed: Bed, events: int) -> dict[str, float]:
    with ours.started(bed) as fleet:
        bare = valkey_bytes(bed)
        fleet.create([rule(fleet) for _ in range(events)])
        pid, wanted = fleet.start("expander").pid, events * EACH
        count, before = wanted - opened(fleet), bed.used([pid])
        rate = expanded(fleet, wanted)
        used = bed.used([pid]).since(before)
        planned = valkey_bytes(bed) - bare
        fleet.execute(AGAIN)
        all_expanded(fleet)
        return {
            "occurrences": count,
            "occurrences a second": rate,
            "µs of the expander for each": used.workers / count * 1e6,
            "µs of Postgres for each": used.postgres / count * 1e6,
            "µs of Valkey for each": used.valkey / count * 1e6,
            "added by expanding again": opened(fleet) - wanted,
            "bytes of Valkey for each that is planned": planned / wanted,
            "bytes of Postgres for each that is open": size(fleet, "pending") / wanted,
            "bytes of Postgres for each event": (size(fleet, "events") + size(fleet, "event_versions")) / events,
        }


def rule(fleet: ours.Fleet) -> dict[str, Any]:
    start = (datetime.now(UTC) + STARTS_IN).replace(microsecond=0)
    return {
        "name": "bench",
        "webhook": fleet.bed.sink.url,
        "start_time": start.isoformat(),
        "schedule": f"FREQ=SECONDLY;INTERVAL={EVERY};COUNT={EACH}",
    }


def expanded(fleet: ours.Fleet, wanted: int) -> float:
    """All that is left, as if it were time for it. How many a second, from the first batch's end on."""
    before = opened(fleet)
    fleet.execute(SOON)
    until(lambda: opened(fleet) > before)
    began, begun = time.monotonic(), opened(fleet)
    assert begun < wanted, "more rules are needed: one batch was all"
    until(lambda: opened(fleet) >= wanted)
    return (wanted - begun) / (time.monotonic() - began)


def all_expanded(fleet: ours.Fleet) -> None:
    until(lambda: not fleet.query("SELECT FROM events WHERE next_expand_at <= now() LIMIT 1"))


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not check():
        assert time.monotonic() < deadline, f"expanding takes longer than {WITHIN} s"
        time.sleep(0.02)


def opened(fleet: ours.Fleet) -> int:
    return fleet.query("SELECT count(*) FROM pending")[0][0]


def size(fleet: ours.Fleet, table: str) -> int:
    return fleet.query(f"SELECT pg_total_relation_size('{table}')")[0][0]


def valkey_bytes(bed: Bed) -> int:
    with redis.Redis(unix_socket_path=str(bed.socket)) as client:
        return client.info("memory")["used_memory"]
