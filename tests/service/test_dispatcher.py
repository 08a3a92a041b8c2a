from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest

from qhronos.actions import Performer
from qhronos.broadcast import Broadcast, Lost, Revoke
from qhronos.clock import SystemClock
from qhronos.core.attempt import Delivered, Failed, Refused
from qhronos.core.occurrence import Identity
from qhronos.engine.judge import WORKER_LOST
from qhronos.engine.worker import DEAD_AFTER, Heartbeat, Worker
from qhronos.errors import Unavailable
from qhronos.http import Client, Egress
from qhronos.plan import Plan
from qhronos.redis_link import connect
from qhronos.store import changes, pending
from tests.fakes import CutDatabase
from tests.rows import plant_event, plant_open, rows, seconds
from tests.service.engine import make_dispatcher, settled


async def plan_one(engine, due_at, *, now=None, **event):
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, now or due_at, **event)
        await plant_open(conn, event_id, due_at)
    identity = Identity(event_id, due_at)
    await engine.plan.add([(identity, due_at)])
    return identity


async def query(engine, text, *params):
    async with engine.database.connection() as conn:
        return await rows(conn, text, *params)


async def change(engine, text):
    async with engine.database.connection() as conn:
        await conn.execute(text)


async def subscribed(dispatcher):
    await dispatcher.tick()
    async with asyncio.timeout(15):
        await dispatcher._subscribed.wait()


async def test_what_is_due_is_delivered_once_and_recorded(engine, clock, dispatcher, noting):
    identity = await plan_one(engine, clock.now())

    await dispatcher.tick()
    await settled(dispatcher)
    await dispatcher.tick()

    (delivery,) = noting.deliveries
    assert (identity.event_id, identity.due_at, 1, ("default-secret",)) == (
        delivery.event_id,
        delivery.due_at,
        delivery.attempt,
        delivery.secrets,
    )
    assert [("completed",)] == await query(engine, "SELECT status FROM occurrences")
    assert [("completed",)] == await query(engine, "SELECT status FROM events")


async def test_while_the_clock_is_disputed_nothing_is_claimed(engine, clock, dispatcher, noting):
    identity = await plan_one(engine, clock.now())

    clock.skew = 5.1
    await dispatcher.tick()
    await settled(dispatcher)
    before = (list(noting.deliveries), await engine.plan.planned([identity]))
    clock.skew = 5.0
    await dispatcher.tick()
    await settled(dispatcher)

    assert ([], [identity.due_at]) == before
    assert 1 == len(noting.deliveries)


async def test_a_secret_of_the_event_signs_in_place_of_the_default(engine, clock, dispatcher, noting):
    await plan_one(engine, clock.now(), hmac_secret="its own")

    await dispatcher.tick()
    await settled(dispatcher)

    assert [("its own",)] == [delivery.secrets for delivery in noting.deliveries]


async def test_a_claim_ahead_is_held_until_its_instant(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.8))

    await dispatcher.tick()
    dispatcher._fire_due()
    before = len(noting.deliveries)
    clock.advance(0.8)
    dispatcher._fire_due()
    await settled(dispatcher)

    assert (0, 1) == (before, len(noting.deliveries))


async def test_without_a_subscription_nothing_is_claimed_ahead_and_what_is_held_goes_back(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()
    held = await query(engine, "SELECT lease_until IS NOT NULL FROM pending")

    dispatcher._subscribed.clear()
    await dispatcher.tick()

    assert [(True,)] == held
    assert [(None,)] == await query(engine, "SELECT lease_until FROM pending")
    await dispatcher.drain()


async def test_a_revoked_event_is_forgotten_and_not_fired(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    identity = await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()

    dispatcher.wake.clear()
    await engine.broadcast.revoke([identity.event_id])
    async with asyncio.timeout(15):
        await dispatcher.wake.wait()
    clock.advance(1)
    dispatcher._fire_due()

    assert [] == noting.deliveries


async def test_what_is_held_is_let_go_as_soon_as_the_subscription_breaks(
    engine, redis_url, redis_prefix, clock, noting
):
    """With the next tick it may live again, and what was sent meanwhile is gone."""
    redis = connect(f"{redis_url}{'&' if '?' in redis_url else '?'}client_name={redis_prefix}")
    dispatcher = make_dispatcher(engine._replace(broadcast=Broadcast(redis, redis_prefix)), clock, noting)
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()
    dispatcher.wake.clear()

    (subscription,) = [one for one in await redis.client_list("pubsub") if one["name"] == redis_prefix]
    await redis.client_kill_filter(_id=subscription["id"])
    async with asyncio.timeout(15):
        await dispatcher.wake.wait()
    clock.advance(0.8)
    dispatcher._fire_due()
    held = await query(engine, "SELECT lease_until IS NOT NULL FROM pending")
    fired = len(noting.deliveries)
    await dispatcher.tick()
    await settled(dispatcher)

    assert ([(True,)], 0) == (held, fired)
    assert 1 == len(noting.deliveries)
    await dispatcher.drain()
    await redis.aclose()


async def test_a_failed_attempt_is_tried_again_after_its_pause_under_the_same_id(engine, clock, dispatcher, noting):
    await plan_one(engine, clock.now())
    noting.answer = lambda delivery: Failed(reason="HTTP 503", status_code=503)

    for pause in (0, 10, 20):
        clock.advance(pause)
        await dispatcher.tick()
        await settled(dispatcher)

    assert [1, 2, 3] == [delivery.attempt for delivery in noting.deliveries]
    assert 1 == len({delivery.occurrence_id for delivery in noting.deliveries})
    assert [("failed", "HTTP 503", 3)] == await query(engine, "SELECT status, reason, attempt FROM occurrences")
    assert [(1,), (2,), (3,)] == await query(engine, "SELECT attempt FROM attempts ORDER BY attempt")


async def test_a_refusal_ends_it_at_once(engine, clock, dispatcher, noting):
    await plan_one(engine, clock.now())
    noting.answer = lambda _: Refused(reason="HTTP 404", status_code=404)

    await dispatcher.tick()
    await settled(dispatcher)

    assert [("failed", "HTTP 404", 1)] == await query(engine, "SELECT status, reason, attempt FROM occurrences")


async def test_an_action_that_crashes_is_a_failed_attempt(engine, clock, dispatcher, noting):
    def crash(_):
        raise ZeroDivisionError

    await plan_one(engine, clock.now())
    noting.answer = crash

    await dispatcher.tick()
    await settled(dispatcher)

    assert [("failed", "internal error: ZeroDivisionError")] == await query(
        engine, "SELECT outcome, reason FROM attempts"
    )


@pytest.mark.parametrize(
    ("late", "misfire", "status"),
    [
        (3600, {}, "completed"),
        (90_000, {}, "skipped"),
        (90_000, {"catchup_window": 100_000}, "completed"),
        (30, {"policy": "skip"}, "completed"),
        (3600, {"policy": "skip"}, "skipped"),
        (3600, {"policy": "fire_latest"}, "completed"),
    ],
)
async def test_what_was_missed_is_fired_or_skipped_on_the_record(engine, clock, dispatcher, late, misfire, status):
    await plan_one(engine, clock.now() - seconds(late), policies={"misfire": misfire})

    await dispatcher.tick()
    await settled(dispatcher)

    ((recorded, reason),) = await query(engine, "SELECT status, reason FROM occurrences")
    assert status == recorded
    assert (reason is not None) == (status == "skipped")


async def test_of_several_that_were_missed_fire_latest_fires_the_latest(engine, clock, dispatcher, noting):
    dues = [clock.now() - seconds(late) for late in (300, 200, 100)]
    async with engine.database.connection() as conn:
        event = await plant_event(conn, clock.now(), policies={"misfire": {"policy": "fire_latest"}})
        for due_at in dues:
            await plant_open(conn, event, due_at)
    await engine.plan.add([(Identity(event, due_at), due_at) for due_at in dues])

    await dispatcher.tick()
    await settled(dispatcher)

    assert dues[2:] == [delivery.due_at for delivery in noting.deliveries]


async def test_no_more_requests_run_at_once_than_allowed(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting, dispatch_worker_count=2)
    noting.gate.clear()
    for _ in range(5):
        await plan_one(engine, clock.now())

    await dispatcher.tick()
    for _ in range(5):
        await asyncio.sleep(0)  # noqa: TID251 - lets the started ones start
    at_once = len(noting.deliveries)
    noting.gate.set()
    await settled(dispatcher)

    assert (2, 5) == (at_once, len(noting.deliveries))
    await dispatcher.drain()


async def test_a_worker_that_may_be_taken_for_dead_starts_nothing(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.5))
    await dispatcher.tick()

    clock.advance(DEAD_AFTER.total_seconds())
    dispatcher._fire_due()
    await settled(dispatcher)

    assert [] == noting.deliveries
    assert [(None,)] == await query(engine, "SELECT lease_until FROM pending")
    await dispatcher.drain()


@pytest.mark.parametrize("heeded", [False, True], ids=["at once", "after others have said so"])
async def test_who_stood_still_while_a_connection_was_opened_sends_nothing(engine, clock, receiver, heeded):
    """It was ours when the attempt began; by the time the request could be written, others had taken it."""

    async def stand_still(_host, _port):
        clock.advance(DEAD_AFTER.total_seconds())
        if heeded:
            await dispatcher._worker.beat()
            dispatcher._lapses = dispatcher._worker.lapses
        return ["127.0.0.1"]

    client = Client(Egress(["127.0.0.0/8"]), SystemClock(), lookup=stand_still)
    dispatcher = make_dispatcher(engine, clock, Performer(client))
    url = receiver.url.replace("127.0.0.1", "hooks.test")
    await plan_one(engine, clock.now(), action={"type": "webhook", "params": {"url": url}})

    await dispatcher.tick()
    await settled(dispatcher)

    assert [] == receiver.requests
    assert [(None, 0)] == await query(engine, "SELECT lease_until, attempt FROM pending")
    await dispatcher.drain()
    await client.close()


async def test_a_worker_that_was_forgotten_drops_what_it_held(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.5))
    await dispatcher.tick()
    async with engine.database.connection() as conn:
        await pending.reclaim(conn, clock.now() + seconds(60), clock.now() + seconds(60), 10)
        await conn.execute("DELETE FROM workers")

    clock.advance(2)
    await dispatcher.tick()

    assert 0 == len(dispatcher._held)
    await dispatcher.drain()


async def test_draining_finishes_what_has_started_and_hands_back_the_rest(engine, noting):
    clock = SystemClock()  # draining waits for a real commit
    dispatcher = make_dispatcher(engine, clock, noting)
    await subscribed(dispatcher)
    started = await plan_one(engine, clock.now())
    held = await plan_one(engine, clock.now() + seconds(0.9))
    await dispatcher.tick()
    await asyncio.sleep(0)  # noqa: TID251 - lets it start

    await dispatcher.drain()

    assert [(started.event_id, "completed")] == await query(engine, "SELECT event_id, status FROM occurrences")
    assert [(held.event_id, None)] == await query(engine, "SELECT event_id, lease_until FROM pending")
    assert [] == await query(engine, "SELECT * FROM workers")


async def test_draining_cuts_off_what_does_not_end_and_hands_it_back(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await plan_one(engine, clock.now())
    noting.gate.clear()
    await dispatcher.tick()
    await asyncio.sleep(0)  # noqa: TID251 - lets it start

    await dispatcher.drain()

    assert [(0, None)] == await query(engine, "SELECT attempt, lease_until FROM pending")


async def test_who_is_in_a_hurry_hands_back_at_once_what_is_under_way(engine, noting):
    clock = SystemClock()
    dispatcher = make_dispatcher(engine, clock, noting)
    await plan_one(engine, clock.now())
    noting.gate.clear()
    await dispatcher.tick()
    await asyncio.sleep(0)  # noqa: TID251 - lets it start
    draining = asyncio.create_task(dispatcher.drain())
    await clock.wait(asyncio.Event(), 0.2)  # it has begun to wait, for 20 s
    dispatcher.hurry()
    async with asyncio.timeout(10):
        await draining

    assert [(0, None)] == await query(engine, "SELECT attempt, lease_until FROM pending")


async def test_a_lease_is_trusted_from_before_it_was_asked_for(engine, clock, noting, monkeypatch):
    """A claim that takes long brings leases that have run meanwhile."""
    dispatcher = make_dispatcher(engine, clock, noting, lease=timedelta(seconds=18))
    await plan_one(engine, clock.now())
    claim = dispatcher._claim

    async def slow(room):
        claims = await claim(room)
        clock.advance(4)
        return claims

    monkeypatch.setattr(dispatcher, "_claim", slow)
    await dispatcher.tick()
    await settled(dispatcher)

    assert [] == noting.deliveries
    await dispatcher.drain()


async def test_while_postgres_is_away_nothing_is_popped(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await dispatcher.tick()
    await plan_one(engine, clock.now())
    await engine.database.close()
    clock.advance(60)

    with pytest.raises(Unavailable):
        await dispatcher.tick()

    popped = await engine.plan.pop(clock.now(), clock.now(), 10)
    assert 1 == len(popped.identities)
    for task in dispatcher._background.tasks:
        task.cancel()
    await asyncio.gather(*dispatcher._background.tasks, return_exceptions=True)


async def test_what_the_plan_thought_due_too_early_goes_back_to_its_instant(engine, clock, dispatcher, noting):
    identity = await plan_one(engine, clock.now() + timedelta(minutes=5))
    await engine.plan.add([(identity, clock.now())])

    await dispatcher.tick()

    popped = await engine.plan.pop(clock.now() + timedelta(minutes=5), clock.now(), 10)
    assert [identity] == popped.identities
    assert [] == noting.deliveries


async def test_a_retry_of_what_was_edited_meanwhile_is_bound_to_the_new_version(engine, clock, dispatcher, noting):
    await plan_one(engine, clock.now())
    noting.answer = lambda _: Failed(reason="HTTP 503", status_code=503)
    noting.gate.clear()
    await dispatcher.tick()
    await change(engine, "UPDATE events SET version = 2, name = 'coffee'")
    noting.gate.set()
    await settled(dispatcher)

    clock.advance(10)
    await dispatcher.tick()
    await settled(dispatcher)

    assert [(1, "tea"), (2, "coffee")] == [(each.attempt, each.name) for each in noting.deliveries]
    assert [(1, 1), (2, 2)] == await query(engine, "SELECT attempt, version FROM attempts ORDER BY attempt")


async def test_what_was_under_way_when_its_event_was_deleted_is_not_tried_again(engine, clock, dispatcher, noting):
    await plan_one(engine, clock.now())
    noting.answer = lambda _: Failed(reason="HTTP 503", status_code=503)
    noting.gate.clear()
    await dispatcher.tick()
    await change(engine, "UPDATE events SET status = 'deleted'")
    noting.gate.set()
    await settled(dispatcher)

    clock.advance(10)
    await dispatcher.tick()
    await settled(dispatcher)

    assert 1 == len(noting.deliveries)
    assert [("cancelled", "event deleted", 1)] == await query(engine, "SELECT status, reason, attempt FROM occurrences")


@pytest.mark.parametrize("notice", ["this event", "another", "lost"])
async def test_what_is_recalled_while_it_is_claimed_is_not_held(engine, clock, noting, notice):
    """The change came after the claim, and its notice before the claim's answer."""
    database = CutDatabase(engine.database)
    dispatcher = make_dispatcher(engine._replace(database=database), clock, noting)
    await dispatcher.tick()
    async with asyncio.timeout(15):
        await dispatcher._subscribed.wait()
    identity = await plan_one(engine, clock.now() + timedelta(seconds=0.5))
    told = {"this event": Revoke((identity.event_id,)), "another": Revoke((uuid.uuid4(),)), "lost": Lost()}[notice]
    database.meanwhile = lambda: dispatcher._heed(told)
    await dispatcher.tick()
    database.meanwhile = lambda: None

    assert (1 if notice == "another" else 0) == len(dispatcher._held)
    assert len(dispatcher._held) + len(dispatcher._recalled) == 1
    await dispatcher.drain()


@pytest.mark.parametrize(("policies", "rest"), [({}, 1 / 16), ({"ordering_key": "x"}, 0.02)], ids=["ahead", "in turn"])
async def test_a_claim_waits_a_moment_for_more_unless_a_turn_comes_before(engine, clock, dispatcher, policies, rest):
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + timedelta(seconds=0.02), policies=policies)
    await plan_one(engine, clock.now() + timedelta(seconds=1.001))

    assert rest == pytest.approx(await dispatcher.tick())


async def test_settlements_go_on_though_an_event_cannot_be_completed(engine, clock, dispatcher, noting):
    await change(
        engine,
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of order'; END $$; "
        "CREATE TRIGGER broken BEFORE UPDATE OF status ON events FOR EACH ROW EXECUTE FUNCTION broken()",
    )
    for _ in range(2):
        await plan_one(engine, clock.now())
        await dispatcher.tick()
        await settled(dispatcher)
    done = await query(engine, "SELECT count(*) FROM occurrences")
    await change(engine, "DROP TRIGGER broken ON events; DROP FUNCTION broken")

    assert [(2,)] == done


async def test_an_event_that_somebody_holds_delays_no_settlement_of_others(engine, clock, dispatcher, noting):
    """An edit holds its event while its rule is computed."""
    held = await plan_one(engine, clock.now())
    async with engine.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM events WHERE id = %s FOR UPDATE", (held.event_id,))
        for _ in range(2):
            await plan_one(engine, clock.now())
            await dispatcher.tick()
            await settled(dispatcher)
        statuses = await query(engine, "SELECT status FROM events ORDER BY id = %s DESC, status", held.event_id)

    assert [("active",), ("completed",), ("completed",)] == statuses


class Mute(Broadcast):
    async def ring(self, _clients):
        raise Unavailable("redis", "away")


async def test_whose_turn_it_is_has_it_though_no_client_can_be_rung(engine, clock, noting):
    mute = Mute(engine.plan.redis, engine.plan.prefix)
    dispatcher = make_dispatcher(engine._replace(broadcast=mute), clock, noting)
    now = clock.now()
    async with engine.database.connection() as conn:
        event_id = await plant_event(conn, now, policies={"ordering_key": "x"}, next_expand_at=now + timedelta(days=1))
        for due_at in (now - timedelta(seconds=1), now):
            await plant_open(conn, event_id, due_at)
            await engine.plan.add([(Identity(event_id, due_at), due_at)])
    dispatcher.settler._rings.add("laptop")
    await dispatcher.tick()
    await settled(dispatcher)
    left = await query(engine, "SELECT due_at, blocked_on FROM pending")
    await dispatcher.drain()

    assert [(now, None)] == left


async def test_what_waits_to_be_alone_is_recalled_with_its_event(engine, clock, dispatcher, noting):
    noting.gate.clear()
    await subscribed(dispatcher)
    await plan_one(engine, clock.now())
    suspect = await plan_lost(engine, clock.now(), 2)
    await dispatcher.tick()
    await noting.called()
    await change(
        engine, "UPDATE events SET status = 'paused' WHERE id IN (SELECT event_id FROM pending WHERE losses = 2)"
    )
    dispatcher._heed(Revoke((suspect.event_id,)))
    noting.gate.set()
    for _ in range(3):
        await settled(dispatcher)
        await dispatcher.tick()

    assert suspect.event_id not in [one.event_id for one in noting.deliveries]


async def test_an_event_whose_policies_cannot_be_read_stops_no_other(engine, clock, dispatcher, noting):
    """A newer version wrote them, which was taken back."""
    bad = await plan_one(engine, clock.now(), policies={"misfire": {"policy": "of_tomorrow"}})
    good = await plan_one(engine, clock.now())
    await dispatcher.tick()
    await settled(dispatcher)

    assert [good.event_id] == [one.event_id for one in noting.deliveries]
    assert [(bad.event_id, "failed")] == await query(
        engine, "SELECT event_id, outcome FROM attempts WHERE outcome = 'failed'"
    )


async def test_what_a_dispatcher_does_besides_is_started_again_should_it_end(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    for task in dispatcher._background.tasks:
        task.cancel()
    await asyncio.gather(*dispatcher._background.tasks, return_exceptions=True)
    await plan_one(engine, clock.now())
    await dispatcher.tick()
    await settled(dispatcher)

    assert [("completed",)] == await query(engine, "SELECT status FROM occurrences")


async def test_what_was_claimed_is_fired_though_redis_went_away_right_then(engine, clock, noting):
    plan = CutPlan(engine.plan.redis, engine.plan.prefix, engine.plan.shards)
    dispatcher = make_dispatcher(engine._replace(plan=plan), clock, noting)
    await plan_one(engine, clock.now())
    plan.away = True

    await dispatcher.tick()
    await settled(dispatcher)

    assert 1 == len(noting.deliveries)
    await dispatcher.drain()


async def test_leases_that_no_worker_knows_of_end_while_it_lives(engine, clock, dispatcher, noting):
    noting.gate.clear()
    await plan_one(engine, clock.now())
    await dispatcher.tick()
    lost = await plan_one(engine, clock.now())
    async with engine.database.connection() as conn:
        lease_until = clock.now() + seconds(90)
        await pending.claim(conn, [lost], horizon=clock.now(), lease_until=lease_until, worker=dispatcher._worker.id)

    for _ in range(50):
        clock.advance(2)
        await dispatcher.tick()

    assert (True,) in await query(engine, "SELECT lease_until < %s FROM pending", clock.now())


@pytest.fixture
async def cut(engine, clock, noting):
    """A dispatcher, and the Postgres that it hears or not."""
    database = CutDatabase(engine.database)
    dispatcher = make_dispatcher(engine._replace(database=database), clock, noting)
    await subscribed(dispatcher)
    yield dispatcher, database
    await dispatcher.drain()


async def test_what_was_claimed_unheard_is_claimed_again_at_once(engine, clock, noting, cut):
    dispatcher, database = cut
    await plan_one(engine, clock.now())
    database.heard = False
    with pytest.raises(Unavailable):
        await dispatcher.tick()
    held = await query(engine, "SELECT lease_until IS NOT NULL FROM pending")

    database.heard = True
    await dispatcher.tick()
    await settled(dispatcher)

    assert [(True,)] == held
    assert 1 == len(noting.deliveries)


async def test_what_could_not_be_handed_back_is_handed_back_later(engine, clock, cut):
    dispatcher, database = cut
    await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()
    database.away = True
    dispatcher._subscribed.clear()
    await dispatcher.tick()

    database.away = False
    await dispatcher.tick()

    assert [(None,)] == await query(engine, "SELECT lease_until FROM pending")


async def test_who_leaves_without_handing_back_is_seen_to_be_dead(engine, clock, cut):
    dispatcher, database = cut
    await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()
    dispatcher._worker._database = engine.database  # it alone gets through
    database.away = True

    await dispatcher.drain()

    assert 1 == len(await query(engine, "SELECT * FROM workers"))
    database.away = False


async def losses(engine):
    return await query(engine, "SELECT losses FROM pending ORDER BY due_at")


async def plan_lost(engine, due_at, count):
    """One that has lost its worker so many times."""
    identity = await plan_one(engine, due_at)
    async with engine.database.connection() as conn:
        await conn.execute("UPDATE pending SET losses = %s WHERE event_id = %s", (count, identity.event_id))
    return identity


async def test_the_start_of_what_lost_a_worker_before_is_on_record(engine, clock, dispatcher, noting):
    noting.gate.clear()
    await plan_lost(engine, clock.now(), 1)
    await dispatcher.tick()
    await noting.called()

    assert [(2,)] == await losses(engine)


async def test_what_was_taken_back_right_before_its_start_does_not_start(engine, clock, dispatcher, noting):
    await plan_lost(engine, clock.now() + seconds(0.5), 1)
    await subscribed(dispatcher)
    await dispatcher.tick()
    await change(engine, "UPDATE pending SET fence = nextval('fences')")
    clock.advance(0.5)
    dispatcher._fire_due()
    await settled(dispatcher)

    assert [] == noting.deliveries
    assert [(1,)] == await losses(engine)


async def test_what_lost_two_workers_is_acted_on_alone(engine, clock, dispatcher, noting):
    noting.gate.clear()
    await plan_one(engine, clock.now())
    suspect = await plan_lost(engine, clock.now(), 2)
    await dispatcher.tick()
    await noting.called()
    await dispatcher.tick()
    beside = [one.event_id for one in noting.deliveries]

    noting.gate.set()
    await settled(dispatcher)
    noting.gate.clear()
    await plan_one(engine, clock.now())
    await dispatcher.tick()
    await noting.called(2)
    await dispatcher.tick()
    alone = [one.event_id for one in noting.deliveries]
    noting.gate.set()
    await settled(dispatcher)
    await dispatcher.tick()
    await settled(dispatcher)

    assert suspect.event_id not in beside
    assert [*beside, suspect.event_id] == alone
    assert 3 == len(noting.deliveries)
    assert [("completed", 3)] == await query(engine, "SELECT status, count(*) FROM occurrences GROUP BY status")


async def test_what_is_acted_on_alone_leaves_its_place_in_good_order(engine, clock, dispatcher, noting):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    noting.place, noting.room = "https://example.com", 1
    await plan_lost(engine, clock.now(), 2)
    await dispatcher.tick()
    await dispatcher.tick()
    await settled(dispatcher)
    await dispatcher.tick()
    await plan_one(engine, clock.now())
    await dispatcher.tick()
    await settled(dispatcher)

    assert (2, []) == (len(noting.deliveries), faults)


async def test_what_lost_its_worker_when_it_was_alone_has_failed(engine, clock, dispatcher, noting):
    await plan_lost(engine, clock.now(), 3)

    await dispatcher.tick()
    await settled(dispatcher)

    assert [] == noting.deliveries
    assert [("failed", WORKER_LOST, 0)] == await query(engine, "SELECT status, reason, attempt FROM occurrences")


async def test_an_attempt_that_ends_shows_that_it_kills_nobody(engine, clock, dispatcher, noting):
    noting.answer = lambda _: Failed(reason="HTTP 503", status_code=503)
    await plan_lost(engine, clock.now(), 2)

    await dispatcher.tick()
    await dispatcher.tick()
    await settled(dispatcher)

    assert [(0,)] == await losses(engine)


async def test_what_waits_to_be_alone_is_handed_back_as_it_was(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await plan_one(engine, clock.now())
    await plan_lost(engine, clock.now() + seconds(0.01), 2)
    noting.gate.clear()
    clock.advance(0.01)
    await dispatcher.tick()
    await noting.called()
    noting.gate.set()
    await settled(dispatcher)

    await dispatcher.drain()

    assert [(2, None)] == await query(engine, "SELECT losses, lease_until FROM pending")


async def test_a_recall_that_comes_late_loses_nothing(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    identity = await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()  # claimed after the change that the recall is of

    dispatcher.wake.clear()
    await engine.broadcast.revoke([identity.event_id])
    async with asyncio.timeout(15):
        await dispatcher.wake.wait()
    await dispatcher.tick()
    clock.advance(1)
    await dispatcher.tick()
    await settled(dispatcher)

    assert 1 == len(noting.deliveries)


async def test_a_worker_that_slept_lets_go_of_what_others_have_taken(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()
    clock.advance(DEAD_AFTER.total_seconds() + 1)
    async with engine.database.connection() as conn:
        await pending.reclaim(conn, clock.now(), clock.now() - DEAD_AFTER, 10)

    await dispatcher.tick()
    await settled(dispatcher)

    assert [] == noting.deliveries


class CutPlan(Plan):
    """A plan that is gone from a moment on: what was popped was popped."""

    away = False

    async def arrived(self, identities):
        if self.away:
            raise Unavailable("redis", "away")
        await super().arrived(identities)


async def test_a_replay_of_what_was_skipped_fires(engine, clock, dispatcher, noting):
    identity = await plan_one(engine, clock.now() - seconds(3600), policies={"misfire": {"policy": "skip"}})
    await dispatcher.tick()
    await settled(dispatcher)
    skipped = await query(engine, "SELECT status FROM occurrences")

    async with engine.database.connection() as conn:
        opened = await changes.reopen(conn, [identity], clock.now())
    await engine.plan.add((entry.identity, entry.fire_at) for entry in opened)
    await dispatcher.tick()
    await settled(dispatcher)

    assert [("skipped",)] == skipped
    assert [("completed",)] == await query(engine, "SELECT status FROM occurrences")


async def test_unsubscribed_it_rests_until_the_instant_itself(engine, clock, dispatcher):
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.8))
    dispatcher._subscribed.clear()

    rest = await dispatcher.tick()

    assert 0.8 == pytest.approx(rest)


async def test_with_room_for_one_it_still_rests(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting, max_held=1)

    rest = await dispatcher.tick()

    assert 1.0 == rest
    await dispatcher.drain()


async def test_a_notice_that_cannot_be_read_ends_nothing(engine, clock, dispatcher, noting):
    await subscribed(dispatcher)
    identity = await plan_one(engine, clock.now() + seconds(0.8))
    await dispatcher.tick()

    dispatcher.wake.clear()
    await engine.plan.redis.publish(engine.broadcast._channel, b'{"type":"of tomorrow"}')
    await engine.broadcast.revoke([identity.event_id])
    async with asyncio.timeout(15):
        await dispatcher.wake.wait()

    assert dispatcher._subscribed.is_set()


async def test_an_end_that_cannot_be_stored_holds_up_no_other(engine, clock, dispatcher, noting):
    good, bad = await plan_one(engine, clock.now()), await plan_one(engine, clock.now())
    noting.answer = lambda delivery: (
        Refused(reason="no text: \0") if delivery.event_id == bad.event_id else Delivered(status_code=200)
    )

    await dispatcher.tick()
    await settled(dispatcher)

    assert [(good.event_id,)] == await query(engine, "SELECT event_id FROM occurrences")
    assert [(bad.event_id, True)] == await query(engine, "SELECT event_id, lease_until IS NOT NULL FROM pending")


async def test_a_lapse_that_only_the_heartbeat_has_noticed_stops_what_is_held(engine, clock, noting):
    dispatcher = make_dispatcher(engine, clock, noting)
    await subscribed(dispatcher)
    await plan_one(engine, clock.now() + seconds(0.5))
    await dispatcher.tick()
    clock.advance(DEAD_AFTER.total_seconds())
    await Heartbeat(dispatcher._worker).tick()

    dispatcher._fire_due()
    await settled(dispatcher)

    assert [] == noting.deliveries
    await dispatcher.drain()


async def test_a_heartbeat_beats_when_it_is_time_and_not_after_the_worker_has_retired(engine, clock):
    worker = Worker("test", engine.database, clock)
    heartbeat = Heartbeat(worker)
    beats = []
    for _ in range(4):
        clock.advance(await heartbeat.tick())
        beats += await query(engine, "SELECT heartbeat_at FROM workers")
    await worker.retire()
    await heartbeat.tick()

    assert 2 == len(set(beats))
    assert [] == await query(engine, "SELECT * FROM workers")
    await heartbeat.drain()
