"""What nobody has acknowledged in time is done in another way: at its time, once, and as the event has it by then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import psycopg
import pytest

from qhronos.config import Http
from qhronos.core.attempt import Delivered, Failed, Refused
from qhronos.engine.fsck import check_all
from qhronos.engine.outbox import REST, Keeper
from qhronos.engine.recover import Sweeper
from qhronos.errors import Unavailable
from tests.fakes import Answer, Receiver
from tests.service.api import CONFIG, open_api, open_deps
from tests.service.events import create, event_of, execute, occurrences_of, query, secrets_of
from tests.service.mail import create_for, post, postal, pull, say, to_client
from tests.service.sockets import as_client, open_house, running

OPEN = msgspec.structs.replace(CONFIG, http=Http(egress_allow=("127.0.0.0/8",)))
TOKEN = "t0ken-that-nobody-sees"


@pytest.fixture
async def api(database, redis_url, redis_prefix, clock):
    async with open_deps(database, redis_url, redis_prefix, clock, OPEN) as deps, open_api(deps) as opened:
        yield opened


@pytest.fixture
async def dispatcher(api, clock):
    async with postal(api, clock) as opened:
        yield opened


@pytest.fixture
def keeper(api, clock, dispatcher):
    return Keeper(api.deps.changes.stores, dispatcher.settler, clock)


@pytest.fixture
async def receiver():
    async with Receiver() as opened:
        yield opened


def falling_back(receiver, after=60, path="/", **headers):
    """Params of an action that does."""
    return {"fallback": {"after": after, "action": calling(receiver, path, **headers)}}


def calling(receiver, path="/", **headers):
    return {"type": "webhook", "params": {"url": receiver.url + path, "headers": headers}}


async def statuses(api, event):
    return [(one["status"], one["attempt"], one["reason"]) for one in await occurrences_of(api, event)]


async def closed(api):
    """Until nothing is open."""
    async with asyncio.timeout(15):
        while await query(api, "SELECT FROM pending"):
            pass


async def is_sound(api, clock):
    report = await check_all(api.deps.changes.stores, clock, api.deps.config, 1000)
    return {} == {violation.check: violation.examples for violation in report.violations}


async def test_what_nobody_took_in_time_is_done_otherwise(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver), metadata={"kettle": 1})
    await post(dispatcher)
    clock.advance(59.9)
    await keeper.tick()
    before = await statuses(api, event)
    clock.advance(0.1)
    await keeper.tick()
    between = await statuses(api, event)
    sound = await is_sound(api, clock)
    await post(dispatcher)
    (occurrence,) = await occurrences_of(api, event)
    (request,) = receiver.requests
    body = msgspec.json.decode(request.body)

    assert ([("dispatched", 0, None)], [("scheduled", 0, None)]) == (before, between)
    assert sound
    assert ("completed", 1) == (occurrence["status"], occurrence["attempt"])
    assert (occurrence["id"], occurrence["id"]) == (request.headers["webhook-id"], body["occurrence_id"])
    assert (1, {"kettle": 1}, occurrence["scheduled_at"]) == (body["attempt"], body["metadata"], body["scheduled_at"])
    assert [] == await query(api, "SELECT * FROM outbox")
    assert [(0,)] == await query(api, "SELECT waiting FROM clients")
    assert await is_sound(api, clock)


async def test_a_client_that_comes_just_before_is_in_time(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(59.9)
    (message,) = await pull(api)
    counted = await say(dispatcher, message, Delivered())
    clock.advance(1)
    await keeper.tick()
    await post(dispatcher)

    assert counted
    assert [("completed", 1, None)] == await statuses(api, event)
    assert [] == receiver.requests


@pytest.mark.parametrize("outcome", [Delivered(), Failed(reason="no paper")])
async def test_the_word_of_one_that_comes_just_after_does_not_count(api, clock, dispatcher, keeper, receiver, outcome):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    (message,) = await pull(api)
    clock.advance(60)
    await keeper.tick()
    counted = await say(dispatcher, message, outcome)
    await post(dispatcher)

    assert not counted
    assert [("completed", 1, None)] == await statuses(api, event)
    assert 1 == len(receiver.requests)
    assert await is_sound(api, clock)


async def test_it_is_tried_again_as_the_event_has_it_and_not_at_the_client(api, clock, dispatcher, keeper, receiver):
    answers = iter([Answer(503), Answer(200)])
    receiver.answer = lambda _: next(answers)
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 2, "backoff": [5]})
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    clock.advance(5)
    await post(dispatcher)
    attempts = [msgspec.json.decode(request.body)["attempt"] for request in receiver.requests]

    assert [1, 2] == attempts
    assert [("completed", 2, None)] == await statuses(api, event)
    assert await is_sound(api, clock)


async def test_attempts_at_the_client_count(api, clock, dispatcher, keeper, receiver):
    receiver.answer = lambda _: Answer(503)
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 2, "backoff": [5]})
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Failed(reason="no paper"))
    clock.advance(5)
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)

    assert [2] == [msgspec.json.decode(request.body)["attempt"] for request in receiver.requests]
    assert [("failed", 2, "HTTP 503")] == await statuses(api, event)


async def test_it_is_done_in_time_though_a_client_is_there_that_never_says_anything(
    api, clock, dispatcher, keeper, receiver
):
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 3, "backoff": [1]})
    await post(dispatcher)
    (message,) = await pull(api)
    clock.advance(30)
    await say(dispatcher, message, Failed(reason="not acknowledged within 30 s"))
    clock.advance(1)
    await post(dispatcher)
    (again,) = await pull(api)
    clock.advance(29)
    await keeper.tick()
    counted = await say(dispatcher, again, Failed(reason="not acknowledged within 30 s"))
    await post(dispatcher)

    assert not counted
    assert [("completed", 2, None)] == await statuses(api, event)
    assert 1 == len(receiver.requests)


async def test_it_counts_from_the_first_time_that_it_was_handed_over(api, clock, dispatcher, keeper, receiver):
    """However long after its instant that was."""
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 3, "backoff": [10]})
    clock.advance(30)
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Failed(reason="no paper"))
    clock.advance(10)
    await post(dispatcher)
    clock.advance(49.9)
    await keeper.tick()
    before = await statuses(api, event)
    clock.advance(0.1)
    await keeper.tick()
    await post(dispatcher)

    assert [("dispatched", 1, None)] == before
    assert [("completed", 2, None)] == await statuses(api, event)


async def test_it_is_done_at_once_when_the_attempts_at_the_client_are_used_up(api, clock, dispatcher, receiver):
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 2, "backoff": [5]})
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Failed(reason="no paper"))
    clock.advance(5)
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Failed(reason="not acknowledged within 30 s"))
    between, sound = await statuses(api, event), await is_sound(api, clock)
    await post(dispatcher)

    assert ([("scheduled", 2, None)], True) == (between, sound)
    assert [3] == [msgspec.json.decode(request.body)["attempt"] for request in receiver.requests]
    assert [("completed", 3, None)] == await statuses(api, event)
    assert await is_sound(api, clock)


async def test_then_it_is_tried_once(api, clock, dispatcher, receiver):
    receiver.answer = lambda _: Answer(503)
    event = await create_for(api, params=falling_back(receiver), retry={"max_attempts": 1, "backoff": [5]})
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Failed(reason="no paper"))
    await post(dispatcher)

    assert [("failed", 2, "HTTP 503")] == await statuses(api, event)
    assert 1 == len(receiver.requests)


async def test_it_does_not_wait_for_a_client_that_wants_it_later_still(api, clock, dispatcher, receiver):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(10)
    later = Failed(reason="no paper", retry_after=timedelta(minutes=30))
    await say(dispatcher, (await pull(api))[0], later)
    clock.advance(49.9)
    await post(dispatcher)
    before = len(receiver.requests)
    clock.advance(0.1)
    await post(dispatcher)

    assert (0, 1) == (before, len(receiver.requests))
    assert [("completed", 2, None)] == await statuses(api, event)


async def test_no_for_good_is_no_for_the_fallback_too(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Refused(reason="never"))
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)

    assert ([("failed", 1, "never")], []) == (await statuses(api, event), receiver.requests)


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_without_a_fallback_any_more_it_fails_when_its_attempts_are_used_up(
    api, clock, dispatcher, receiver, change
):
    event = await create_for(
        api, schedule="FREQ=DAILY;COUNT=1", params=falling_back(receiver), retry={"max_attempts": 1, "backoff": [5]}
    )
    await post(dispatcher)
    if change == "edit":
        await api.patch(f"/events/{event['id']}", {"action": to_client()})
    else:
        await api.delete(f"/events/{event['id']}")
    await say(dispatcher, (await pull(api))[0], Failed(reason="no paper"))
    await post(dispatcher)

    assert [("failed", "no paper")] == await query(api, "SELECT status, reason FROM occurrences")
    assert [] == receiver.requests


async def test_it_is_done_though_the_message_has_expired_meanwhile(api, clock, dispatcher, keeper, receiver):
    """The keeper was late."""
    event = await create_for(api, params=falling_back(receiver) | {"ttl": 62})
    await post(dispatcher)
    clock.advance(63)
    await keeper.tick()
    await dispatcher.settler.idle.wait()
    await post(dispatcher)

    assert [("completed", 1, None)] == await statuses(api, event)
    assert 1 == len(receiver.requests)


async def test_of_too_much_that_waits_the_oldest_is_done_otherwise_before_its_time(
    api, clock, dispatcher, keeper, receiver
):
    params = falling_back(receiver) | {"max_backlog": 1}
    events = [await create_and_post(api, dispatcher, params) for _ in range(2)]
    clock.advance(1)
    await keeper.tick()
    await dispatcher.settler.idle.wait()
    await post(dispatcher)

    assert [[("completed", 1, None)], [("dispatched", 0, None)]] == [await statuses(api, event) for event in events]
    assert 1 == len(receiver.requests)
    assert [(1,)] == await query(api, "SELECT waiting FROM clients")


async def create_and_post(api, dispatcher, params):
    event = await create_for(api, params=params)
    await post(dispatcher)
    return event


async def test_of_too_much_that_waits_the_oldest_fails_if_it_has_no_fallback_any_more(
    api, clock, dispatcher, keeper, receiver
):
    params = falling_back(receiver) | {"max_backlog": 1}
    events = [await create_and_post(api, dispatcher, params) for _ in range(2)]
    await api.patch(f"/events/{events[0]['id']}", {"action": to_client(max_backlog=1)})
    await keeper.tick()
    await dispatcher.settler.idle.wait()

    assert [[("failed", 0, "backlog: more than 1 wait for client acme")], [("dispatched", 0, None)]] == [
        await statuses(api, event) for event in events
    ]


async def test_a_replay_begins_with_the_client(api, clock, dispatcher, keeper, receiver):
    answers = iter([Answer(400), Answer(200)])
    receiver.answer = lambda _: next(answers)
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    ((failed, _, _),) = await statuses(api, event)
    (occurrence,) = await occurrences_of(api, event)
    await api.post(f"/occurrences/{occurrence['id']}/replay")
    await post(dispatcher)
    (message,) = await pull(api)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)

    assert "failed" == failed
    assert (occurrence["id"], 2) == (
        msgspec.json.decode(message.frame)["occurrence_id"],
        msgspec.json.decode(message.frame)["attempt"],
    )
    assert [("completed", 2, None)] == await statuses(api, event)
    assert 2 == len(receiver.requests)


async def test_an_edit_while_it_waits_decides_what_is_done(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver, path="/old"))
    await post(dispatcher)
    await api.patch(f"/events/{event['id']}", {"action": to_client(**falling_back(receiver, path="/new"))})
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)

    assert ["/new"] == [request.path for request in receiver.requests]
    assert [("completed", 1, None)] == await statuses(api, event)


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_without_a_fallback_any_more_it_stays_with_the_client(api, clock, dispatcher, keeper, receiver, change):
    event = await create_for(api, schedule="FREQ=DAILY;COUNT=1", params=falling_back(receiver))
    await post(dispatcher)
    if change == "edit":
        await api.patch(f"/events/{event['id']}", {"action": to_client()})
    else:
        await api.delete(f"/events/{event['id']}")
    clock.advance(60)
    await keeper.tick()
    await keeper.tick()
    await post(dispatcher)
    sound = await is_sound(api, clock)
    (message,) = await pull(api)

    assert sound
    assert await say(dispatcher, message, Delivered())
    assert [] == receiver.requests
    assert [("completed", 1)] == await query(api, "SELECT status, attempt FROM occurrences")


async def test_an_edit_after_it_was_taken_back_may_send_it_to_the_client_again(
    api, clock, dispatcher, keeper, receiver
):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await api.patch(f"/events/{event['id']}", {"action": to_client("other")})
    await post(dispatcher)
    (message,) = await pull(api, "other")

    assert await say(dispatcher, message, Delivered())
    assert [] == receiver.requests
    assert await is_sound(api, clock)


async def test_a_pause_puts_it_off(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, schedule="FREQ=DAILY;COUNT=2", params=falling_back(receiver))
    await post(dispatcher)
    await api.post(f"/events/{event['id']}/pause")
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    sound, paused = await is_sound(api, clock), len(receiver.requests)
    await api.post(f"/events/{event['id']}/resume")
    await post(dispatcher)

    assert (True, 0, 1) == (sound, paused, len(receiver.requests))


async def test_what_waited_for_a_client_was_not_missed(api, clock, dispatcher, keeper, receiver):
    """However long ago it was due."""
    event = await create_for(
        api, schedule="FREQ=DAILY;COUNT=1", params=falling_back(receiver, after=7200), misfire={"policy": "skip"}
    )
    await post(dispatcher)
    clock.advance(7200)
    await keeper.tick()
    await post(dispatcher)

    assert [("completed", 1, None)] == await statuses(api, event)


async def test_what_is_of_no_use_any_more_is_not_done(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver), expires_after=30)
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)

    assert ([("failed", 0)], []) == ([one[:2] for one in await statuses(api, event)], receiver.requests)


async def test_one_that_takes_turns_keeps_its_turn(api, clock, dispatcher, keeper, receiver):
    await create_for(api, schedule="FREQ=SECONDLY;COUNT=2", overlap="queue_all", params=falling_back(receiver))
    clock.advance(5)
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    first = len(receiver.requests)
    await post(dispatcher)

    assert 1 == first
    assert [2] == [message.seq for message in await pull(api)]


async def test_an_endpoint_that_is_gone_for_good_does_not_pause_an_event_that_is_for_a_client(
    api, clock, dispatcher, keeper, receiver
):
    receiver.answer = lambda _: Answer(410)
    event = await create_for(api, schedule="FREQ=DAILY;COUNT=2", params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    await dispatcher._gone.idle()

    assert "active" == (await event_of(api, event))["status"]


async def test_what_tells_of_an_end_may_have_a_fallback_too(api, clock, dispatcher, keeper, receiver):
    await create(api, action=to_client(), webhook=None, on_success=to_client("boss", **falling_back(receiver)))
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Delivered())
    await post(dispatcher)
    clock.advance(60)
    await keeper.tick()
    await post(dispatcher)
    (request,) = receiver.requests

    assert "on_success" == msgspec.json.decode(request.body)["metadata"]["callback"]
    assert await is_sound(api, clock)


async def test_what_was_taken_back_when_redis_was_away_is_found(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    stores = api.deps.changes.stores
    add, stores.plan.add = stores.plan.add, _away
    await keeper.tick()
    stores.plan.add = add
    clock.advance(30)
    await Sweeper(stores, clock).tick()
    await post(dispatcher)

    assert [("completed", 1, None)] == await statuses(api, event)


async def _away(*_):
    raise Unavailable("redis", "is away")


async def test_what_could_not_be_taken_back_still_waits(api, clock, dispatcher, keeper, receiver):
    """Whoever takes it back dies before it is committed."""
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    await execute(
        api,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'dead'; END $$",
    )
    await execute(api, "CREATE TRIGGER die BEFORE DELETE ON outbox EXECUTE FUNCTION die()")
    with pytest.raises(psycopg.errors.RaiseException, match="dead"):
        await keeper.tick()
    await execute(api, "DROP TRIGGER die ON outbox")
    before, sound = await statuses(api, event), await is_sound(api, clock)
    await keeper.tick()
    await post(dispatcher)

    assert ([("dispatched", 0, None)], True) == (before, sound)
    assert [("completed", 1, None)] == await statuses(api, event)


async def test_two_that_take_back_at_the_same_time_do_it_once(api, clock, dispatcher, keeper, receiver):
    event = await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(60)
    other = Keeper(api.deps.changes.stores, dispatcher.settler, clock)
    await asyncio.gather(keeper.tick(), other.tick())
    await post(dispatcher)
    await post(dispatcher)

    assert (1, [("completed", 1, None)]) == (len(receiver.requests), await statuses(api, event))


async def test_what_nobody_takes_back_is_found(api, clock, dispatcher, receiver):
    await create_for(api, params=falling_back(receiver))
    await post(dispatcher)
    clock.advance(180)
    report = await check_all(api.deps.changes.stores, clock, api.deps.config, 1000)

    assert ["unreturned"] == [violation.check for violation in report.violations]


async def test_a_keeper_rests_until_the_next_is_to_be_taken_back(api, clock, dispatcher, keeper, receiver):
    await create_for(api, params=falling_back(receiver, after=3))
    idle = await keeper.tick()
    await post(dispatcher)
    is_woken = keeper.wake.is_set()
    rest = await keeper.tick()

    assert (REST, True, 3.0) == (idle, is_woken, rest)


async def test_it_happens_at_its_time_while_a_client_says_nothing(database, redis_url, redis_prefix):
    async with Receiver() as receiver, open_house(database, redis_url, redis_prefix, config=OPEN) as house:
        keeper = Keeper(house.api.deps.changes.stores, house.dispatcher.settler, house.api.deps.clock)
        async with running(keeper), as_client(house.url) as (peer, _):
            event = await create_for(house.api, params=falling_back(receiver, after=1))
            frame = await peer.hear_event()
            ((handed_at,),) = await query(house.api, "SELECT handed_at FROM outbox")
            await receiver.wait_for(1)
            late = receiver.requests[0].arrived_at - handed_at
            await peer.say(type="ack", occurrence_id=frame["occurrence_id"])
            said = await peer.hear()

            await closed(house.api)
            assert [("completed", 1, None)] == await statuses(house.api, event)
    assert timedelta(seconds=1) <= late < timedelta(seconds=REST)
    assert "acknowledged" == said["message"]


class TestSecrets:
    async def test_they_are_sealed_hidden_and_sent(self, api, clock, dispatcher, keeper, receiver):
        said = falling_back(receiver, Authorization={"secret": TOKEN})
        event = await create_for(api, params=said)
        stored = await query(api, "SELECT action::text FROM events")
        await post(dispatcher)
        clock.advance(60)
        await keeper.tick()
        await post(dispatcher)
        (request,) = receiver.requests
        shown = event["action"]["params"]["fallback"]["action"]["params"]["headers"]

        assert {"Authorization": {"secret": True}} == shown
        assert TOKEN not in str(stored)
        assert TOKEN == request.headers["authorization"]

    async def test_an_edit_may_keep_them_as_long_as_they_go_where_they_went(self, api, receiver):
        event = await create_for(api, params=falling_back(receiver, Authorization={"secret": TOKEN}))
        path = f"/events/{event['id']}"
        kept = await api.patch(
            path, {"action": to_client(**falling_back(receiver, path="/b", Authorization={"secret": True}))}
        )
        before = await secrets_of(api, event["id"])
        elsewhere = to_client(
            fallback={
                "after": 60,
                "action": {
                    "type": "webhook",
                    "params": {"url": "https://example.com/", "headers": {"Authorization": {"secret": True}}},
                },
            }
        )
        moved = await api.patch(path, {"action": elsewhere})
        await api.patch(path, {"action": to_client()})

        assert 200 == kept.status_code
        assert {"action.params.fallback.action": {"authorization": TOKEN}} == before[2]
        assert (422, "action.params.fallback.action.params.headers.Authorization") == (
            moved.status_code,
            moved.json()["field"],
        )
        assert {} == (await secrets_of(api, event["id"]))[2]

    async def test_a_client_secret_is_sealed_as_well(self, api):
        auth = {
            "type": "oauth2",
            "token_url": "https://auth.example.com/",
            "client_id": "qhronos",
            "client_secret": TOKEN,
        }
        action = {"type": "apicall", "params": {"method": "POST", "url": "https://example.com/", "auth": auth}}
        event = await create_for(api, params={"fallback": {"after": 60, "action": action}})
        shown = event["action"]["params"]["fallback"]["action"]["params"]["auth"]

        assert {"secret": True} == shown["client_secret"]
        assert {"action.params.fallback.action": {"auth:client_secret": TOKEN}} == (await secrets_of(api, event["id"]))[
            2
        ]

    async def test_one_that_was_never_given_is_refused_by_its_field(self, api, receiver):
        action = to_client(**falling_back(receiver, Authorization={"secret": True}))
        answer = await api.post("/events", {"name": "tea", "action": action})

        assert (422, "action.params.fallback.action.params.headers.Authorization") == (
            answer.status_code,
            answer.json()["field"],
        )

    async def test_they_go_along_when_an_event_is_split(self, api, clock, receiver):
        event = await create_for(
            api, schedule="FREQ=DAILY", params=falling_back(receiver, Authorization={"secret": TOKEN})
        )
        answer = await api.post(f"/events/{event['id']}/split", {"scheduled_at": clock.now() + timedelta(days=2)})

        assert {"action.params.fallback.action": {"authorization": TOKEN}} == (
            await secrets_of(api, answer.json()["id"])
        )[2]


@pytest.mark.parametrize(
    ("fallback", "field"),
    [
        ({"after": 60}, ".action"),
        ({"action": {"type": "webhook", "params": {"url": "https://example.com/"}}}, ".after"),
        ({"after": 0, "action": {"type": "webhook", "params": {"url": "https://example.com/"}}}, ".after"),
        ({"after": 700_000, "action": {"type": "webhook", "params": {"url": "https://example.com/"}}}, ".after"),
        ({"after": 60, "action": to_client("other")}, ".action.type"),
        ({"after": 60, "action": {"type": "webhook", "params": {}}}, ".action.params.url"),
        ({"after": 60, "action": {"type": "webhook", "params": {"url": "http://10.0.0.1/"}}}, ".action.params.url"),
        ({"after": 60, "action": {"type": "webhook", "params": {"url": "https://example.com/", "x": 1}}}, ".action.params.x"),
        ({"after": 60, "action": {"type": "apicall", "params": {"method": "LOOK", "url": "https://example.com/"}}}, ".action.params.method"),
        ({"after": 60, "action": {"type": "webhook", "params": {"url": "https://example.com/", "auth": {"token_url": "https://example.com/", "client_id": "a", "client_secret": "b"}}}}, ".action.params.auth.type"),
        ({"after": 60, "action": {"type": "webhook", "params": {"url": "https://example.com/", "headers": {"Host": "a"}}}}, ".action.params.headers.Host"),
        (7, ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["action", "on_failure"])
async def test_a_fallback_that_cannot_work_is_refused_by_its_field(api, fallback, field, action):
    said = {"name": "tea", "action": to_client(), action: to_client(fallback=fallback)}
    answer = await api.post("/events", said)

    assert (422, f"{action}.params.fallback{field}") == (answer.status_code, answer.json().get("field"))
