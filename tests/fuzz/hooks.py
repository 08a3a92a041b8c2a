"""What schemathesis cannot guess: ids that exist, and zones and rules that can be read. Every other case gets them.

Loaded by schemathesis through SCHEMATHESIS_HOOKS; the ids come in QHRONOS_FUZZ_IDS.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

IDS: dict[str, list[str]] = json.loads(os.environ["QHRONOS_FUZZ_IDS"])
LIKELY: dict[str, list[Any]] = {
    "timezone": ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"],
    "start_time": ["2026-03-08T02:30:00", "2999-01-01T00:00:00Z", "1999-12-31T23:59:59+14:00", None],
    "schedule": [
        None,
        "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
        {"frequency": "monthly", "by_month_day": [-1, 31]},
        {"rrule": ["FREQ=MINUTELY;INTERVAL=7"], "exdate": ["2026-03-08T02:30:00"]},
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=3",
    ],
    "webhook": [None, "http://127.0.0.1:9/hook", "https://example.com/"],
    "action": [
        None,
        {"type": "webhook", "params": {"url": "https://example.com/"}},
        {"type": "apicall", "params": {"method": "PUT", "url": "https://example.com/", "body": {"a": [1]}}},
    ],
    "retry": [None, {"max_attempts": 1}],
    "misfire": [None, {"policy": "skip"}],
    "dst": [None, {"gap": "skip"}],
    "subdaily": [None, "wall"],
    "scheduled_at": ["2026-03-08T07:30:00Z"],
    "backlog": ["skip", "fire_latest"],
}


@schemathesis.hook
def map_path_parameters(_context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    for name, ids in IDS.items():
        if parameters and name in parameters and _lucky(parameters[name]):
            parameters[name] = _one_of(ids, parameters[name])
    return parameters


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    if isinstance(body, dict):
        for name, values in LIKELY.items():
            if name in body and _lucky(body[name]):
                body[name] = _one_of(values, body[name])
    return body


def _lucky(drawn: object) -> bool:
    """Half of the time, and the same half for the same seed."""
    return len(repr(drawn)) % 2 == 0


def _one_of(choices: list[Any], drawn: object) -> Any:
    return choices[sum(repr(drawn).encode()) % len(choices)]
