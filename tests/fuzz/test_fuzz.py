"""Requests without end at every route of a running product: it may refuse, but it may not fall over, nor answer what its
description does not say.

`make fuzz` sends QHRONOS_FUZZ_CASES of them; the same QHRONOS_FUZZ_SEED sends the same.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sys
from pathlib import Path

import httpx

from tests.e2e.processes import free_port, started, up

CASES = int(os.environ.get("QHRONOS_FUZZ_CASES", "200"))
SEED = os.environ.get("QHRONOS_FUZZ_SEED", "0")
UNLIMITED = {"QHRONOS_RATE_LIMIT__ENABLED": "false"}
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,allow_header_conformance,ignored_auth,use_after_free,ensure_resource_availability"
)
ENDLESS = "/events/stream"  # its answer is never read to the end; tests/service/test_stream.py has what it refuses
SPARE = 1.3  # some routes take so little that there are fewer cases than their part


async def plant(running):
    """A few events and what they left, for the ids in the paths."""
    ids = {"event_id": [], "occurrence_id": []}
    nobody = f"http://127.0.0.1:{free_port()}/"
    for n in range(6):
        rule = {"schedule": "FREQ=DAILY"} if n % 2 else {}
        body = {"name": f"planted {n}", "webhook": nobody, "tags": ["a", "b"], **rule}
        _, event = await running.call("POST", "/events", body)
        _, ran = await running.call("POST", f"/events/{event['id']}/run", {})
        ids["event_id"].append(event["id"])
        ids["occurrence_id"].append(ran["occurrence_id"])
    return ids


def fuzz(running, ids, operations):
    return started(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/schema/openapi.json"),
        *("--header", f"Authorization: Bearer {running.token}", "--seed", SEED, "--checks", CHECKS),
        *("--max-examples", str(math.ceil(SPARE * CASES / operations)), "--continue-on-failure", "--no-color"),
        *("--suppress-health-check", "all", "--request-timeout", "30"),
        *("--exclude-path", ENDLESS),
        env={
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "QHRONOS_FUZZ_IDS": json.dumps(ids),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )


async def test_no_route_falls_over_or_answers_what_it_does_not_describe(tmp_path):
    async with up(tmp_path / "data", "--log-level", "error", env=UNLIMITED) as running:
        ids = await plant(running)
        async with httpx.AsyncClient() as client:  # ours, which `call` uses, reads no answers as long as this one
            description = (await client.get(f"{running.url}/schema/openapi.json")).json()
        operations = sum(len(path) for name, path in description["paths"].items() if name != ENDLESS)
        async with fuzz(running, ids, operations) as process:
            async with asyncio.timeout(3600):
                code = await process.ended()
        status, _ = await running.call("GET", "/readyz")

    report = "\n".join(process.lines)
    sent = int(re.search(r"([\d,]+) generated", report)[1].replace(",", ""))
    errors = [line for line in running.process.lines if '"level":"error"' in line]
    assert 0 == code, report
    assert [] == errors
    assert 200 == status
    assert sent >= CASES
    print(f"{sent} cases, seed {SEED}")  # noqa: T201 - the figure that is reported
