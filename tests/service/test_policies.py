"""What an event asks for beside its rule, from the request to what becomes of its occurrences."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from qhronos.core.attempt import Delivered, Failed
from qhronos.engine.recover import Sweeper
from qhronos.resumer import Resumer
from tests.service.engine import Noting, make_dispatcher, settled
from tests.service.events import ANY, create, event_of, picked, query

MINUTE = timedelta(minutes=1)


class Fleet:
    """A dispatcher over the stores of the API, whose action ends as it is told."""

    def __init__(self, api, clock):
        self.stores, self.clock, self.noting = api.deps.changes.stores, clock, Noting()
        self.api = api
        self.dispatcher = make_dispatcher(self.stores, clock, self.noting)

    async def __aenter__(self):
        await self.stores.plan.mark_whole(range(self.stores.plan.shards), "test")
        return self

    async def __aexit__(self, *_):
        self.noting.gate.set()
        await self.dispatcher.drain()

    async def tick(self):
        await self.dispatcher.tick()
        for _ in range(5):  # what was started gets a turn
            await asyncio.sleep(0)  # noqa: TID251 - of the loop, not of the clock

    async def settle(self):
        await settled(self.dispatcher)

    @property
    def sent(self):
        return [(delivery.name, delivery.due_at, delivery.attempt) for delivery in self.noting.deliveries]

    async def closed(self):
        return await query(self.api, "SELECT due_at, status, reason FROM occurrences ORDER BY due_at")

    async def waiting(self):
        await self.dispatcher.settler.idle.wait()  # what is skipped is settled by now
        return await query(self.api, "SELECT due_at, blocked_on FROM pending ORDER BY due_at")


@pytest.fixture
async def fleet(api, clock):
    async with Fleet(api, clock) as fleet:
        yield fleet


OVERLAPS = "overlap: the occurrence before it has not ended"


class TestOverlap:
    async def three(self, api, clock, fleet, **said):
        """The first is under way when the second and the third fall due."""
        event = await create(api, schedule="FREQ=MINUTELY;COUNT=3", **said)
        fleet.noting.gate.clear()
        for _ in range(3):
            await fleet.tick()
            clock.advance(60)
        return event

    async def test_overlapping_is_allowed_unless_it_is_not(self, api, clock, fleet):
        await self.three(api, clock, fleet)

        assert 3 == len(fleet.sent)

    async def test_what_is_due_meanwhile_is_skipped(self, api, clock, fleet):
        began = clock.now()
        event = await self.three(api, clock, fleet, overlap="skip")
        fleet.noting.gate.set()
        await fleet.settle()

        assert [
            (began, "completed", None),
            (began + MINUTE, "skipped", OVERLAPS),
            (began + 2 * MINUTE, "skipped", OVERLAPS),
        ] == await fleet.closed()
        assert "completed" == (await event_of(api, event))["status"]

    async def test_one_may_wait(self, api, clock, fleet):
        began = clock.now()
        await self.three(api, clock, fleet, overlap="queue_one")
        assert [(began, None), (began + MINUTE, "lane")] == await fleet.waiting()
        fleet.noting.gate.set()
        await fleet.settle()
        await fleet.tick()
        await fleet.settle()

        assert [began, began + MINUTE] == [due for _, due, _ in fleet.sent]
        assert ["completed", "completed", "skipped"] == [status for _, status, _ in await fleet.closed()]

    async def test_all_may_wait_and_each_starts_when_the_one_before_has_ended(self, api, clock, fleet):
        began = clock.now()
        await self.three(api, clock, fleet, overlap="queue_all")
        assert [(began, None), (began + MINUTE, "lane"), (began + 2 * MINUTE, "lane")] == await fleet.waiting()
        fleet.noting.gate.set()
        for count in (1, 2, 3):
            assert count == len(fleet.sent)
            await fleet.settle()
            await fleet.tick()

        await fleet.settle()
        assert ["completed"] * 3 == [status for _, status, _ in await fleet.closed()]

    async def test_one_that_waits_to_be_tried_again_keeps_its_place(self, api, clock, fleet):
        began = clock.now()
        await create(api, schedule="FREQ=MINUTELY;COUNT=2", overlap="queue_all", retry={"backoff": [90]})
        fleet.noting.answer = lambda delivery: Failed(reason="no") if delivery.attempt == 1 else Delivered()
        await fleet.tick()
        await fleet.settle()
        clock.advance(60)
        await fleet.tick()

        assert [(began, None), (began + MINUTE, "lane")] == await fleet.waiting()
        clock.advance(31)
        for _ in range(2):
            await fleet.tick()
            await fleet.settle()
        assert [(began, 1), (began, 2), (began + MINUTE, 1)] == [(due, attempt) for _, due, attempt in fleet.sent]

    async def test_what_takes_turns_is_not_claimed_ahead_and_not_late_for_it(self, api, clock, fleet):
        begins = clock.now() + timedelta(milliseconds=400)
        await create(api, overlap="skip", start_time=begins)
        fleet.dispatcher._subscribed.set()

        assert 0.4 == pytest.approx(await fleet.dispatcher.tick())
        assert [] == fleet.sent
        clock.advance(0.4)
        await fleet.tick()
        await fleet.settle()
        assert [begins] == [due for _, due, _ in fleet.sent]

    @pytest.mark.parametrize("end", ["cancel", "edit"])
    async def test_whoever_waits_for_one_that_is_gone_is_found(self, api, clock, fleet, end):
        event = await self.three(api, clock, fleet, overlap="queue_all")
        first = (await api.get(f"/occurrences?event_id={event['id']}&status=scheduled")).json()["data"][-1]
        await query_one(
            api,
            "UPDATE pending SET lease_until = NULL, fence = 0 WHERE due_at = %s RETURNING 1",
            clock.now() - 3 * MINUTE,
        )
        if end == "cancel":
            taken = (await api.get(f"/occurrences?event_id={event['id']}")).json()["data"][-1]
            assert 200 == (await api.post(f"/occurrences/{taken['id']}/cancel")).status_code
        else:
            assert 200 == (await api.patch(f"/events/{event['id']}", {"overlap": None})).status_code
        await Sweeper(fleet.stores, clock).tick()
        await fleet.tick()

        assert first["scheduled_at"] in [f"{due:%Y-%m-%dT%H:%M:%SZ}" for _, due, _ in fleet.sent]


async def query_one(api, text, *params):
    (row,) = await query(api, text, *params)
    return row


class TestKeys:
    async def test_as_many_of_a_concurrency_key_are_under_way_as_it_allows(self, api, clock, fleet):
        for number in range(5):
            await create(api, name=f"job {number}", concurrency_key="db", concurrency_limit=2)
        fleet.noting.gate.clear()
        await fleet.tick()

        assert 2 == len(fleet.sent)
        assert 3 == sum(blocked == "lane" for _, blocked in await fleet.waiting())
        fleet.noting.gate.set()
        for _ in range(4):
            await fleet.settle()
            await fleet.tick()
        assert {f"job {number}" for number in range(5)} == {name for name, _, _ in fleet.sent}

    async def test_the_smallest_limit_holds(self, api, clock, fleet):
        for limit in (5, 1, 3):
            await create(api, concurrency_key="db", concurrency_limit=limit)
        fleet.noting.gate.clear()
        await fleet.tick()

        assert 1 == len(fleet.sent)

    async def test_what_has_an_ordering_key_comes_one_after_the_other_in_the_order_of_its_instants(
        self, api, clock, fleet
    ):
        for number, seconds in enumerate([3, 1, 2]):
            await create(
                api,
                name=f"at {seconds}",
                ordering_key="ledger",
                start_time=clock.now() + timedelta(seconds=seconds),
                key=str(number),
            )
        await create(api, name="apart", start_time=clock.now() + timedelta(seconds=2))
        fleet.noting.answer = lambda delivery: (
            Failed(reason="no") if (delivery.name, delivery.attempt) == ("at 1", 1) else Delivered()
        )
        clock.advance(5)
        for _ in range(8):
            await fleet.tick()
            await fleet.settle()
            clock.advance(4)

        assert ["at 1", "at 1", "at 2", "at 3"] == [name for name, _, _ in fleet.sent if name != "apart"]

    async def test_a_paused_event_does_not_stand_in_the_way_of_its_key(self, api, clock, fleet):
        first = await create(api, name="paused", ordering_key="k", start_time=clock.now() + MINUTE)
        await create(api, name="behind", ordering_key="k", start_time=clock.now() + 2 * MINUTE)
        await api.post(f"/events/{first['id']}/pause")
        clock.advance(180)
        await fleet.tick()
        await fleet.settle()

        assert ["behind"] == [name for name, _, _ in fleet.sent]


class TestTimes:
    async def test_an_event_acts_within_its_window_always_as_much_later(self, api, clock, fleet):
        began = clock.now()
        await create(api, schedule="FREQ=MINUTELY;INTERVAL=10;COUNT=5", flex_window=300)

        moved = await query(api, "SELECT fire_at - due_at FROM pending")
        assert (5, 1) == (len(moved), len(set(moved)))
        (by,) = moved[0]
        assert timedelta() < by <= 5 * MINUTE
        clock.advance(by.total_seconds() + 0.001)
        await fleet.tick()
        await fleet.settle()
        assert [began] == [due for _, due, _ in fleet.sent]

    async def test_another_window_moves_what_is_open(self, api, clock):
        event = await create(
            api, schedule="FREQ=MINUTELY;INTERVAL=10;COUNT=5", jitter=300, start_time=clock.now() + MINUTE
        )
        await api.patch(f"/events/{event['id']}", {"jitter": 0})

        assert [(timedelta(),)] * 5 == await query(api, "SELECT fire_at - due_at FROM pending")

    async def test_what_is_of_no_use_any_more_is_skipped_or_has_failed(self, api, clock, fleet):
        began = clock.now()
        await create(api, name="late", expires_after=30)
        await create(api, name="tried", expires_after=30, retry={"backoff": [40]})
        fleet.noting.answer = lambda _: Failed(reason="no")
        await query(
            api,
            "UPDATE pending SET fire_at = fire_at + interval '50 s', meant_at = fire_at WHERE event_id = (SELECT id FROM events WHERE name = 'late') RETURNING 1",
        )
        await fleet.tick()
        await fleet.settle()
        clock.advance(60)
        await Sweeper(fleet.stores, clock).tick()
        await fleet.tick()
        await fleet.settle()

        told = "expired: no longer of use, as its event has it"
        assert {(began, "skipped", told), (began, "failed", told)} == set(await fleet.closed())

    async def test_as_many_as_asked_for_of_what_was_missed_fire(self, api, clock, fleet):
        began = clock.now()
        await create(api, schedule="FREQ=MINUTELY;COUNT=10", misfire={"max_catchup": 3})
        clock.advance(3600)
        await fleet.tick()
        await fleet.settle()

        assert [began + n * MINUTE for n in (7, 8, 9)] == sorted(due for _, due, _ in fleet.sent)
        assert {(None, 3), ("missed: only the latest 3 are caught up", 7)} == set(
            await query(api, "SELECT reason, count(*)::int FROM occurrences GROUP BY reason")
        )

    async def test_what_has_a_higher_priority_goes_first_where_hands_are_short(self, api, clock):
        async with Fleet(api, clock) as fleet:
            fleet.dispatcher = make_dispatcher(fleet.stores, clock, fleet.noting, dispatch_worker_count=1)
            for priority in (0, 5, 10, 5):
                await create(api, name=str(priority), priority=priority, start_time=clock.now() + MINUTE)
            clock.advance(60)
            await fleet.tick()
            await fleet.settle()
            while len(fleet.sent) < 4:
                await fleet.settle()

            assert ["10", "5", "5", "0"] == [name for name, _, _ in fleet.sent]


HOOK = {"type": "webhook", "params": {"url": "https://example.com/told"}}


class TestDeadLetters:
    async def three(self, api, fleet):
        """What has failed, each with a reason of its own."""
        event = await create(api, schedule="FREQ=MINUTELY;COUNT=3", retry={"max_attempts": 1})
        fleet.noting.answer = lambda delivery: Failed(reason=f"HTTP 50{delivery.due_at.minute}")
        fleet.clock.advance(130)
        await fleet.tick()
        await fleet.settle()
        assert 3 == len(await fleet.closed())
        return event

    async def test_they_are_searched_by_their_reason(self, api, clock, fleet):
        event = await self.three(api, fleet)
        found = (await api.get(f"/occurrences?event_id={event['id']}&reason=http 501")).json()["data"]

        assert [("failed", "HTTP 501")] == [picked(one, "status", "reason") for one in found]

    async def test_many_are_replayed_so_many_a_second(self, api, clock, fleet):
        await self.three(api, fleet)
        answer = await api.post("/occurrences/replay", {"rate": 0.5})

        assert (3, 3) == picked(answer.json(), "matched", "replayed")
        began = clock.now()
        fires = await query(api, "SELECT fire_at FROM pending ORDER BY fire_at")
        assert [timedelta(), timedelta(seconds=2), timedelta(seconds=4)] == [at - began for (at,) in fires]

    async def test_those_that_are_purged_stay_on_record_and_are_not_found_again(self, api, clock, fleet):
        await self.three(api, fleet)
        wanted = {"filter": {"reason": "502"}}
        assert (1, 0) == picked(
            (await api.post("/occurrences/purge", wanted | {"dry_run": True})).json(), "matched", "purged"
        )
        assert (1, 1) == picked((await api.post("/occurrences/purge", wanted)).json(), "matched", "purged")

        assert ("cancelled", "purged by master") in [(status, reason) for _, status, reason in await fleet.closed()]
        assert 2 == (await api.post("/occurrences/replay", {"dry_run": True})).json()["matched"]


class TestShown:
    async def test_a_preview_says_within_what_it_acts(self, api):
        asked = {
            "schedule": "FREQ=DAILY",
            "start_time": "2026-03-02T09:00:00Z",
            "flex_window": 60,
            "jitter": 30,
            "limit": 1,
        }
        shown = (await api.post("/recurrences/preview", asked)).json()

        assert ["acts between 09:00:00 and 09:01:30"] == [one["note"] for one in shown["occurrences"]]

    async def test_an_export_brings_all_of_them_along(self, api):
        said = {"priority": 3, "flex_window": 60, "ordering_key": "k", "expires_after": 90, "on_failure": HOOK}
        await create(api, schedule="FREQ=DAILY", key="e", **said)
        exported = (await api.get("/events/export")).json()["events"]

        assert tuple(said.values()) == picked(exported[0], *said)
        back = await api.post(
            "/events/import", {"format": "json", "text": msgspec.json.encode({"events": exported}).decode()}
        )
        assert (0, 1, 0) == picked(back.json(), "created", "edited", "failed")


class TestCallbacks:
    async def told(self, fleet):
        """What was sent, in the order of sending."""
        for _ in range(4):
            await fleet.tick()
            await fleet.settle()
        return [(delivery.attempt, msgspec.json.decode(delivery.metadata)) for delivery in fleet.noting.deliveries]

    async def test_a_failure_is_told_once_with_how_it_ended(self, api, clock, fleet):
        event = await create(api, metadata={"m": 1}, on_failure=HOOK, retry={"max_attempts": 1})
        fleet.noting.answer = lambda delivery: (
            Failed(reason="HTTP 503", status_code=503, excerpt="busy")
            if delivery.due_at == clock_start
            else Delivered()
        )
        clock_start = clock.now()
        (_, first), (_, told) = await self.told(fleet)

        assert {"m": 1} == first
        failed, callback = sorted(
            (await api.get(f"/occurrences?event_id={event['id']}")).json()["data"],
            key=lambda one: one["origin"],
            reverse=True,
        )
        assert {
            "callback": "on_failure",
            "occurrence": {
                "id": failed["id"],
                "scheduled_at": failed["scheduled_at"],
                "status": "failed",
                "reason": "HTTP 503",
                "attempt": 1,
                "status_code": 503,
                "response": "busy",
            },
            "metadata": {"m": 1},
        } == told
        assert ("callback", "on_failure", failed["id"], "completed") == picked(
            callback, "origin", "callback", "parent", "status"
        )
        assert "completed" == (await event_of(api, event))["status"]

    async def test_a_success_is_told_and_what_tells_is_told_of_by_none(self, api, clock, fleet):
        await create(api, on_success=HOOK, on_failure=HOOK, retry={"max_attempts": 1}, overlap="skip")
        fleet.noting.answer = lambda delivery: (
            Delivered() if b"callback" not in bytes(delivery.metadata) else Failed(reason="no")
        )

        assert [(1, {}), (1, {"callback": "on_success", "occurrence": ANY, "metadata": {}})] == await self.told(fleet)
        assert ["completed", "failed"] == [status for _, status, _ in await fleet.closed()]

    async def test_a_replay_is_told_of_anew_and_under_an_id_of_its_own(self, api, clock, fleet):
        event = await create(api, on_success=HOOK)
        await self.told(fleet)
        first = (await api.get(f"/occurrences?event_id={event['id']}")).json()["data"][-1]
        await api.post(f"/occurrences/{first['id']}/replay")

        assert 4 == len(await self.told(fleet))
        assert 3 == len((await api.get(f"/occurrences?event_id={event['id']}")).json()["data"])

    async def test_one_that_was_removed_meanwhile_is_cancelled(self, api, clock, fleet):
        event = await create(api, on_success=HOOK, schedule="FREQ=DAILY")
        await fleet.tick()
        await fleet.settle()
        assert 200 == (await api.patch(f"/events/{event['id']}", {"on_success": None})).status_code
        await self.told(fleet)

        assert ("cancelled", "on_success was removed") == (await fleet.closed())[-1][1:]

    async def test_its_action_is_vetted_like_any_other(self, api):
        answer = await api.post(
            "/events",
            {
                "name": "tea",
                "webhook": "https://example.com/",
                "on_failure": {"type": "webhook", "params": {"url": "http://10.0.0.1/"}},
            },
        )

        assert (422, "on_failure.params.url") == (answer.status_code, answer.json()["field"])


class TestPauses:
    async def test_an_event_that_is_paused_until_an_instant_goes_on_by_itself(self, api, clock, fleet):
        until = clock.now() + 10 * MINUTE
        event = await create(api, schedule="FREQ=MINUTELY", start_time=clock.now() + MINUTE)
        paused = await api.post(
            f"/events/{event['id']}/pause", {"reason": "maintenance", "until": until, "backlog": "skip"}
        )
        assert ("paused", "maintenance", f"{until:%Y-%m-%dT%H:%M:%SZ}") == picked(
            paused.json(), "status", "reason", "paused_until"
        )
        resumer = Resumer(api.deps.changes, clock)
        clock.advance(597)
        assert 3 == pytest.approx(await resumer.tick())
        assert "paused" == (await event_of(api, event))["status"]
        clock.advance(3)
        await resumer.tick()

        assert ("active", None) == picked(await event_of(api, event), "status", "paused_until")
        assert {("skipped", "missed while paused")} == {(status, reason) for _, status, reason in await fleet.closed()}
        assert 5 == await resumer.tick()

    async def test_one_that_cannot_be_resumed_keeps_no_other_waiting(self, api, clock):
        """Such as one that has followed to zone rules newer than this process has."""
        stuck, other = [await create(api, schedule="FREQ=DAILY") for _ in range(2)]
        for event in (stuck, other):
            await api.post(f"/events/{event['id']}/pause", {"until": clock.now() + MINUTE})
        await query(api, "UPDATE events SET tzdata = '9999z' WHERE id = %s RETURNING 1", stuck["id"])
        clock.advance(60)
        resumer = Resumer(api.deps.changes, clock)
        rests = [await resumer.tick() for _ in range(2)]

        assert ["paused", "active"] == [(await event_of(api, event))["status"] for event in (stuck, other)]
        assert [0, 5] == rests

    async def test_resuming_by_hand_ends_the_wait(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY")
        await api.post(f"/events/{event['id']}/pause", {"until": clock.now() + MINUTE})
        await api.post(f"/events/{event['id']}/resume")
        await api.post(f"/events/{event['id']}/pause")
        clock.advance(120)
        await Resumer(api.deps.changes, clock).tick()

        assert "paused" == (await event_of(api, event))["status"]

    async def test_an_end_that_has_passed_is_refused(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY")
        answer = await api.post(f"/events/{event['id']}/pause", {"until": clock.now()})

        assert (422, "until") == (answer.status_code, answer.json()["field"])
        assert "active" == (await event_of(api, event))["status"]

    async def test_the_next_is_skipped_without_naming_it(self, api, clock):
        event = await create(api, schedule="FREQ=MINUTELY;COUNT=2", start_time=clock.now() + MINUTE)
        for _ in range(2):
            assert 200 == (await api.post(f"/events/{event['id']}/skip")).status_code

        assert "completed" == (await event_of(api, event))["status"]
        assert 409 == (await api.post(f"/events/{event['id']}/skip")).status_code


class TestBackfill:
    async def test_what_did_not_happen_is_made_up_for_and_nothing_else(self, api, clock, fleet):
        began = clock.now()
        event = await create(api, schedule="FREQ=MINUTELY", start_time=began)
        await fleet.tick()
        await fleet.settle()
        wanted = {"since": began - 3 * MINUTE, "until": began + MINUTE / 2, "dry_run": True}
        await api.patch(f"/events/{event['id']}", {"start_time": began - 10 * MINUTE})
        clock.advance(31)

        seen = (await api.post(f"/events/{event['id']}/backfill", wanted)).json()
        assert (3, 0) == picked(seen, "missing", "opened")
        made = (await api.post(f"/events/{event['id']}/backfill", wanted | {"dry_run": False})).json()
        assert (3, 3, seen["ids"]) == picked(made, "missing", "opened", "ids")
        await fleet.tick()
        await fleet.settle()
        assert [began - n * MINUTE for n in (3, 2, 1, 0)] == sorted(due for _, due, _ in fleet.sent)
        assert 3 == sum(origin == "backfill" for (origin,) in await query(api, "SELECT origin FROM occurrences"))
        again = (await api.post(f"/events/{event['id']}/backfill", wanted | {"dry_run": False})).json()
        assert (0, 0) == picked(again, "missing", "opened")

    @pytest.mark.parametrize(("since", "until", "field"), [(-1, 1, "until"), (-1, -1, "since"), (-1, -2, "since")])
    async def test_only_what_is_past_can_be_made_up_for(self, api, clock, since, until, field):
        event = await create(api, schedule="FREQ=DAILY")
        answer = await api.post(
            f"/events/{event['id']}/backfill",
            {"since": clock.now() + since * MINUTE, "until": clock.now() + until * MINUTE},
        )

        assert (422, field) == (answer.status_code, answer.json()["field"])

    async def test_a_paused_event_is_resumed_first(self, api, clock):
        event = await create(api, schedule="FREQ=DAILY")
        await api.post(f"/events/{event['id']}/pause")
        answer = await api.post(
            f"/events/{event['id']}/backfill", {"since": clock.now() - MINUTE, "until": clock.now()}
        )

        assert 409 == answer.status_code


class TestFields:
    async def test_each_has_its_default_can_be_edited_and_given_back(self, api):
        names = (
            "overlap",
            "priority",
            "expires_after",
            "flex_window",
            "jitter",
            "concurrency_key",
            "concurrency_limit",
            "ordering_key",
            "max_occurrences",
        )
        event = await create(api, schedule="FREQ=DAILY")
        usual = ("allow", 0, None, 0, 0, None, 1, None, None)
        assert usual == picked(event, *names)

        said = {
            "priority": 7,
            "expires_after": 60,
            "concurrency_key": "k",
            "concurrency_limit": 4,
            "max_occurrences": 5,
            "jitter": 2.5,
        }
        edited = (await api.patch(f"/events/{event['id']}", said)).json()
        assert ("allow", 7, 60, 0, 2.5, "k", 4, None, 5) == picked(edited, *names)
        assert ["FREQ=DAILY;COUNT=5"] == edited["recurrence"]["rrule"]

        back = (await api.patch(f"/events/{event['id']}", dict.fromkeys(said))).json()
        assert usual == picked(back, *names)
        assert ["FREQ=DAILY"] == back["recurrence"]["rrule"]

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"overlap": "never"}, "overlap"),
            ({"priority": 11}, "priority"),
            ({"concurrency_limit": 3}, "concurrency_limit"),
            ({"overlap": "skip", "ordering_key": "k"}, "ordering_key"),
            ({"max_occurrences": 3}, "max_occurrences"),
            ({"schedule": "FREQ=DAILY;UNTIL=20300101", "max_occurrences": 3}, "max_occurrences"),
            ({"retry": {"backoff": []}}, "retry"),
            ({"retry": {"retry_on": ["teapot"]}}, "retry"),
            ({"misfire": {"max_catchup": 0}}, "misfire"),
        ],
    )
    async def test_what_cannot_be_is_refused_with_its_field(self, api, said, field):
        answer = await api.post("/events", {"name": "tea", "webhook": "https://example.com/hook"} | said)

        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["field"].startswith(field), answer.text
