"""What an event promised, as the API tells it, through everything that may become of an event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from qhronos.api.auth import Access
from tests.service.events import create, dispatch, execute, picked
from tests.service.lives import Lives, pages_of

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_missing_whatever_becomes_of_an_event(api, clock, seed):
    lives, began = Lives(api, clock, seed), clock.now()
    await lives.start(5)
    await lives.live(4 * 3600)
    until = clock.now() + HOUR

    for event in lives.events:
        async for page in pages_of(api, event, began - 2 * HOUR, until):
            lost = [line for line in page["data"] if line["status"] == "missing"]
            assert ([], 0) == (lost, page["missing"])
    assert await lines_of(api, lives.events, began, until)


async def test_a_row_that_is_taken_out_of_the_ledger_is_missed(api, clock):
    lives, began = Lives(api, clock, seed=0), clock.now()
    await lives.start(5)
    await lives.live(2 * 3600)
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


async def ledger_of(api, event, **window):
    answer = await api.get(f"/events/{event['id']}/ledger", params=window)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def told(ledger):
    return [(line["scheduled_at"][11:16], line["status"], line["reason"]) for line in ledger["data"]]


def counts(ledger):
    return tuple(ledger[name] for name in ("expected", "recorded", "missing"))


async def test_a_ledger_says_what_became_of_each_instant(api, clock):
    event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=20", metadata={})
    await dispatch(api, clock)
    await api.post(f"/events/{event['id']}/skip", {"scheduled_at": "2026-03-01T12:20:00Z"})
    await execute(api, "UPDATE events SET next_due_at = expanded_until, next_expand_at = expanded_until")
    await execute(api, "DELETE FROM pending")
    clock.advance(1200)

    ledger = await ledger_of(api, event, until="2026-03-01T13:20:00Z")

    assert told(ledger) == [
        ("12:00", "completed", None),
        ("12:20", "skipped", "skipped by master"),
        ("12:40", "missing", None),
        ("13:00", "planned", None),
    ]
    assert ((3, 2, 1), "2026-03-01T13:20:00Z", False) == (
        counts(ledger),
        ledger["covered"],
        ledger["pagination"]["has_more"],
    )
    assert (1, 1, "rule") == picked(ledger["data"][0], "attempts", "version", "origin")


async def test_what_was_passed_over_is_recorded_with_its_reason(api, clock):
    event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=20")
    await dispatch(api, clock)
    await api.post(f"/events/{event['id']}/pause")
    clock.advance(5400)
    await api.post(f"/events/{event['id']}/resume", {"backlog": "skip"})

    ledger = await ledger_of(api, event)

    reason = "missed while paused"
    assert told(ledger)[1:] == [
        ("12:20", "skipped", reason),
        ("12:40", "skipped", reason),
        ("13:00", "passed_over", reason),
        ("13:20", "passed_over", reason),
    ]
    assert [("2026-03-01T13:00:00Z", 2, reason)] == [picked(gap, "since", "count", "reason") for gap in ledger["gaps"]]
    assert (5, 5, 0) == counts(ledger)


async def test_what_a_quarantined_rule_had_is_passed_over_when_it_is_mended(api, clock):
    event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=30")
    await dispatch(api, clock)
    await execute(api, "UPDATE events SET status = 'error', next_expand_at = NULL")
    clock.advance(7200)
    await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=DAILY"})

    ledger = await ledger_of(api, event)

    assert (5, 0) == picked(ledger, "expected", "missing")
    assert [0] == [gap["count"] for gap in ledger["gaps"]]


async def test_what_runs_besides_the_schedule_is_listed_and_not_expected(api, clock):
    event = await create(api, schedule="FREQ=HOURLY")
    clock.advance(60)
    await api.post(f"/events/{event['id']}/run")
    clock.advance(60)

    ledger = await ledger_of(api, event)

    assert [("rule", True), ("manual", False)] == [picked(line, "origin", "expected") for line in ledger["data"]]
    assert (1, 1, 0) == counts(ledger)


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_pages_hold_everything_once(api, clock, limit):
    event, since = await create(api, schedule="FREQ=MINUTELY;INTERVAL=10"), clock.now()
    for _ in range(5):
        clock.advance(430)
        await api.post(f"/events/{event['id']}/run")
    until = clock.now() + HOUR
    (whole,) = [page async for page in pages_of(api, event, since, until)]

    pages = [page async for page in pages_of(api, event, since, until, limit)]

    assert whole["data"] == [line for page in pages for line in page["data"]]
    assert counts(whole) == tuple(map(sum, zip(*map(counts, pages), strict=True)))
    assert all(len(page["data"]) <= limit for page in pages)


async def test_rows_beside_the_schedule_make_pages_too(api, clock):
    event = await create(api, schedule="FREQ=YEARLY")
    for _ in range(5):
        clock.advance(1)
        await api.post(f"/events/{event['id']}/run")
    clock.advance(1)

    first = await ledger_of(api, event, limit=2)
    then = await ledger_of(api, event, cursor=first["pagination"]["next_cursor"])

    assert (2, 4) == (len(first["data"]), len(then["data"]))


async def test_history_that_was_dropped_is_not_missing(api, clock):
    event = await create(api, schedule="FREQ=DAILY")
    await execute(api, "DELETE FROM pending")
    await execute(api, "UPDATE events SET expanded_until = %s", clock.now() + HOUR)
    since = clock.now().isoformat()
    clock.advance(60)

    before = await ledger_of(api, event, since=since)
    clock.advance(31 * 86_400)
    after = await ledger_of(api, event, since=since)

    assert ("missing", "dropped") == (before["data"][0]["status"], after["data"][0]["status"])
    assert (1, 0) == (before["missing"], after["missing"])


async def test_days_that_were_dropped_are_told_by_what_is_left(api, clock):
    """Retention may have been shorter."""
    event = await create(api, schedule="FREQ=DAILY")
    await execute(api, "DELETE FROM pending")
    await execute(api, "UPDATE events SET expanded_until = %s", clock.now() + HOUR)
    await execute(api, "UPDATE installation SET ledger_floor = '2026-02-01'")
    clock.advance(60)

    ledger = await ledger_of(api, event)

    assert [("12:00", "dropped", None)] == told(ledger)


@pytest.mark.parametrize("off", [HOUR, -HOUR])
async def test_what_older_zone_rules_made_is_known_by_its_local_time(api, clock, off):
    """The instants were an hour off, and so the first of them may lie outside of the window."""
    event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=20", timezone="Europe/Berlin", subdaily="wall")
    await execute(api, "UPDATE pending SET due_at = due_at + %s", off)
    since = clock.now().isoformat()
    clock.advance(3600)
    made = await ledger_of(api, event, since=since)
    await execute(api, "UPDATE event_versions SET tzdata = '2020a'")

    known = await ledger_of(api, event, since=since)

    assert (3, 0, 3) == counts(made)
    assert (3, 3, 0) == counts(known)


async def test_a_single_instant_that_was_moved_beyond_an_edit_is_none_any_more(api, clock):
    event = await create(api, start_time="2026-03-01T12:10:00Z")
    moved = {"scheduled_at": "2026-03-01T12:10:00Z", "move_to": "2026-03-01T14:00:00Z"}
    await api.post(f"/events/{event['id']}/override", moved)
    clock.advance(3600)
    await api.patch(f"/events/{event['id']}", {"start_time": "2026-03-01T15:00:00Z"})
    clock.advance(10_000)

    assert [("15:00", True)] == [
        (line["scheduled_at"][11:16], line["expected"]) for line in (await ledger_of(api, event))["data"]
    ]


async def test_very_many_versions_are_read_in_pages(api, clock, monkeypatch):
    monkeypatch.setattr("qhronos.engine.ledger.MOST_VERSIONS", 2)
    event, since = await create(api, schedule="FREQ=MINUTELY;INTERVAL=10"), clock.now()
    for number in range(4):
        clock.advance(600)
        await api.patch(f"/events/{event['id']}", {"name": str(number)})
    pages = [page async for page in pages_of(api, event, since, clock.now())]

    assert (2, 4, 0) == (len(pages), *map(sum, zip(*((len(p["data"]), p["missing"]) for p in pages), strict=True)))


async def test_the_ledger_of_a_deleted_event_stays(api, clock):
    event = await create(api, schedule="FREQ=HOURLY")
    await dispatch(api, clock)
    clock.advance(60)
    await api.delete(f"/events/{event['id']}")

    assert [("12:00", "completed", None)] == told(await ledger_of(api, event))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("since=2026-03-01T12:00:00Z&until=2026-03-01T12:00:00Z", 422),
        ("since=2026-03-01T12:00:00", 400),
        ("limit=1001", 400),
        ("limit=0", 400),
        ("cursor=nonsense", 400),
        ("to=2026-03-01T12:00:00Z", 400),
        ("until=0001-01-01T00:00:00Z", 422),
        ("since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", 200),
        ("since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-12:00", 200),
        ("until=0001-01-02T00:00:00%2B14:00", 200),
    ],
)
async def test_what_cannot_be_asked_is_refused(api, clock, query, status):
    event = await create(api, schedule="FREQ=HOURLY")

    assert status == (await api.get(f"/events/{event['id']}/ledger?{query}")).status_code


async def test_an_event_outside_of_the_scope_has_no_ledger(api, clock):
    event = await create(api, tags=["billing"])
    stranger, friend = (api.token(Access.READ, tag) for tag in ("shipping", "billing"))

    assert [404, 200] == [
        (await api.get(f"/events/{event['id']}/ledger", token=token)).status_code for token in (stranger, friend)
    ]
