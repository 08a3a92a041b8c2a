"""The table of what a change does to open rows: edit, pause, resume, delete × future, overdue, retrying, held, started."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from qhronos.broadcast import Revoke
from qhronos.core.occurrence import parse_occurrence_id
from qhronos.expander import Expander
from qhronos.store import pending
from tests.fakes import FakeClock
from tests.service.api import with_body
from tests.service.events import (
    audit_of,
    create,
    dispatch,
    event_of,
    execute,
    heard_of,
    occurrences_of,
    open_of,
    picked,
    query,
)

MINUTE = timedelta(minutes=1)
# Minutes from now at which the rows of `plant` are due.
OVERDUE, RETRYING, STARTED, HELD, FUTURE = -4, -3, -2, 10, 20


@pytest.fixture
async def event(api, clock):
    """Every ten minutes from now on: rows at 0, 10, … 50 minutes, and the cursor at an hour."""
    return await create(api, schedule="FREQ=MINUTELY;INTERVAL=10", tags=["t"])


@pytest.fixture
async def plant(api, clock, event):
    """One row of each kind."""
    now = clock.now()
    async with api.deps.database.connection() as conn:
        await conn.execute("DELETE FROM pending WHERE due_at NOT IN (%s, %s)", (now + 10 * MINUTE, now + 20 * MINUTE))
        for minutes, fire_at, lease, starts in [
            (OVERDUE, now + OVERDUE * MINUTE, None, 0),
            (RETRYING, now + MINUTE, None, 1),
            (STARTED, now + STARTED * MINUTE, now + MINUTE, 0),
        ]:
            await conn.execute(
                "INSERT INTO pending (event_id, due_at, fire_at, version, origin, lease_until, fence, starts, attempt)"
                " VALUES (%s, %s, %s, 1, 'rule', %s, nextval('fences'), %s, %s)",
                (event["id"], now + minutes * MINUTE, fire_at, lease, starts, starts),
            )
        await conn.execute(
            "UPDATE pending SET lease_until = %s, fence = nextval('fences'), worker = 1 WHERE due_at = %s",
            (now + 11 * MINUTE, now + HELD * MINUTE),
        )
    return await fences(api, clock)


async def fences(api, clock):
    """By minute."""
    found = await query(api, "SELECT due_at, fence FROM pending")
    return {(due_at - clock.now()) // MINUTE: fence for due_at, fence in found}


async def standing(api, clock):
    """By minute: version, whether it is leased, what blocks it."""
    found = await query(api, "SELECT due_at, version, lease_until IS NOT NULL, blocked_on FROM pending ORDER BY due_at")
    return {(due_at - clock.now()) // MINUTE: tuple(rest) for due_at, *rest in found}


async def closed(api, clock):
    found = await query(api, "SELECT due_at, status, reason FROM occurrences ORDER BY due_at")
    return {(due_at - clock.now()) // MINUTE: (status, reason) for due_at, status, reason in found}


async def test_an_edit_of_the_schedule_moves_only_the_future(api, clock, event, plant):
    async with heard_of(api) as heard:
        answer = await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=25"})
        notice = await heard.get()

    assert 200 == answer.status_code
    assert {
        OVERDUE: (2, False, None),
        RETRYING: (2, False, None),
        STARTED: (1, True, None),
        0: (2, False, None),
        25: (2, False, None),
        50: (2, False, None),
    } == await standing(api, clock)
    after = await fences(api, clock)
    assert plant[STARTED] == after[STARTED]
    assert Revoke((UUID(event["id"]),), clock.now()) == notice
    assert {} == await closed(api, clock)


async def test_an_edit_of_anything_else_rebinds_what_has_not_started(api, clock, event, plant):
    async with heard_of(api) as heard:
        await api.patch(f"/events/{event['id']}", {"name": "new"})
        notice = await heard.get()

    assert {
        OVERDUE: (2, False, None),
        RETRYING: (2, False, None),
        STARTED: (1, True, None),
        HELD: (2, False, None),
        FUTURE: (2, False, None),
    } == await standing(api, clock)
    after = await fences(api, clock)
    assert [HELD] == [minute for minute, fence in plant.items() if after[minute] != fence]
    assert Revoke((UUID(event["id"]),), clock.now()) == notice


async def test_what_was_held_is_planned_again(api, clock, event, plant):
    await api.deps.plan.mark_whole(range(4), "test")
    await api.deps.plan.remove((await api.deps.plan.pop(clock.now() + 60 * MINUTE, clock.now(), 100)).identities)

    await api.patch(f"/events/{event['id']}", {"name": "new"})

    popped = await api.deps.plan.pop(clock.now() + 11 * MINUTE, clock.now(), 100)
    dues = {(identity.due_at - clock.now()) // MINUTE for identity in popped.identities}
    assert {OVERDUE, RETRYING, HELD} == dues


async def test_a_pause_keeps_what_has_not_started_from_being_claimed(api, clock, event, plant):
    async with heard_of(api) as heard:
        answer = await api.post(f"/events/{event['id']}/pause", {"reason": "holidays"})
        notice = await heard.get()

    assert (200, "paused", "holidays", 1) == (answer.status_code, *picked(answer.json(), "status", "reason", "version"))
    assert '"1-paused"' == answer.headers["etag"]
    assert {
        OVERDUE: (1, False, "paused"),
        RETRYING: (1, False, "paused"),
        STARTED: (1, True, None),
        HELD: (1, False, "paused"),
        FUTURE: (1, False, "paused"),
    } == await standing(api, clock)
    after = await fences(api, clock)
    assert [HELD] == [minute for minute, fence in plant.items() if after[minute] != fence]
    assert Revoke((UUID(event["id"]),), clock.now()) == notice


async def test_a_paused_event_neither_fires_nor_expands(api, clock, event):
    """Defect 7: an edit must not wake it either."""
    await api.post(f"/events/{event['id']}/pause")
    await api.put(f"/events/{event['id']}", {"name": "still paused", "schedule": "FREQ=MINUTELY"})
    clock.advance(3600)
    await Expander(api.deps.changes.stores, clock, api.deps.config.scheduler).tick()

    assert [] == await dispatch(api, clock)
    assert [] == [one for one in await open_of(api, event) if one["scheduled_at"] > "2026-03-01T12:00:00Z"]
    assert ("paused", "2026-03-01T12:00:00Z") == picked(await event_of(api, event), "status", "next_due_at")


async def test_put_pauses_and_resumes_as_the_first_qhronos_did(api, event):
    path = f"/events/{event['id']}"

    for status, became in [("inactive", "paused"), ("active", "active"), ("paused", "paused")]:
        answer = await api.put(path, {"status": status})
        assert (200, became, 1) == (answer.status_code, *picked(answer.json(), "status", "version"))
    both = await api.put(path, {"status": "active", "name": "new"})
    assert ("active", "new", 2) == picked(both.json(), "status", "name", "version")
    assert {None} == {blocked for (blocked,) in await query(api, "SELECT blocked_on FROM pending")}


async def test_a_delete_cancels_what_has_not_started(api, clock, event, plant):
    async with heard_of(api) as heard:
        await api.delete(f"/events/{event['id']}")
        notice = await heard.get()

    gone = ("cancelled", "event deleted")
    assert {OVERDUE: gone, RETRYING: gone, HELD: gone, FUTURE: gone} == await closed(api, clock)
    assert {STARTED: (1, True, None)} == await standing(api, clock)
    assert Revoke((UUID(event["id"]),), clock.now()) == notice
    [(action, _, details), *_] = await audit_of(api, event)
    assert ("event.deleted", 4) == (action, details["cancelled"])
    assert [clock.now() + STARTED * MINUTE] == [parse_occurrence_id(one).due_at for one in details["in_flight"]]
    assert [(4,)] == await query(api, "SELECT sum(count) FROM tallies WHERE status = 'cancelled'")
    assert [(0,)] == await query(api, "SELECT count(*) FROM event_versions WHERE valid_until IS NULL")


@pytest.mark.parametrize("change", ["PATCH", "POST", "DELETE"])
async def test_what_is_due_and_in_a_dispatchers_hands_is_recalled_too(api, clock, event, plant, change):
    """It may still wait for a free hand there."""
    await execute(api, "DELETE FROM pending WHERE due_at <> %s", clock.now() + STARTED * MINUTE)
    path = f"/events/{event['id']}" + ("/pause" if change == "POST" else "")
    async with heard_of(api) as heard:
        await api.send(change, path, **({"json": {"name": "new"}} if change == "PATCH" else {}))
        notice = await heard.get()

    assert Revoke((UUID(event["id"]),), clock.now()) == notice


@pytest.mark.parametrize(
    "change",
    [
        ("PATCH", "", {"name": "new"}),
        ("PATCH", "", {"schedule": "FREQ=MINUTELY;INTERVAL=25"}),
        ("POST", "/pause", None),
        ("DELETE", "", None),
    ],
    ids=["edit", "schedule", "pause", "delete"],
)
@pytest.mark.parametrize(("seconds", "spared"), [(0.1, True), (0.2, False)])
async def test_what_is_held_for_the_next_moment_counts_as_started(api, clock, event, plant, change, seconds, spared):
    """Its holder could not be recalled in time: it would come as it was, and then, as its end was refused, as edited."""
    clock.advance(HELD * 60 - seconds)
    method, path, body = change
    answer = await api.send(method, f"/events/{event['id']}{path}", **({} if body is None else with_body(body, {})))

    held = await query(api, "SELECT version FROM pending WHERE fence = %s AND lease_until IS NOT NULL", plant[HELD])
    assert answer.status_code < 300, answer.text
    assert ([(1,)] if spared else []) == held


async def test_nothing_held_before_a_change_can_be_settled_after_it(api, clock, event, plant):
    await api.patch(f"/events/{event['id']}", {"name": "new"})

    async with api.deps.database.connection() as conn:
        lost = await pending.settle(
            conn,
            [
                pending.Settlement(
                    event_id=UUID(event["id"]),
                    due_at=clock.now() + HELD * MINUTE,
                    fence=plant[HELD],
                    status="completed",
                    reason=None,
                    finished_at=clock.now(),
                )
            ],
            clock.now(),
        )

    assert [] == lost


async def test_a_schedule_that_stays_the_same_moves_nothing(api, clock, event, plant):
    answer = await api.put(
        f"/events/{event['id']}",
        {"schedule": {"frequency": "minutely", "interval": 10}, "timezone": "UTC", "start_time": event["start_time"]},
    )

    assert {"frequency": "minutely", "interval": 10} == answer.json()["schedule"]
    assert {OVERDUE, RETRYING, STARTED, HELD, FUTURE} == set(await standing(api, clock))


async def test_another_zone_keeps_the_start_and_moves_the_wall(api, clock):
    event = await create(api, schedule="FREQ=DAILY", start_time="2026-03-28T12:00:00Z")

    moved = (await api.patch(f"/events/{event['id']}", {"timezone": "Europe/Berlin"})).json()

    assert ("2026-03-28T12:00:00Z", "Europe/Berlin", "FREQ=DAILY") == picked(
        moved, "start_time", "timezone", "schedule"
    )
    assert "2026-03-28T13:00:00" == moved["recurrence"]["dtstart"]


async def test_a_schedule_may_bring_its_own_start(api):
    event = await create(api, schedule="FREQ=DAILY", start_time="2026-03-01T12:10:00Z")
    text = "DTSTART;TZID=Europe/Berlin:20260401T090000\nRRULE:FREQ=DAILY"

    moved = (await api.patch(f"/events/{event['id']}", {"schedule": text})).json()

    assert ("2026-04-01T07:00:00Z", "Europe/Berlin", text) == picked(moved, "start_time", "timezone", "schedule")
    assert "2026-04-01T07:00:00Z" == moved["next_due_at"]


async def test_a_bad_edit_changes_nothing(api, clock, event, plant):
    answer = await api.patch(f"/events/{event['id']}", {"name": "new", "schedule": "FREQ=NEVER"})

    assert 422 == answer.status_code
    assert ("tea", 1) == picked(await event_of(api, event), "name", "version")
    assert plant == await fences(api, clock)


class TestOnce:
    async def test_moved_ahead_it_fires_only_then(self, api, clock):
        event = await create(api, start_time=clock.now() + 10 * MINUTE)

        moved = await api.patch(f"/events/{event['id']}", {"start_time": clock.now() + 20 * MINUTE})

        assert "2026-03-01T12:20:00Z" == moved.json()["next_due_at"]
        assert {20: (2, False, None)} == await standing(api, clock)

    async def test_moved_to_the_past_it_is_left_to_the_misfire_policy(self, api, clock):
        event = await create(api, start_time=clock.now() + 10 * MINUTE)

        await api.patch(f"/events/{event['id']}", {"start_time": clock.now() - 5 * MINUTE})

        assert {-5: (2, False, None)} == await standing(api, clock)

    async def test_a_completed_event_that_gets_something_to_fire_is_active_again(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)
        assert "completed" == (await event_of(api, event))["status"]

        renamed = await api.patch(f"/events/{event['id']}", {"name": "new"})
        moved = await api.patch(f"/events/{event['id']}", {"start_time": clock.now() + 10 * MINUTE})

        assert ("completed", "active") == (renamed.json()["status"], moved.json()["status"])
        assert {10: (3, False, None)} == await standing(api, clock)

    async def test_what_has_fired_does_not_fire_again_by_itself(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)

        await api.patch(f"/events/{event['id']}", {"start_time": clock.now() + 10 * MINUTE})
        back = await api.patch(f"/events/{event['id']}", {"start_time": event["start_time"]})

        assert {} == await standing(api, clock)
        assert "completed" == back.json()["status"]

    async def test_a_recurring_event_becomes_a_single_one_and_back(self, api, clock, event):
        path = f"/events/{event['id']}"

        once = await api.patch(path, {"schedule": None, "start_time": clock.now() + 5 * MINUTE})
        assert ({5}, None) == ({m for m in await standing(api, clock) if m > 0}, once.json()["schedule"])

        await api.patch(path, {"schedule": "FREQ=MINUTELY;INTERVAL=30"})
        assert {5, 35} == {minute for minute in await standing(api, clock) if minute > 0}


class TestResume:
    async def paused_for(self, api, clock, event, minutes):
        await api.post(f"/events/{event['id']}/pause")
        clock.advance(minutes * 60)

    async def test_by_default_everything_missed_fires(self, api, clock, event):
        await self.paused_for(api, clock, event, 95)

        answer = await api.post(f"/events/{event['id']}/resume")

        assert (200, "active", 1) == (answer.status_code, *picked(answer.json(), "status", "version"))
        dues = [minute for minute, row in (await standing(api, clock)).items() if row == (1, False, None)]
        assert list(range(-95, 60, 10)) == dues
        assert {} == await closed(api, clock)

    async def test_what_is_resumed_is_planned(self, api, clock, event):
        await self.paused_for(api, clock, event, 35)
        await api.deps.plan.mark_whole(range(4), "test")
        await api.deps.plan.remove((await api.deps.plan.pop(clock.now() + 60 * MINUTE, clock.now(), 100)).identities)

        await api.post(f"/events/{event['id']}/resume")

        popped = await api.deps.plan.pop(clock.now(), clock.now(), 100)
        dues = {(identity.due_at - clock.now()) // MINUTE for identity in popped.identities}
        assert {-35, -25, -15, -5} == dues

    async def test_everything_means_within_the_catchup_window(self, api, clock):
        event = await create(
            api, schedule="FREQ=MINUTELY;INTERVAL=10", misfire={"policy": "fire_all", "catchup_window": 1800}
        )
        await self.paused_for(api, clock, event, 24 * 60 + 5)

        await api.post(f"/events/{event['id']}/resume")

        made = [minute for minute in await standing(api, clock) if -24 * 60 + 60 < minute <= 0]
        assert [-25, -15, -5] == made
        [(count, reason)] = await query(api, "SELECT count, reason FROM gaps")
        assert (24 * 6 - 3 - 6 + 1, "older than the catch-up window") == (count, reason)

    async def test_the_backlog_may_be_skipped(self, api, clock, event):
        await self.paused_for(api, clock, event, 95)

        answer = await api.post(f"/events/{event['id']}/resume", {"backlog": "skip"})

        skipped = ("skipped", "missed while paused")
        assert dict.fromkeys([-95, -85, -75, -65, -55, -45], skipped) == await closed(api, clock)
        assert [5, 15, 25, 35, 45, 55] == list(await standing(api, clock))
        assert "2026-03-01T13:40:00Z" == answer.json()["next_due_at"]
        gaps = await query(api, "SELECT since, until, count, reason FROM gaps")
        assert [(clock.now() - 35 * MINUTE, clock.now(), 4, "missed while paused")] == gaps

    async def test_only_the_latest_may_fire(self, api, clock, event):
        await self.paused_for(api, clock, event, 95)

        await api.post(f"/events/{event['id']}/resume", {"backlog": "fire_latest"})

        assert [-5, 5, 15, 25, 35, 45, 55] == list(await standing(api, clock))
        assert {("skipped", "missed while paused; a later occurrence fires instead")} == set(
            (await closed(api, clock)).values()
        )
        assert [(3,)] == await query(api, "SELECT sum(count)::int FROM gaps")

    async def test_the_latest_may_be_one_that_was_open_already(self, api, clock, event):
        await self.paused_for(api, clock, event, 25)

        await api.post(f"/events/{event['id']}/resume", {"backlog": "fire_latest"})

        assert [-5, 5, 15, 25, 35, 45, 55] == sorted(set(await standing(api, clock)))[-7:]
        assert [-25, -15] == list(await closed(api, clock))

    async def test_a_long_pause_is_counted_to_the_last_second(self, api, clock):
        event = await create(api, schedule="FREQ=SECONDLY")
        await self.paused_for(api, clock, event, 8 * 60)

        await api.post(f"/events/{event['id']}/resume", {"backlog": "skip"})

        [(gaps, count)] = await query(api, "SELECT count(*), sum(count)::int FROM gaps")
        [(skipped,)] = await query(api, "SELECT count(*) FROM occurrences")
        assert (8 * 3600, True) == (skipped + count, gaps > 1)
        overlapping = "SELECT 1 FROM gaps AS a JOIN gaps AS b ON a.since < b.since AND a.until > b.since"
        assert [] == await query(api, overlapping)

    async def test_nothing_is_lost_or_made_twice_by_pauses(self, api, clock, event):
        """Expected minus recorded is zero, however it was resumed."""
        path = f"/events/{event['id']}"
        for backlog in ("skip", "fire_latest", "fire_all", "skip"):
            await self.paused_for(api, clock, event, 47)
            await api.post(f"{path}/resume", {"backlog": backlog})
            clock.advance(13 * 60)
        [(cursor,)] = await query(api, "SELECT expanded_until FROM events")

        [(rows,)] = await query(
            api,
            "SELECT (SELECT count(*) FROM pending) + (SELECT count(*) FROM occurrences)"
            " + (SELECT coalesce(sum(count), 0) FROM gaps)::int",
        )
        start = FakeClock().now()
        assert -((start - cursor) // (10 * MINUTE)) == rows

    async def test_resuming_an_active_event_changes_nothing(self, api, event):
        answer = await api.post(f"/events/{event['id']}/resume", {"backlog": "skip"})

        assert (200, "active") == (answer.status_code, answer.json()["status"])
        assert ["event.created"] == [action for action, *_ in await audit_of(api, event)]

    async def test_an_event_in_error_is_tried_again(self, api, event):
        await execute(api, "UPDATE events SET status = 'error', reason = 'odd', next_expand_at = NULL")

        answer = await api.post(f"/events/{event['id']}/resume")

        assert ("active", None) == picked(answer.json(), "status", "reason")
        assert [] != await query(api, "SELECT 1 FROM events WHERE next_expand_at IS NOT NULL")

    async def test_a_completed_event_can_be_neither_paused_nor_resumed(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)

        for verb in ("pause", "resume"):
            assert 409 == (await api.post(f"/events/{event['id']}/{verb}")).status_code

    @pytest.mark.parametrize("body", [{"backlog": "some"}, {"backlogs": "skip"}, 5])
    async def test_what_cannot_be_done_with_the_backlog_is_refused(self, api, event, body):
        assert 422 == (await api.post(f"/events/{event['id']}/resume", body)).status_code

    async def test_an_edit_of_the_schedule_while_paused_waits(self, api, clock, event):
        path = f"/events/{event['id']}"
        await api.post(f"{path}/pause")

        moved = await api.patch(path, {"schedule": "FREQ=MINUTELY;INTERVAL=25"})
        assert ("paused", "2026-03-01T12:00:00Z") == picked(moved.json(), "status", "next_due_at")
        assert {0: (2, False, "paused")} == await standing(api, clock)

        await api.post(f"{path}/resume")
        assert dict.fromkeys([0, 25, 50], (2, False, None)) == await standing(api, clock)


class TestRun:
    async def test_it_fires_now_beside_the_schedule(self, api, clock, event):
        answer = await api.post(f"/events/{event['id']}/run")

        view = answer.json()
        assert (200, event["id"]) == (answer.status_code, view["id"])
        identity = parse_occurrence_id(view["occurrence_id"])
        assert clock.now() + timedelta(microseconds=1) == identity.due_at  # the instant itself is the rule's
        [occurrence] = [one for one in await open_of(api, event) if one["origin"] == "manual"]
        assert view["occurrence_id"] == occurrence["id"]
        assert {"event.run", "event.created"} == {action for action, *_ in await audit_of(api, event)}

    async def test_several_at_once_are_told_apart(self, api, event):
        answers = await asyncio.gather(*(api.post(f"/events/{event['id']}/run") for _ in range(5)))

        assert 5 == len({answer.json()["occurrence_id"] for answer in answers})

    async def test_a_payload_stands_in_for_the_metadata(self, api, clock, event):
        made = (await api.post(f"/events/{event['id']}/run", {"payload": {"just": "once"}})).json()
        clock.advance(1)

        sent = {delivery.occurrence_id: bytes(delivery.metadata) for delivery in await dispatch(api, clock)}
        assert b'{"just": "once"}' == sent.pop(made["occurrence_id"])
        assert [b"{}"] == list(sent.values())

    async def test_a_completed_event_may_run_again(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)

        answer = await api.post(f"/events/{event['id']}/run")
        assert (200, "active") == (answer.status_code, answer.json()["status"])
        await dispatch(api, clock)
        assert "completed" == (await event_of(api, event))["status"]

    @pytest.mark.parametrize("status", ["paused", "error"])
    async def test_a_stopped_event_does_not_run(self, api, event, status):
        await execute(api, "UPDATE events SET status = %s", status)

        assert 409 == (await api.post(f"/events/{event['id']}/run")).status_code

    async def test_a_payload_is_bounded(self, api, event):
        answer = await api.post(f"/events/{event['id']}/run", {"payload": "x" * 300_000})

        assert (422, "payload") == (answer.status_code, answer.json()["field"])


class TestSkip:
    async def skip(self, api, event, instant):
        return await api.post(f"/events/{event['id']}/skip", {"scheduled_at": instant})

    async def test_an_open_one_is_skipped(self, api, clock, event):
        answer = await self.skip(api, event, clock.now())

        assert (200, "2026-03-01T12:10:00Z") == (answer.status_code, answer.json()["next_due_at"])
        assert {0: ("skipped", "skipped by master")} == await closed(api, clock)

    async def test_a_held_one_is_recalled(self, api, clock, event, plant):
        async with heard_of(api) as heard:
            await self.skip(api, event, clock.now() + HELD * MINUTE)
            notice = await heard.get()

        assert Revoke((UUID(event["id"]),), clock.now()) == notice

    async def test_one_far_ahead_is_written_down_and_never_made(self, api, clock, event):
        answer = await self.skip(api, event, clock.now() + 70 * MINUTE)
        assert 200 == answer.status_code

        clock.advance(3600)
        await Expander(api.deps.changes.stores, clock, api.deps.config.scheduler).tick()
        dues = [minute for minute in await standing(api, clock) if minute >= 0]
        assert [0, 20, 30, 40, 50] == dues

    async def test_skipping_the_next_one_ahead_moves_what_is_shown(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY", start_time="2026-03-05T12:00:00Z")

        answer = await self.skip(api, event, "2026-03-05T12:00:00Z")

        assert "2026-03-06T12:00:00Z" == answer.json()["next_due_at"]

    async def test_skipping_the_only_one_completes_the_event(self, api, clock):
        near, far = await create(api), await create(api, start_time="2026-06-01T00:00:00Z")

        assert "completed" == (await self.skip(api, near, clock.now())).json()["status"]
        assert "completed" == (await self.skip(api, far, "2026-06-01T00:00:00Z")).json()["status"]

    async def test_skipping_twice_is_skipping(self, api, clock, event):
        for instant in (clock.now(), clock.now() + 70 * MINUTE):
            answers = [await self.skip(api, event, instant) for _ in range(2)]
            assert [200, 200] == [answer.status_code for answer in answers]
        skips = [action for action, *_ in await audit_of(api, event) if action == "event.occurrence_skipped"]
        assert 2 == len(skips)

    @pytest.mark.parametrize(
        ("instant", "status"),
        [
            ("2026-03-01T12:05:00Z", 422),  # not of the rule
            ("2026-03-01T11:50:00Z", 422),  # before its start
            ("2036-03-01T12:00:00Z", 422),  # too far ahead
            ("2026-03-01T12:00:00", 422),  # no instant
        ],
    )
    async def test_what_is_no_instant_of_the_event_is_refused(self, api, event, instant, status):
        answer = await self.skip(api, event, instant)

        assert (status, "scheduled_at") == (answer.status_code, answer.json()["field"])

    async def test_what_has_started_or_is_over_is_a_conflict(self, api, clock, event, plant):
        await execute(
            api, "UPDATE pending SET due_at = %s WHERE due_at = %s", clock.now(), clock.now() + STARTED * MINUTE
        )
        assert 409 == (await self.skip(api, event, clock.now())).status_code

        clock.advance(1800)
        assert 409 == (await self.skip(api, event, clock.now())).status_code  # planted away: passed without a trace

    async def test_while_paused_nothing_is_made_of_it(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY", start_time="2026-03-01T14:00:00Z")
        await api.post(f"/events/{event['id']}/pause")

        answer = await self.skip(api, event, "2026-03-01T14:00:00Z")

        assert ("paused", "2026-03-02T14:00:00Z") == picked(answer.json(), "status", "next_due_at")
        assert {} == await standing(api, clock)


async def test_each_change_writes_down_who_made_it(api, clock, event):
    path = f"/events/{event['id']}"
    await api.patch(path, {"name": "new", "tags": ["x"]})
    await api.post(f"{path}/pause", {"reason": "why not"})
    await api.post(f"{path}/resume", {"backlog": "skip"})
    await api.post(f"{path}/skip", {"scheduled_at": clock.now() + 10 * MINUTE})
    await api.delete(path)

    assert [
        ("event.created", {"name": "tea", "key": None, "tags": ["t"]}),
        ("event.updated", {"version": 2, "fields": ["name", "tags"]}),
        ("event.paused", {"reason": "why not"}),
        ("event.resumed", {"backlog": "skip"}),
        ("event.occurrence_skipped", {"scheduled_at": "2026-03-01T12:10:00Z"}),
        ("event.deleted", {"cancelled": 4, "in_flight": []}),
    ] == [(action, details) for action, _, details in reversed(await audit_of(api, event))]


async def test_a_change_and_the_expander_take_turns(api, clock, event):
    clock.advance(1800)
    expander = Expander(api.deps.changes.stores, clock, api.deps.config.scheduler)

    await asyncio.gather(
        *(api.patch(f"/events/{event['id']}", {"schedule": f"FREQ=MINUTELY;INTERVAL={n}"}) for n in (7, 9, 11)),
        *(expander.tick() for _ in range(3)),
    )

    last = await event_of(api, event)
    assert 4 == last["version"]
    versions = {one["version"] for one in await open_of(api, event)}
    assert {4} == versions
    interval = int(last["schedule"].rpartition("=")[2])
    dues = [minute for minute in await standing(api, clock) if minute > 0]
    assert all((minute + 30) % interval == 0 for minute in dues)


async def test_history_of_an_event_survives_its_changes(api, clock, event):
    await dispatch(api, clock)
    await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=HOURLY"})
    await api.delete(f"/events/{event['id']}")

    statuses = [one["status"] for one in await occurrences_of(api, event)]
    assert "completed" in statuses


class TestHistoryOfIntent:
    """Expected minus recorded is zero: what the old rule gave until the change is made or counted."""

    async def test_an_edit_makes_what_the_expander_had_not_got_to(self, api, clock, event):
        clock.advance(95 * 60)

        await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=25"})

        dues = list(await standing(api, clock))
        assert list(range(-95, 0, 10)) == [minute for minute in dues if minute < 0]
        assert [] == await query(api, "SELECT 1 FROM gaps")
        assert {2} == {version for version, *_ in (await standing(api, clock)).values()}

    async def test_beyond_the_room_it_is_counted(self, api, clock):
        event = await create(api, schedule="FREQ=SECONDLY")
        clock.advance(3 * 3600)

        await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=HOURLY"})

        [(made, counted)] = await query(
            api,
            "SELECT (SELECT count(*) FROM pending WHERE due_at < %s), (SELECT sum(count)::int FROM gaps)",
            clock.now(),
        )
        assert (1000, 3 * 3600 - 1000) == (made, counted)

    async def test_an_edit_while_paused_counts_what_was_missed(self, api, clock, event):
        await api.post(f"/events/{event['id']}/pause")
        clock.advance(95 * 60)

        await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=25"})

        assert [-95, -85, -75, -65, -55, -45] == list(await standing(api, clock))
        gaps = await query(api, "SELECT since, until, count, reason FROM gaps")
        assert [(clock.now() - 35 * MINUTE, clock.now(), 4, "its schedule was changed")] == gaps

    async def test_a_delete_counts_what_was_not_expanded(self, api, clock, event):
        clock.advance(95 * 60)

        await api.delete(f"/events/{event['id']}")

        assert [(4, "event deleted")] == await query(api, "SELECT count::int, reason FROM gaps")

    async def test_a_catchup_window_shorter_than_the_grace_period_leaves_a_gap_and_fires_on(self, api, clock):
        event = await create(
            api,
            schedule="FREQ=SECONDLY",
            start_time=clock.now() - 5 * MINUTE,
            misfire={"policy": "fire_all", "catchup_window": 10},
        )

        assert [(50,)] == await query(api, "SELECT count::int FROM gaps")
        assert 100 == len(await open_of(api, event))
        assert "2026-03-01T11:59:50Z" == event["next_due_at"]


async def test_what_starts_while_a_change_waits_for_its_event_is_left_to_finish(api, clock, event, plant):
    async with api.deps.database.transaction() as conn:
        await conn.execute("SELECT FROM events FOR UPDATE")  # as the expander does for its batch
        deletion = asyncio.create_task(api.delete(f"/events/{event['id']}"))
        await asyncio.wait([deletion], timeout=1)  # it is at the lock
        clock.advance((HELD + 1) * 60)
    await deletion

    due = clock.now() - MINUTE
    assert [(True,)] == await query(api, "SELECT lease_until IS NOT NULL FROM pending WHERE due_at = %s", due)
