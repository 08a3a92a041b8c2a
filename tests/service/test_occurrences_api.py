from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from qhronos.api.auth import Access
from qhronos.broadcast import Revoke
from qhronos.core.occurrence import Identity, occurrence_id, parse_occurrence_id
from tests.service.events import create, dispatch, event_of, execute, heard_of, occurrences_of, picked, query

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def event(api):
    """Rows at 0, 10, … 50 minutes from now on."""
    return await create(api, schedule="FREQ=MINUTELY;INTERVAL=10", tags=["t", "both"])


async def fail(api, event, *minutes, status="failed", starts=3):
    """Close the occurrences due at these minutes, as a dispatcher does after its last attempt."""
    for minute in minutes:
        due_at = at(event, minute)
        await execute(api, "DELETE FROM pending WHERE event_id = %s AND due_at = %s", event["id"], due_at)
        await execute(
            api,
            "INSERT INTO occurrences (event_id, due_at, status, origin, version, attempt, wall, finished_at)"
            " VALUES (%s, %s, %s, 'rule', 1, %s, %s, %s)",
            event["id"],
            due_at,
            status,
            starts,
            due_at.replace(tzinfo=None),
            due_at,
        )


def at(event, minute):
    return parse_occurrence_id(id_of(event, minute)).due_at


def id_of(event, minute):
    start = datetime.fromisoformat(event["start_time"])
    return occurrence_id(Identity(UUID(event["id"]), start + minute * MINUTE))


async def test_an_occurrence_waits_and_then_completes_under_the_same_id(api, clock, event):
    path = f"/occurrences/{id_of(event, 0)}"
    waiting = (await api.get(path)).json()
    [delivery] = await dispatch(api, clock)
    done = (await api.get(path)).json()

    assert {
        "id": id_of(event, 0),
        "event_id": event["id"],
        "scheduled_at": "2026-03-01T12:00:00Z",
        "status": "scheduled",
        "reason": None,
        "origin": "rule",
        "version": 1,
        "attempt": 0,
        "next_attempt_at": "2026-03-01T12:00:00Z",
        "move_to": None,
        "local": "2026-03-01T12:00:00",
        "finished_at": None,
        "callback": None,
        "parent": None,
    } == waiting
    finished = {"status": "completed", "attempt": 1, "next_attempt_at": None, "finished_at": done["finished_at"]}
    assert waiting | finished == done
    assert done["finished_at"] is not None
    assert done["id"] == delivery.occurrence_id


async def test_a_delivery_can_be_identified(api, clock):
    """Defect 8: every occurrence has an id and an instant of its own."""
    event = await create(api, schedule="FREQ=MINUTELY")
    clock.advance(150)

    deliveries = await dispatch(api, clock)

    assert [id_of(event, minute) for minute in (0, 1, 2)] == [one.occurrence_id for one in deliveries]
    assert [at(event, minute) for minute in (0, 1, 2)] == [one.due_at for one in deliveries]


async def test_what_is_under_way_is_dispatched(api, clock, event):
    await execute(
        api, "UPDATE pending SET lease_until = %s WHERE due_at <= %s", clock.now() + MINUTE, clock.now() + 10 * MINUTE
    )

    statuses = {
        one["scheduled_at"]: picked(one, "status", "next_attempt_at") for one in await occurrences_of(api, event)
    }

    assert ("dispatched", None) == statuses["2026-03-01T12:00:00Z"]
    assert ("scheduled", "2026-03-01T12:10:00Z") == statuses["2026-03-01T12:10:00Z"]  # merely held


@pytest.mark.parametrize(
    "path", ["nonsense", "occ_", "occ_zzzz", "1", "019ca945-0a00-7695-970c-30101b1e7a34", "occ_" + "a" * 39]
)
async def test_an_id_that_cannot_be_is_not_found(api, path):
    answers = [
        await api.get(f"/occurrences/{path}"),
        await api.get(f"/occurrences/{path}/attempts"),
        await api.post(f"/occurrences/{path}/replay"),
        await api.post(f"/occurrences/{path}/cancel"),
    ]

    assert {(404, "occurrence not found")} == {(answer.status_code, answer.json()["error"]) for answer in answers}


async def test_an_instant_that_is_not_of_the_event_is_not_found(api, event):
    assert 404 == (await api.get(f"/occurrences/{id_of(event, 5)}")).status_code


class TestAttempts:
    @pytest.fixture
    async def tried(self, api, event):
        await fail(api, event, 0)
        for attempt in (1, 2, 3):
            await execute(
                api,
                "INSERT INTO attempts VALUES (%s, %s, %s, 1, 'failed', 'HTTP 503', 503, 'busy', %s, %s)",
                event["id"],
                at(event, 0),
                attempt,
                at(event, attempt),
                at(event, attempt) + timedelta(milliseconds=12.5),
            )
        return f"/occurrences/{id_of(event, 0)}/attempts"

    async def test_attempts_are_listed_in_order(self, api, tried):
        answer = await api.get(tried)

        assert {
            "attempt": 1,
            "outcome": "failed",
            "status_code": 503,
            "reason": "HTTP 503",
            "response": "busy",
            "version": 1,
            "started_at": "2026-03-01T12:01:00Z",
            "finished_at": "2026-03-01T12:01:00.012500Z",
            "duration_ms": 12.5,
        } == answer.json()["data"][0]
        assert [1, 2, 3] == [attempt["attempt"] for attempt in answer.json()["data"]]

    async def test_they_are_paged(self, api, tried):
        first = (await api.get(f"{tried}?limit=2")).json()
        second = (await api.get(f"{tried}?limit=2&cursor={first['pagination']['next_cursor']}")).json()

        assert ([1, 2], [3]) == tuple([one["attempt"] for one in page["data"]] for page in (first, second))
        assert (True, False) == (first["pagination"]["has_more"], second["pagination"]["has_more"])

    async def test_without_attempts_the_list_is_empty(self, api, event):
        assert [] == (await api.get(f"/occurrences/{id_of(event, 0)}/attempts")).json()["data"]


class TestList:
    @pytest.fixture
    async def some(self, api, event):
        other = await create(api, start_time="2026-03-01T12:25:00Z", tags=["o", "both"])
        await fail(api, event, 0)
        await fail(api, event, 10, status="skipped")
        return event, other

    async def minutes(self, api, query):
        answer = await api.get(query)
        assert 200 == answer.status_code, answer.text
        return [int(one["scheduled_at"][14:16]) for one in answer.json()["data"]]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", [50, 40, 30, 25, 20, 10, 0]),
            ("tags=o", [25]),
            ("tags=o,t", [50, 40, 30, 25, 20, 10, 0]),
            ("tags=o,both&tags_match=all", [25]),
            ("status=failed", [0]),
            ("status=failed,skipped", [10, 0]),
            ("status=scheduled&tags=o", [25]),
            ("since=2026-03-01T12:10:00Z&until=2026-03-01T12:30:00Z", [25, 20, 10]),
            ("since=2026-03-01T13:10:00+01:00&until=2026-03-01T12:30:00Z", [25, 20, 10]),
            ("limit=2", [50, 40]),
        ],
    )
    async def test_occurrences_are_found_by_what_is_asked(self, api, some, query, found):
        assert found == await self.minutes(api, f"/occurrences?{query}")

    async def test_an_event_has_its_own(self, api, some):
        event, other = some

        assert [25] == await self.minutes(api, f"/events/{other['id']}/occurrences")
        assert [25] == await self.minutes(api, f"/occurrences?event_id={other['id']}")
        assert [10, 0] == await self.minutes(api, f"/events/{event['id']}/occurrences?status=failed,skipped")

    @pytest.mark.parametrize(
        "query",
        [
            "status=done",
            "since=yesterday",
            "since=2026-03-01T12:00:00",
            "event_id=1",
            "cursor=!!",
            "limit=1000",
            "tag=t",
        ],
    )
    async def test_what_cannot_be_asked_is_refused(self, api, query):
        assert 400 == (await api.get(f"/occurrences?{query}")).status_code

    async def test_pages_lead_through_open_and_closed_once_while_rows_are_added(self, api, some, clock):
        seen, cursor = [], ""
        while True:
            page = (await api.get(f"/occurrences?limit=2{cursor}")).json()
            seen += [one["id"] for one in page["data"]]
            if not page["pagination"]["has_more"]:
                break
            cursor = f"&cursor={page['pagination']['next_cursor']}"
            await create(api, start_time=clock.now() + 55 * MINUTE)

        assert 7 == len(seen) == len(set(seen))

    async def test_a_token_sees_only_its_own(self, api, some):
        token = api.token(Access.READ_WRITE, "o")
        event, _ = some

        listed = (await api.get("/occurrences", token=token)).json()["data"]
        assert ["2026-03-01T12:25:00Z"] == [one["scheduled_at"] for one in listed]
        hidden = f"/occurrences/{id_of(event, 0)}"
        answers = [
            await api.get(hidden, token=token),
            await api.get(f"{hidden}/attempts", token=token),
            await api.post(f"{hidden}/replay", token=token),
            await api.post(f"{hidden}/cancel", token=token),
        ]
        assert {404} == {answer.status_code for answer in answers}
        many = await api.post("/occurrences/replay", {"filter": {"status": ["failed", "skipped"]}}, token=token)
        assert {"matched": 0, "replayed": 0, "ids": []} == many.json()

    async def test_the_history_of_a_deleted_event_can_be_read(self, api, some):
        event, _ = some
        await api.delete(f"/events/{event['id']}")

        assert {"failed", "skipped", "cancelled"} == {one["status"] for one in await occurrences_of(api, event)}
        assert 404 == (await api.get(f"/events/{event['id']}/occurrences")).status_code


class TestReplay:
    @pytest.mark.parametrize("status", ["failed", "completed", "skipped", "cancelled"])
    async def test_what_is_closed_happens_again_under_the_same_id(self, api, clock, event, status):
        await fail(api, event, 0, status=status)
        await api.patch(f"/events/{event['id']}", {"name": "new"})
        clock.advance(90)

        answer = await api.post(f"/occurrences/{id_of(event, 0)}/replay")

        assert (200, id_of(event, 0), "scheduled", 2, 3, "2026-03-01T12:01:30Z", None) == (
            answer.status_code,
            *picked(answer.json(), "id", "status", "version", "attempt", "next_attempt_at", "finished_at"),
        )
        assert [(0, 0)] == await query(api, "SELECT starts, losses FROM pending WHERE due_at = %s", at(event, 0))
        [delivery] = await dispatch(api, clock)
        assert (id_of(event, 0), 4, "new") == (delivery.occurrence_id, delivery.attempt, delivery.name)
        assert ["occurrence.replayed"] == [
            action for (action,) in await query(api, "SELECT action FROM audit WHERE object = %s", id_of(event, 0))
        ]

    async def test_a_completed_event_is_active_until_it_is_done_again(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)
        assert "completed" == (await event_of(api, event))["status"]

        await api.post(f"/occurrences/{id_of(event, 0)}/replay")
        assert "active" == (await event_of(api, event))["status"]
        await dispatch(api, clock)
        assert "completed" == (await event_of(api, event))["status"]

    async def test_of_a_paused_event_it_waits_for_the_resumption(self, api, clock, event):
        await fail(api, event, 0)
        await api.post(f"/events/{event['id']}/pause")

        answer = await api.post(f"/occurrences/{id_of(event, 0)}/replay")
        assert (200, "paused") == (answer.status_code, answer.json()["reason"])
        assert [] == await dispatch(api, clock)
        await api.post(f"/events/{event['id']}/resume")
        assert [id_of(event, 0)] == [one.occurrence_id for one in await dispatch(api, clock)]

    async def test_what_is_open_cannot_be_replayed(self, api, event):
        assert 409 == (await api.post(f"/occurrences/{id_of(event, 0)}/replay")).status_code

    async def test_of_a_deleted_event_nothing_is_replayed(self, api, event):
        await api.delete(f"/events/{event['id']}")

        assert 409 == (await api.post(f"/occurrences/{id_of(event, 0)}/replay")).status_code

    async def test_of_an_event_in_error_nothing_is_replayed(self, api, event):
        await fail(api, event, 0)
        await execute(api, "UPDATE events SET status = 'error'")

        assert 409 == (await api.post(f"/occurrences/{id_of(event, 0)}/replay")).status_code

    async def test_of_a_day_that_was_dropped_it_is_gone(self, api, event):
        await execute(api, "UPDATE installation SET ledger_floor = '2026-02-01'")

        answer = await api.post(f"/occurrences/{id_of(event, -24 * 60)}/replay")

        assert 410 == answer.status_code

    async def test_replaying_twice_at_once_replays_once(self, api, event):
        await fail(api, event, 0)
        path = f"/occurrences/{id_of(event, 0)}/replay"

        answers = await asyncio.gather(*(api.post(path) for _ in range(5)))

        assert [200, 409, 409, 409, 409] == sorted(answer.status_code for answer in answers)


class TestCancel:
    async def test_what_has_not_started_is_cancelled(self, api, clock, event):
        answer = await api.post(f"/occurrences/{id_of(event, 10)}/cancel")

        assert (200, "cancelled", "cancelled by master") == (
            answer.status_code,
            *picked(answer.json(), "status", "reason"),
        )
        clock.advance(900)
        assert [id_of(event, 0)] == [one.occurrence_id for one in await dispatch(api, clock)]

    async def test_what_is_held_is_recalled(self, api, clock, event):
        await execute(api, "UPDATE pending SET lease_until = fire_at, fence = 1 WHERE due_at = %s", at(event, 10))

        async with heard_of(api) as heard:
            answer = await api.post(f"/occurrences/{id_of(event, 10)}/cancel")
            notice = await heard.get()

        assert (200, Revoke((UUID(event["id"]),), clock.now())) == (answer.status_code, notice)

    async def test_what_has_started_or_is_closed_is_a_conflict(self, api, clock, event):
        await execute(api, "UPDATE pending SET lease_until = %s WHERE due_at = %s", clock.now() + MINUTE, at(event, 0))
        await fail(api, event, 10)

        for minute in (0, 10):
            assert 409 == (await api.post(f"/occurrences/{id_of(event, minute)}/cancel")).status_code

    async def test_cancelling_the_only_one_completes_the_event(self, api, clock):
        event = await create(api)

        await api.post(f"/occurrences/{id_of(event, 0)}/cancel")

        assert "completed" == (await event_of(api, event))["status"]


class TestReplayMany:
    @pytest.fixture
    async def some(self, api, event):
        """Failed at 0 and 10, skipped at 20; another event failed at 5; a deleted one failed at 7."""
        other = await create(api, start_time="2026-03-01T12:05:00Z", tags=["o"])
        deleted = await create(api, start_time="2026-03-01T12:07:00Z", tags=["o"])
        await fail(api, event, 0, 10)
        await fail(api, event, 20, status="skipped")
        await fail(api, other, 0)
        await fail(api, deleted, 0)
        await api.delete(f"/events/{deleted['id']}")
        return event, other

    async def replay(self, api, **said):
        answer = await api.post("/occurrences/replay", said)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def test_by_default_whatever_failed_is_replayed_oldest_first(self, api, clock, event, some):
        _, other = some

        done = await self.replay(api)

        ids = [id_of(event, 0), id_of(other, 0), id_of(event, 10)]
        assert {"matched": 3, "replayed": 3, "ids": ids} == done
        assert set(ids) == {one.occurrence_id for one in await dispatch(api, clock)}
        [(details,)] = await query(api, "SELECT details FROM audit WHERE action = 'occurrences.replayed'")
        assert b'"replayed": 3' in bytes(details)

    async def test_a_dry_run_only_says_what_would_be(self, api, some):
        done = await self.replay(api, dry_run=True)

        assert (3, 0, 3) == (done["matched"], done["replayed"], len(done["ids"]))
        assert 3 == (await self.replay(api))["replayed"]
        assert 0 == (await self.replay(api))["matched"]

    async def test_the_filter_narrows(self, api, event, some):
        _, other = some

        async def found(**wanted):
            return len((await self.replay(api, filter=wanted, dry_run=True))["ids"])

        assert 2 == await found(event_id=event["id"])
        assert 1 == await found(tags=["o"])
        assert 3 == await found(tags=["o", "t"])
        assert 0 == await found(tags=["o", "t"], tags_match="all")
        assert 1 == await found(status=["skipped"])
        assert 4 == await found(status=["skipped", "failed"])
        assert 2 == await found(since="2026-03-01T12:05:00Z")
        assert 1 == await found(since="2026-03-01T12:05:00Z", until="2026-03-01T12:10:00Z")
        assert 0 == await found(event_id=other["id"], status=["completed"])

    async def test_the_limit_takes_the_oldest(self, api, event, some):
        assert [id_of(event, 0)] == (await self.replay(api, limit=1))["ids"]

    @pytest.mark.parametrize(
        "said",
        [
            {"limit": 0},
            {"limit": 10_001},
            {"filter": {"status": ["scheduled"]}},
            {"filter": {"status": []}},
            {"all": 1},
        ],
    )
    async def test_what_cannot_be_replayed_is_refused(self, api, said):
        assert 422 == (await api.post("/occurrences/replay", said)).status_code

    async def test_thousands_are_replayed_at_once(self, api, event):
        await execute(
            api,
            "INSERT INTO occurrences (event_id, due_at, status, origin, version, attempt, finished_at)"
            " SELECT %s, %s - n * interval '1 second', 'failed', 'rule', 1, 1, %s FROM generate_series(1, 5000) AS n",
            event["id"],
            at(event, 0),
            at(event, 0),
        )

        done = await self.replay(api, limit=10_000)

        assert (5000, 5000) == (done["matched"], done["replayed"])
        assert [(5000, 5000)] == await query(
            api, "SELECT count(*), count(DISTINCT due_at) FROM pending WHERE attempt = 1 AND starts = 0"
        )
