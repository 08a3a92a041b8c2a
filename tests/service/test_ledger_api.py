"""What an event promised, as the API tells it, through everything that may become of an event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.service.events import execute
from tests.service.lives import Lives, pages_of

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_missing_whatever_becomes_of_an_event(api, clock, seed):
    lives, began = Lives(api, clock, seed), clock.now()
    for _ in range(5):
        await lives.begin()
    await lives.live(10 * 3600)
    until = clock.now() + HOUR

    for event in lives.events:
        async for page in pages_of(api, event, began - 2 * HOUR, until):
            lost = [line for line in page["data"] if line["status"] == "missing"]
            assert ([], 0) == (lost, page["missing"])
    assert await lines_of(api, lives.events, began, until)


@pytest.mark.parametrize("seed", range(1))
async def test_a_row_that_is_taken_out_of_the_ledger_is_missed(api, clock, seed):
    lives, began = Lives(api, clock, seed), clock.now()
    for _ in range(5):
        await lives.begin()
    await lives.live(5 * 3600)
    until = clock.now() + HOUR
    found = [one for one in await lines_of(api, lives.events, began, until) if one[1]["id"] and one[1]["expected"]]
    event, line = lives.random.choice(found)
    at = line["scheduled_at"]
    for table in ("occurrences", "pending"):
        await execute(api, f"DELETE FROM {table} WHERE event_id = %s AND due_at = %s", event["id"], at)  # noqa: S608 - from above

    left = [one for one in await lines_of(api, lives.events, began, until) if one[1]["status"] == "missing"]

    assert [(event["id"], at)] == [(event["id"], line["scheduled_at"]) for event, line in left]


async def lines_of(api, events, since, until):
    return [
        (event, line) for event in events async for page in pages_of(api, event, since, until) for line in page["data"]
    ]
