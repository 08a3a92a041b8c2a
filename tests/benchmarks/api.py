"""One API process and 64 callers, each asking again as soon as it is answered; and many events in each request."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import msgspec

from tests.benchmarks import ours, usage
from tests.benchmarks.bed import Bed, environment
from tests.benchmarks.limit import ROOT
from tests.benchmarks.work import Work

CALLERS = 64
BULK_TIMES = 5  # as many events as other requests
LATER = 86_400.0  # seconds
BULK_CPU = "bulk: µs of the API for each"
CASES = {
    "create": ("POST", "/events"),
    "show": ("GET", "/events/{id}"),
    "list": ("GET", "/events?limit=50"),
}


class Answered(msgspec.Struct):
    """What the callers say."""

    rate: float
    p50: float  # both in milliseconds
    p99: float


def api(bed: Bed, count: int) -> dict[str, float]:
    with ours.started(bed) as fleet:
        event = {"name": "bench", "webhook": bed.sink.url, "schedule": "0 9 * * MON", "timezone": "Europe/Berlin"}
        known = fleet.call("POST", "/events", event)["id"]
        numbers = {}
        for name, (method, path) in CASES.items():
            body = msgspec.json.encode(event).decode() if method == "POST" else ""
            cpu, stores = usage.cpu([fleet.api_pid]), bed.used([])
            answered = asked(fleet, count, method, path.format(id=known), body)
            cpu, used = usage.cpu([fleet.api_pid]) - cpu, bed.used([]).since(stores)
            numbers |= {
                f"{name}: a second": answered.rate,
                f"{name}: p50 ms": answered.p50,
                f"{name}: p99 ms": answered.p99,
                f"{name}: µs of the API": cpu / count * 1e6,
                f"{name}: µs of Postgres": used.postgres / count * 1e6,
            }
        return numbers | bulk(fleet, BULK_TIMES * count)


def bulk(fleet: ours.Fleet, count: int) -> dict[str, float]:
    """Events that are due once, created a thousand at a time."""
    work = Work(count, first=math.ceil(time.time() + LATER))
    given = [fleet.event(work, item) for item in range(count)]
    fleet.create(given[: ours.BULK])  # whatever is done only once is done
    before = fleet.bed.used([fleet.api_pid])
    rate = fleet.create(given)
    used = fleet.bed.used([fleet.api_pid]).since(before)
    return {
        "bulk: events a second": rate,
        BULK_CPU: used.workers / count * 1e6,
        "bulk: µs of Postgres for each": used.postgres / count * 1e6,
    }


def asked(fleet: ours.Fleet, count: int, method: str, path: str, body: str) -> Answered:
    given = {"COUNT": str(count), "CALLERS": str(CALLERS), "METHOD": method, "BODY": body, "TOKEN": ours.TOKEN}
    env = environment(**given, URL=f"http://127.0.0.1:{fleet.port}{path}", PYTHONPATH=str(ROOT))
    command = (sys.executable, "-m", "tests.benchmarks.api_callers")
    said = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, timeout=120).stdout
    return msgspec.json.decode(said, type=Answered)
