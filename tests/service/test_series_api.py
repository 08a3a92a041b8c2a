"""One occurrence changed, a series split, and what another schedule would change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from qhronos.api.auth import Access
from qhronos.broadcast import Revoke
from qhronos.config import Scheduler
from qhronos.core.occurrence import Identity, occurrence_id
from qhronos.engine import single
from qhronos.expander import Expander
from tests.service.api import CONFIG, open_api, open_deps
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
    secrets_of,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
async def event(api, clock):
    """Every ten minutes from now on: rows at 0, 10, … 50 minutes, and the cursor at an hour."""
    return await create(api, schedule="FREQ=MINUTELY;INTERVAL=10", tags=["t"])


@pytest.fixture
async def daily(api):
    """From tomorrow on; nothing is open."""
    return await create(api, schedule="FREQ=DAILY", start_time="2026-03-02T12:00:00Z", metadata={"n": 1})


async def override(api, event, instant, **said):
    return await api.post(f"/events/{event['id']}/override", {"scheduled_at": instant, **said})


async def expand(api, clock):
    await Expander(api.deps.changes.stores, clock, api.deps.config.scheduler).tick()


async def standing(api, event, clock):
    """(due, fire) in minutes from now."""
    found = await query(
        api, "SELECT due_at, fire_at FROM pending WHERE event_id = %s ORDER BY due_at", UUID(event["id"])
    )
    return [((due - clock.now()) / MINUTE, (fire - clock.now()) / MINUTE) for due, fire in found]


async def closed(api, event):
    found = await query(
        api, "SELECT due_at, status, reason FROM occurrences WHERE event_id = %s ORDER BY due_at", UUID(event["id"])
    )
    return [(due.isoformat(), status, reason) for due, status, reason in found]


def id_of(event, instant):
    return occurrence_id(Identity(UUID(event["id"]), instant))


class TestMove:
    async def test_an_open_one_keeps_its_identity_and_happens_at_another_time(self, api, clock, event):
        path = f"/occurrences/{id_of(event, clock.now() + 10 * MINUTE)}"
        answer = await api.patch(path, {"move_to": clock.now() + 15 * MINUTE})

        moved = {"scheduled_at": "2026-03-01T12:10:00Z", "next_attempt_at": "2026-03-01T12:15:00Z"}
        assert 200 == answer.status_code, answer.text
        assert moved | {"move_to": "2026-03-01T12:15:00Z"} == {
            name: answer.json()[name] for name in ("scheduled_at", "next_attempt_at", "move_to")
        }
        assert answer.json() in await occurrences_of(api, event)
        await dispatch(api, clock)
        clock.advance(14 * 60)
        assert [] == await dispatch(api, clock)
        clock.advance(60)
        [delivery] = await dispatch(api, clock)
        assert (answer.json()["id"], "2026-03-01T12:10:00+00:00") == (
            delivery.occurrence_id,
            delivery.due_at.isoformat(),
        )

    async def test_it_may_come_earlier(self, api, clock, event):
        await override(api, event, clock.now() + 50 * MINUTE, move_to=clock.now() + MINUTE)
        clock.advance(60)
        now = clock.now()

        dues = [delivery.due_at for delivery in await dispatch(api, clock)]
        assert [now - MINUTE, now + 49 * MINUTE] == sorted(dues)

    async def test_a_single_one_that_is_then_rescheduled_happens_once(self, api, clock):
        once = await create(api, start_time=clock.now() + 10 * MINUTE)
        await override(api, once, clock.now() + 10 * MINUTE, move_to=clock.now() + 30 * MINUTE)
        clock.advance(20 * 60)
        await api.patch(f"/events/{once['id']}", {"start_time": clock.now() + 20 * MINUTE})

        assert [(20, 20)] == await standing(api, once, clock)

    async def test_one_far_ahead_is_opened_at_once_and_not_made_a_second_time(self, api, clock, daily):
        answer = await override(api, daily, "2026-03-05T12:00:00Z", move_to="2026-03-04T08:00:00Z")
        assert 200 == answer.status_code, answer.text
        assert ("scheduled", "2026-03-04T08:00:00Z", "2026-03-05T12:00:00") == picked(
            answer.json(), "status", "next_attempt_at", "local"
        )
        assert "2026-03-02T12:00:00Z" == (await event_of(api, daily))["next_due_at"]

        happened = []
        for _ in range(120):
            clock.advance(3600)
            await expand(api, clock)
            happened += [(clock.now().replace(microsecond=0), one.due_at) for one in await dispatch(api, clock)]

        noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
        assert [(noon, noon), (noon + DAY, noon + DAY), (noon + 44 * 60 * MINUTE, noon + 3 * DAY)] == happened[:3]
        assert [noon + 2 * DAY, noon + 4 * DAY] == [due for _, due in happened[3:]]

    async def test_the_next_one_ahead_is_opened_and_the_one_after_it_shown_as_next_to_expand(self, api, clock, daily):
        await override(api, daily, "2026-03-02T12:00:00Z", metadata={})

        [(next_due_at,)] = await query(api, "SELECT next_due_at FROM events")
        assert ("2026-03-02T12:00:00Z", datetime(2026, 3, 3, 12, tzinfo=UTC)) == (
            (await event_of(api, daily))["next_due_at"],
            next_due_at,
        )

    async def test_null_brings_it_back_to_its_own_instant(self, api, clock, event):
        for move_to in (clock.now() + 55 * MINUTE, None):
            answer = await override(api, event, clock.now() + 10 * MINUTE, move_to=move_to)

        assert ("2026-03-01T12:10:00Z", None) == picked(answer.json(), "next_attempt_at", "move_to")
        assert [] == await query(api, "SELECT 1 FROM occurrence_overrides")

    async def test_what_is_held_is_taken_back(self, api, clock, event):
        due = clock.now() + 10 * MINUTE
        await execute(api, "UPDATE pending SET lease_until = fire_at, fence = -1, worker = 1 WHERE due_at = %s", due)

        async with heard_of(api) as heard:
            await override(api, event, due, move_to=due + MINUTE)
            notice = await heard.get()

        assert Revoke((UUID(event["id"]),), clock.now()) == notice
        assert [(None, True)] == await query(api, "SELECT lease_until, fence <> -1 FROM pending WHERE due_at = %s", due)

    async def test_of_a_paused_event_it_waits_for_the_resumption(self, api, clock, daily):
        await api.post(f"/events/{daily['id']}/pause")
        answer = await override(api, daily, "2026-03-04T12:00:00Z", move_to="2026-03-01T12:10:00Z")
        assert (200, "paused") == (answer.status_code, answer.json()["reason"])

        clock.advance(600)
        assert [] == await dispatch(api, clock)
        await api.post(f"/events/{daily['id']}/resume")
        assert 1 == len(await dispatch(api, clock))

    async def test_a_single_one_is_moved_too_and_ends_its_event(self, api, clock):
        event = await create(api, start_time="2026-06-01T00:00:00Z")
        await override(api, event, "2026-06-01T00:00:00Z", move_to="2026-03-01T12:01:00Z")
        assert "active" == (await event_of(api, event))["status"]

        clock.advance(60)
        assert 1 == len(await dispatch(api, clock))
        assert "completed" == (await event_of(api, event))["status"]

    async def test_what_is_missed_is_judged_by_where_it_was_moved_to(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY", misfire={"policy": "skip"})
        await override(api, event, clock.now(), move_to=clock.now() + 120 * MINUTE)
        clock.advance(120 * 60)

        assert 1 == len(await dispatch(api, clock))

    async def test_one_that_is_moved_to_later_supersedes_nothing_yet(self, api, clock):
        event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=10;COUNT=2", misfire={"policy": "fire_latest"})
        await override(api, event, clock.now() + 10 * MINUTE, move_to=clock.now() + DAY)
        clock.advance(15 * 60)

        assert [event["start_time"]] == [
            one.due_at.isoformat().replace("+00:00", "Z") for one in await dispatch(api, clock)
        ]

    async def test_the_latest_is_the_one_meant_for_last(self, api, clock):
        event = await create(api, schedule="FREQ=MINUTELY;INTERVAL=10;COUNT=2", misfire={"policy": "fire_latest"})
        start = clock.now()
        await override(api, event, start, move_to=start + 15 * MINUTE)
        clock.advance(20 * 60)

        assert [start] == [one.due_at for one in await dispatch(api, clock)]

    async def test_one_that_is_moved_to_earlier_is_superseded_by_what_comes_after_it(self, api, clock):
        start = clock.now()
        rdate = [(start + minutes * MINUTE).isoformat() for minutes in (10, 50)]
        event = await create(api, schedule={"rdate": rdate}, misfire={"policy": "fire_latest"})
        await override(api, event, start + 50 * MINUTE, move_to=start + 5 * MINUTE)
        clock.advance(20 * 60)

        assert [start + 10 * MINUTE] == [one.due_at for one in await dispatch(api, clock)]

    async def test_skipping_takes_what_was_moved(self, api, clock, daily):
        await override(api, daily, "2026-03-05T12:00:00Z", move_to="2026-03-04T08:00:00Z")

        answer = await api.post(f"/events/{daily['id']}/skip", {"scheduled_at": "2026-03-05T12:00:00Z"})

        assert 200 == answer.status_code
        assert [("2026-03-05T12:00:00+00:00", "skipped", "skipped by master")] == await closed(api, daily)

    async def test_deleting_the_event_cancels_what_was_moved(self, api, clock, daily):
        await override(api, daily, "2026-03-05T12:00:00Z", move_to="2026-03-04T08:00:00Z")
        await api.delete(f"/events/{daily['id']}")

        assert [("2026-03-05T12:00:00+00:00", "cancelled", "event deleted")] == await closed(api, daily)

    async def test_a_backlog_that_is_skipped_leaves_what_was_moved_out_of_it(self, api, clock, event):
        await override(api, event, clock.now(), move_to=clock.now() + 40 * MINUTE)
        await override(api, event, clock.now() + 50 * MINUTE, move_to=clock.now() + 15 * MINUTE)
        await api.post(f"/events/{event['id']}/pause")
        clock.advance(25 * 60)

        await api.post(f"/events/{event['id']}/resume", {"backlog": "fire_latest"})

        assert [(-25, 15), (-5, -5), (5, 5), (15, 15)] == (await standing(api, event, clock))[:4]
        assert ["12:10:00", "12:50:00"] == [due[11:19] for due, *_ in await closed(api, event)]

    async def test_the_latest_of_a_backlog_is_the_latest_that_was_not_moved_out_of_it(self, api, clock, daily):
        await override(api, daily, "2026-03-04T12:00:00Z", move_to="2026-03-07T08:00:00Z")
        await api.post(f"/events/{daily['id']}/pause")
        clock.advance((3 * DAY + 10 * MINUTE).total_seconds())

        await api.post(f"/events/{daily['id']}/resume", {"backlog": "fire_latest"})

        assert [(1,)] == await query(api, "SELECT count FROM gaps")
        assert [(-10 - 1440, -10 - 1440), (-10, 4070)] == await standing(api, daily, clock)

    async def test_what_was_moved_or_skipped_is_not_counted_as_missed(self, api, clock, daily):
        await api.post(f"/events/{daily['id']}/skip", {"scheduled_at": "2026-03-03T12:00:00Z"})
        await override(api, daily, "2026-03-04T12:00:00Z", move_to="2026-03-07T08:00:00Z")
        await api.post(f"/events/{daily['id']}/pause")
        clock.advance((3 * DAY + 10 * MINUTE).total_seconds())

        await api.post(f"/events/{daily['id']}/resume", {"backlog": "skip"})

        assert [(1,)] == await query(api, "SELECT count FROM gaps")

    async def test_what_was_moved_takes_no_room_from_the_others(self, api, clock, daily):
        await override(api, daily, "2026-03-05T12:00:00Z", metadata={})
        clock.advance(24 * 3600)
        await Expander(api.deps.changes.stores, clock, Scheduler(max_open=1)).tick()

        assert [(0, 0), (3 * 1440, 3 * 1440)] == await standing(api, daily, clock)


class TestPayload:
    async def test_it_stands_in_for_the_metadata_of_this_one(self, api, clock, event):
        await override(api, event, clock.now() + 10 * MINUTE, metadata={"just": "once"})
        clock.advance(600)

        assert {b"{}", b'{"just": "once"}'} == {bytes(one.metadata) for one in await dispatch(api, clock)}

    async def test_moving_keeps_it_and_null_clears_it(self, api, clock, event):
        due = clock.now() + 10 * MINUTE
        await override(api, event, due, metadata={"a": 1})
        await override(api, event, due, move_to=due + MINUTE)
        assert [(due + MINUTE, {"a": 1})] == [
            (move_to, msgspec.json.decode(payload))
            for move_to, payload in await query(api, "SELECT move_to, payload FROM occurrence_overrides")
        ]

        await override(api, event, due, metadata=None)

        assert [(due + MINUTE, None)] == await query(api, "SELECT move_to, payload FROM occurrence_overrides")

    async def test_one_that_waits_after_a_replay_stays_when_it_is(self, api, clock, event):
        due = clock.now()
        await api.post(f"/events/{event['id']}/skip", {"scheduled_at": due})
        clock.advance(300)
        await api.post(f"/occurrences/{id_of(event, due)}/replay")

        await override(api, event, due, metadata={"again": True})

        assert [b'{"again": true}'] == [bytes(one.metadata) for one in await dispatch(api, clock)]

    async def test_it_is_bounded(self, api, clock, event):
        answer = await override(api, event, clock.now(), metadata="x" * 300_000)

        assert (422, "metadata") == (answer.status_code, answer.json()["field"])


class TestRefusals:
    @pytest.mark.parametrize(
        ("instant", "said", "status", "field"),
        [
            ("2026-03-01T12:05:00Z", {"metadata": {}}, 422, "scheduled_at"),  # not of the rule
            ("2036-03-01T12:00:00Z", {"metadata": {}}, 422, "scheduled_at"),  # too far ahead
            ("2026-03-01T12:10:00Z", {"move_to": "2026-03-01T11:00:00Z"}, 422, "move_to"),
            ("2026-03-01T12:10:00Z", {"move_to": "2036-03-01T11:00:00Z"}, 422, "move_to"),
            ("2026-03-01T12:10:00Z", {"move_to": "2026-03-01T13:00:00"}, 422, "move_to"),
            ("2026-03-01T12:10:00Z", {}, 422, None),
        ],
    )
    async def test_what_cannot_be_is_refused_and_changes_nothing(self, api, clock, event, instant, said, status, field):
        before = await standing(api, event, clock)
        answer = await override(api, event, instant, **said)

        assert (status, field) == (answer.status_code, answer.json().get("field"))
        assert before == await standing(api, event, clock)
        assert [] == await query(api, "SELECT 1 FROM occurrence_overrides")

    async def test_what_has_begun_is_closed_or_has_passed_is_a_conflict(self, api, clock, event):
        now = clock.now()
        await execute(api, "UPDATE pending SET lease_until = %s WHERE due_at = %s", now + MINUTE, now)
        await execute(api, "UPDATE pending SET attempt = 1, starts = 1 WHERE due_at = %s", now + 10 * MINUTE)
        await api.post(f"/events/{event['id']}/skip", {"scheduled_at": now + 20 * MINUTE})
        await execute(api, "DELETE FROM pending WHERE due_at = %s", now + 30 * MINUTE)
        clock.advance(1)

        told = {n: await override(api, event, now + n * MINUTE, metadata={}) for n in (0, 10, 20, 30)}
        assert {
            0: (409, "the occurrence is dispatched; only a scheduled one can be changed"),
            10: (409, "the occurrence has been attempted; only one that has not begun can be changed"),
            20: (409, "the occurrence is skipped; only a scheduled one can be changed"),
            30: (409, "this instant has passed without an occurrence"),
        } == {n: (answer.status_code, answer.json()["error"]) for n, answer in told.items()}

    async def test_there_are_only_so_many(self, api, clock, event, monkeypatch):
        monkeypatch.setattr(single, "MOST_OVERRIDDEN", 1)

        statuses = [
            (await override(api, event, clock.now() + n * MINUTE, metadata={})).status_code for n in (10, 20, 10)
        ]
        assert [200, 409, 200] == statuses

    async def test_by_id_what_is_not_there_is_not_found(self, api, clock, event):
        other = api.token(Access.READ_WRITE, "other")
        answers = [
            await api.patch(f"/occurrences/{id_of(event, clock.now() + 5 * MINUTE)}", {"metadata": {}}),
            await api.patch(f"/occurrences/{id_of(event, clock.now())}", {"metadata": {}}, token=other),
        ]

        assert {(404, "occurrence not found")} == {(one.status_code, one.json()["error"]) for one in answers}
        bad = await api.patch(f"/occurrences/{id_of(event, clock.now())}", {"move_to": "2020-01-01T00:00:00Z"})
        assert (422, "move_to") == (bad.status_code, bad.json()["field"])

    async def test_if_match_holds_here_too(self, api, clock, event):
        answer = await api.post(
            f"/events/{event['id']}/override",
            {"scheduled_at": clock.now(), "metadata": {}},
            headers={"If-Match": '"7-active"'},
        )

        assert 412 == answer.status_code


class TestEdits:
    @pytest.fixture
    async def changed(self, api, clock, event):
        """One moved, one with a payload, one skipped within the look-ahead, and the same beyond it."""
        now = clock.now()
        for base in (0, 600):
            await override(api, event, now + (base + 20) * MINUTE, move_to=now + (base + 25) * MINUTE)
            await override(api, event, now + (base + 30) * MINUTE, metadata={"n": base})
            await api.post(f"/events/{event['id']}/skip", {"scheduled_at": now + (base + 40) * MINUTE})
        return event

    async def test_a_schedule_that_has_the_instants_too_keeps_what_was_changed(self, api, clock, changed):
        await api.patch(f"/events/{changed['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=5"})
        open_ = dict(await standing(api, changed, clock))
        assert (25, 30, 625, 630) == tuple(open_[due] for due in (20, 30, 620, 630))
        assert not {40, 640} & set(open_)

        for _ in range(12):
            clock.advance(3600)
            await expand(api, clock)
        found = await query(api, "SELECT due_at FROM pending UNION ALL SELECT due_at FROM occurrences")
        assert len(found) == len(set(found))
        assert [b'{"n": 0}', b'{"n": 600}'] == [
            bytes(payload)
            for (payload,) in await query(
                api, "SELECT payload FROM occurrence_overrides WHERE payload IS NOT NULL ORDER BY due_at"
            )
        ]

    async def test_one_that_has_them_no_more_drops_what_was_changed_and_says_so(self, api, clock, changed):
        await api.patch(f"/events/{changed['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=60"})

        assert [(0, 0)] == await standing(api, changed, clock)
        assert [] == await query(api, "SELECT 1 FROM occurrence_overrides")
        details = (await audit_of(api, changed))[0][2]
        assert ["12:20:00", "12:30:00", "22:20:00", "22:30:00"] == [one[11:19] for one in details["overrides_dropped"]]

    async def test_any_other_edit_keeps_them_where_they_are(self, api, clock, changed):
        before = await standing(api, changed, clock)
        await api.patch(f"/events/{changed['id']}", {"name": "new"})

        assert before == await standing(api, changed, clock)
        assert {2} == {one["version"] for one in await open_of(api, changed)}

    async def test_while_paused_they_stay_paused(self, api, clock, changed):
        await api.post(f"/events/{changed['id']}/pause")
        await api.patch(f"/events/{changed['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=5"})

        assert {"paused"} == {one["reason"] for one in await open_of(api, changed)}

    async def test_what_was_moved_to_later_than_its_edit_still_comes(self, api, clock, event):
        await override(api, event, clock.now(), move_to=clock.now() + 30 * MINUTE)
        clock.advance(300)
        await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=HOURLY;INTERVAL=7"})

        assert [(-5, 25)] == await standing(api, event, clock)


class TestSplit:
    async def split(self, api, event, instant, **said):
        return await api.post(f"/events/{event['id']}/split", {"scheduled_at": instant, **said})

    async def test_the_old_one_ends_before_and_the_new_one_goes_on(self, api, clock):
        old = await create(
            api,
            schedule="FREQ=MINUTELY;INTERVAL=10;COUNT=9",
            tags=["t"],
            key="k",
            metadata={"m": 1},
            hmac_secret="s3cret-of-this-event",
            retry={"max_attempts": 7},
            misfire={"policy": "skip"},
        )

        answer = await self.split(api, old, clock.now() + 40 * MINUTE, name="coffee")

        new, ended = answer.json(), await event_of(api, old)
        assert (201, f"/events/{new['id']}", old["id"]) == (
            answer.status_code,
            answer.headers["location"],
            new["split_from"],
        )
        assert ("coffee", None, 1, "active", "2026-03-01T12:40:00Z", "2026-03-01T12:40:00Z") == picked(
            new, "name", "key", "version", "status", "start_time", "next_due_at"
        )
        same = ("action", "tags", "metadata", "retry", "misfire", "has_hmac_secret", "timezone")
        assert picked(old, *same) == picked(new, *same)
        assert ("tea", "k", 2) == picked(ended, "name", "key", "version")
        assert (["FREQ=MINUTELY;INTERVAL=10;COUNT=4"], ["FREQ=MINUTELY;INTERVAL=10;COUNT=5"]) == (
            ended["recurrence"]["rrule"],
            new["recurrence"]["rrule"],
        )
        assert [0, 10, 20, 30] == [due for due, _ in await standing(api, old, clock)]
        assert [40, 50] == [due for due, _ in await standing(api, new, clock)]
        assert [("s3cret-of-this-event", None, {})] * 2 == [await secrets_of(api, one["id"]) for one in (old, new)]
        assert ("event.split", "event.created") == (
            (await audit_of(api, old))[0][0],
            (await audit_of(api, new))[0][0],
        )

    async def test_together_they_fire_what_the_one_would_have(self, api, clock):
        old = await create(api, schedule="FREQ=MINUTELY;INTERVAL=7;COUNT=30")
        await self.split(api, old, clock.now() + 140 * MINUTE)

        dues, began = [], clock.now()
        for _ in range(30):
            clock.advance(600)
            await expand(api, clock)
            dues += [one.due_at for one in await dispatch(api, clock)]

        assert [began + n * 7 * MINUTE for n in range(30)] == sorted(dues)
        assert {"completed"} == {status for (status,) in await query(api, "SELECT status FROM events")}

    async def test_both_go_by_the_calendars_of_the_one(self, api, clock):
        await api.put("/calendars/team", {"dates": ["2026-03-05", "2026-03-11"], "weekend": ["SU"]})
        when = {"schedule": "FREQ=DAILY", "start_time": "2026-03-02T12:00:00Z", "calendars": ["team"]}
        whole = (await api.post("/recurrences/preview", {**when, "limit": 8})).json()["occurrences"]
        old = await create(api, **when)

        new = (await self.split(api, old, "2026-03-07T12:00:00Z")).json()

        assert ["team"] == new["calendars"] == (await event_of(api, old))["calendars"]
        dues = []
        for _ in range(44):
            clock.advance(21_600)
            await expand(api, clock)
            dues += [one.due_at for one in await dispatch(api, clock)]
        assert [one["at"] for one in whole] == [f"{due:%Y-%m-%dT%H:%M:%SZ}" for due in sorted(dues)]

    async def test_what_was_changed_by_hand_goes_with_its_instant(self, api, clock, daily):
        await override(api, daily, "2026-03-04T12:00:00Z", move_to="2026-03-04T13:00:00Z")
        await override(api, daily, "2026-03-06T12:00:00Z", move_to="2026-03-06T13:00:00Z", metadata={"x": 1})
        await override(api, daily, "2026-03-09T12:00:00Z", move_to="2026-03-01T12:01:00Z")
        await api.post(f"/events/{daily['id']}/skip", {"scheduled_at": "2026-03-07T12:00:00Z"})
        clock.advance(60)
        assert 1 == len(await dispatch(api, clock))

        new = (await self.split(api, daily, "2026-03-05T12:00:00Z")).json()

        assert ["2026-03-04T13:00:00Z"] == [one["move_to"] for one in await open_of(api, daily)]
        assert [("2026-03-06T12:00:00Z", "2026-03-06T13:00:00Z")] == [
            picked(one, "scheduled_at", "move_to") for one in await open_of(api, new)
        ]
        assert [
            ("2026-03-07T12:00:00+00:00", "skipped", "skipped by master"),
            ("2026-03-09T12:00:00+00:00", "skipped", "happened before the event was split"),
        ] == await closed(api, new)

    async def test_the_new_one_may_have_another_schedule_and_its_own_secret(self, api, clock, daily):
        new = await self.split(
            api,
            daily,
            "2026-03-05T12:00:00Z",
            schedule="FREQ=DAILY;BYHOUR=9",
            timezone="Europe/Berlin",
            hmac_secret="another-secret",
            key="mine",
        )

        assert ("2026-03-06T08:00:00Z", "Europe/Berlin", "mine") == picked(new.json(), "next_due_at", "timezone", "key")
        assert ("another-secret", None, {}) == await secrets_of(api, new.json()["id"])

    async def test_a_paused_one_is_split_into_two_that_are_paused(self, api, clock, event):
        await api.post(f"/events/{event['id']}/pause", {"reason": "why not"})
        new = (await self.split(api, event, clock.now() + 40 * MINUTE)).json()

        assert ("paused", "why not", "2026-03-01T12:40:00Z") == picked(new, "status", "reason", "next_due_at")
        assert [] == await standing(api, new, clock)

    async def test_a_skipped_instant_that_another_schedule_does_not_have_is_forgotten(self, api, clock, daily):
        await api.post(f"/events/{daily['id']}/skip", {"scheduled_at": "2026-03-07T12:00:00Z"})
        new = (await self.split(api, daily, "2026-03-05T12:00:00Z", schedule="FREQ=DAILY;BYHOUR=9")).json()

        assert [] == await closed(api, new)

    @pytest.mark.parametrize(
        ("said", "status", "field"),
        [
            ({"scheduled_at": "2026-03-05T11:00:00Z"}, 422, "scheduled_at"),
            ({"scheduled_at": "2026-03-02T12:00:00Z"}, 422, "scheduled_at"),  # the first
            ({"scheduled_at": "2026-02-05T12:00:00Z"}, 422, "scheduled_at"),
            ({"scheduled_at": "2026-03-05T12:00:00Z", "start_time": "2026-03-04T12:00:00Z"}, 422, "start_time"),
            ({"scheduled_at": "2026-03-05T12:00:00Z", "key": "taken"}, 409, "key"),
            ({"scheduled_at": "2026-03-05T12:00:00Z", "status": "paused"}, 422, "status"),
        ],
    )
    async def test_what_cannot_be_is_refused_and_changes_nothing(self, api, daily, said, status, field):
        await create(api, key="taken")
        answer = await api.post(f"/events/{daily['id']}/split", said)

        assert (status, field) == (answer.status_code, answer.json()["field"])
        assert daily == await event_of(api, daily)
        assert [(2,)] == await query(api, "SELECT count(*) FROM events")

    async def test_what_has_ended_cannot_be_split(self, api, clock):
        event = await create(api)
        await dispatch(api, clock)

        assert 409 == (await self.split(api, event, clock.now() + DAY)).status_code

    async def test_a_writer_gives_the_new_one_a_tag_that_it_sees(self, api, clock, event):
        writer = api.token(Access.READ_WRITE, "t")
        body = {"scheduled_at": clock.now() + 40 * MINUTE, "tags": ["other"]}

        assert 403 == (await api.post(f"/events/{event['id']}/split", body, token=writer)).status_code


class TestDiff:
    async def diff(self, api, event, **said):
        return await api.post(f"/events/{event['id']}/diff", said)

    async def test_it_says_what_comes_goes_and_stays(self, api, daily):
        answer = await self.diff(
            api, daily, schedule="FREQ=DAILY;INTERVAL=2", until="2026-03-05T00:00:00Z", timezone="Europe/Berlin"
        )

        assert {
            "added": [],
            "removed": ["2026-03-03T12:00:00+00:00"],
            "kept": ["2026-03-02T13:00:00+01:00", "2026-03-04T13:00:00+01:00"],
        } == {
            name: [one["local"].replace("Z", "+00:00") for one in answer.json()[name]]
            for name in ("added", "removed", "kept")
        }
        assert (True, ["FREQ=DAILY;INTERVAL=2"]) == (answer.json()["complete"], answer.json()["recurrence"]["rrule"])
        assert daily == await event_of(api, daily)

    async def test_it_is_what_the_edit_then_does(self, api, clock, event):
        told = (
            await self.diff(api, event, schedule="FREQ=MINUTELY;INTERVAL=15", until=clock.now() + 60 * MINUTE)
        ).json()
        before = {one["scheduled_at"] for one in await open_of(api, event)}
        await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=15"})
        after = {one["scheduled_at"] for one in await open_of(api, event)}

        assert (after - before, before - after, before & after) == tuple(
            {one["at"] for one in told[name]} for name in ("added", "removed", "kept")
        )

    async def test_it_looks_thirty_days_ahead_unless_told_otherwise(self, api, daily):
        same = (await self.diff(api, daily)).json()
        cut = (await self.diff(api, daily, limit=3)).json()

        assert ([], [], 29, True) == (same["added"], same["removed"], len(same["kept"]), same["complete"])
        assert (3, False) == (len(cut["kept"]), cut["complete"])

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"schedule": "FREQ=NEVER"}, "schedule"),
            ({"schedule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "schedule"),
            ({"until": "2026-02-01T00:00:00Z"}, "until"),
            ({"limit": 0}, "limit"),
            ({"name": "x"}, "name"),
        ],
    )
    async def test_what_an_edit_would_refuse_is_refused(self, api, daily, said, field):
        answer = await self.diff(api, daily, **said)

        assert (422, field) == (answer.status_code, answer.json()["field"])


class TestMinPeriod:
    TOLD = "schedule: fires at 2026-03-01T12:00:00Z and 2026-03-01T12:00:30Z, 30 s apart; at least 60 s are required"

    @pytest.fixture
    async def strict(self, database, redis_url, redis_prefix, clock):
        config = msgspec.structs.replace(CONFIG, scheduler=Scheduler(min_period=MINUTE))
        async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as api:
            yield api

    async def test_what_fires_more_often_is_refused_wherever_it_is_said(self, strict):
        often = {"schedule": "FREQ=SECONDLY;INTERVAL=30"}
        event = await create(strict, schedule="FREQ=MINUTELY")
        answers = [
            await strict.post("/events", {"name": "n", "webhook": "https://example.com/"} | often),
            await strict.patch(f"/events/{event['id']}", often),
            await strict.post(f"/events/{event['id']}/diff", often),
        ]

        assert {(422, "schedule", self.TOLD)} == {
            (answer.status_code, *picked(answer.json(), "field", "error")) for answer in answers
        }

    async def test_a_preview_only_warns(self, strict):
        answer = await strict.post("/recurrences/preview", {"schedule": "FREQ=SECONDLY;INTERVAL=30"})

        assert (200, [self.TOLD]) == (answer.status_code, answer.json()["warnings"])
