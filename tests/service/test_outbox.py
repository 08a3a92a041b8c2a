"""What is handed to a client waits for its word: in its outbox, in order, and through everything else that happens."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import msgspec
import pytest

from qhronos import metrics
from qhronos.config import Scheduler
from qhronos.core.attempt import Delivered, Failed, Refused
from qhronos.engine.expand import expand_due
from qhronos.engine.fsck import check_all
from qhronos.engine.outbox import Keeper, Words
from qhronos.engine.recover import Reaper, Sweeper
from qhronos.store import outbox
from tests.rows import rows
from tests.service.engine import DEFAULTS
from tests.service.events import create, event_of, execute, occurrences_of, query
from tests.service.mail import create_for, post, postal, pull, pull_as, say, to_client

DAY = 86_400


@pytest.fixture
async def dispatcher(api, clock):
    async with postal(api, clock) as opened:
        yield opened


async def statuses(api, event):
    return [(one["status"], one["attempt"], one["reason"]) for one in await occurrences_of(api, event)]


async def is_sound(api, clock):
    report = await check_all(api.deps.changes.stores, clock, api.deps.config, 1000)
    return {} == {violation.check: violation.examples for violation in report.violations}


async def test_what_is_due_waits_for_its_client_even_if_that_never_came(api, clock, dispatcher):
    event = await create_for(api, metadata={"kettle": 1}, tags=["tea"])
    await post(dispatcher)
    (message,) = await pull(api)
    (occurrence,) = await occurrences_of(api, event)

    assert [("dispatched", 0, None)] == await statuses(api, event)
    assert (1, False) == (message.seq, message.again)
    assert {
        "type": "event",
        "event_id": event["id"],
        "occurrence_id": occurrence["id"],
        "name": "tea",
        "description": "",
        "scheduled_at": occurrence["scheduled_at"],
        "attempt": 1,
        "metadata": {"kettle": 1},
        "tags": ["tea"],
    } == msgspec.json.decode(message.frame)
    assert await is_sound(api, clock)


async def test_the_webhook_field_of_the_first_qhronos_names_a_client(api, clock, dispatcher):
    event = await create(api, webhook="q:acme-corp")
    await post(dispatcher)

    assert ("q:acme-corp", to_client("acme-corp")) == (event["webhook"], event["action"])
    assert 1 == len(await pull(api, "acme-corp"))


async def test_the_word_of_the_client_completes_it(api, clock, dispatcher):
    event = await create_for(api)
    await post(dispatcher)
    (message,) = await pull(api)
    clock.advance(2)

    assert await say(dispatcher, message, Delivered())
    assert [("completed", 1, None)] == await statuses(api, event)
    assert [] == await query(api, "SELECT * FROM outbox")
    assert [(0,)] == await query(api, "SELECT waiting FROM clients")
    assert [("delivered", timedelta(seconds=2))] == await query(
        api, "SELECT outcome, finished_at - started_at FROM attempts"
    )
    assert "completed" == (await event_of(api, event))["status"]


async def test_the_first_word_counts(api, clock, dispatcher):
    event = await create_for(api)
    await post(dispatcher)
    (message,) = await pull(api)

    assert [True, False] == [
        await say(dispatcher, message, Delivered()),
        await say(dispatcher, message, Refused(reason="no")),
    ]
    assert [("completed", 1, None)] == await statuses(api, event)


async def test_not_now_is_tried_again_as_the_event_has_it_and_ends_as_a_dead_letter(api, clock, dispatcher):
    event = await create_for(api, retry={"max_attempts": 2, "backoff": [5]})
    await post(dispatcher)
    (first,) = await pull(api)
    await say(dispatcher, first, Failed(reason="busy"))
    waiting = await statuses(api, event)
    clock.advance(5)
    await post(dispatcher)
    (second,) = await pull(api)
    await say(dispatcher, second, Failed(reason="still busy"))

    assert [("scheduled", 1, None)] == waiting
    assert [(1, False, 1), (2, True, 2)] == [
        (message.seq, message.again, msgspec.json.decode(message.frame)["attempt"]) for message in (first, second)
    ]
    assert [("failed", 2, "still busy")] == await statuses(api, event)
    assert await is_sound(api, clock)


async def test_what_went_out_before_says_so(api, clock, dispatcher):
    await create_for(api)
    await post(dispatcher)
    await pull(api)
    await create_for(api)
    await post(dispatcher)

    assert [(1, True), (2, False)] == [(message.seq, message.again) for message in await pull(api)]


async def test_a_connection_that_is_not_served_any_more_gets_nothing(api, clock, dispatcher):
    await create_for(api)
    await post(dispatcher)
    async with api.deps.database.connection() as conn:
        older = await outbox.connect(conn, "acme", clock.now())
        newer = await outbox.connect(conn, "acme", clock.now())
        got = [len(await pull_as(conn, api, "acme", each)) for each in (older, newer)]

    assert [0, 1] == got


async def test_a_page_is_cut_by_its_bytes_and_never_empty(api, clock, dispatcher):
    for _ in range(3):
        await create_for(api, metadata={"long": "x" * 1000})
    await post(dispatcher)

    assert [[1], [1, 2]] == [[m.seq for m in await pull(api, most_bytes=size)] for size in (1, 2000)]
    assert [2, 3] == [message.seq for message in await pull(api, after=1)]


async def test_messages_are_numbered_in_the_order_in_which_they_were_due(api, clock, dispatcher):
    event = await create_for(api, schedule="FREQ=SECONDLY;COUNT=5", metadata={})
    clock.advance(10)
    await post(dispatcher)
    due = [one["id"] for one in reversed(await occurrences_of(api, event))]

    assert due == [msgspec.json.decode(message.frame)["occurrence_id"] for message in await pull(api)]


async def test_nothing_that_brings_back_what_was_lost_touches_what_waits_for_a_client(api, clock, dispatcher):
    event = await create_for(api, schedule="FREQ=DAILY;COUNT=1")
    await post(dispatcher)
    stores = api.deps.changes.stores
    clock.advance(3 * DAY)
    for service in (Reaper(stores, clock), Sweeper(stores, clock)):
        for _ in range(3):
            await service.tick()
    await post(dispatcher)

    assert [("dispatched", 0, None)] == await statuses(api, event)
    assert 1 == len(await pull(api))
    assert await is_sound(api, clock)


@pytest.mark.parametrize("change", ["edit", "reschedule", "pause", "delete"])
async def test_a_change_lets_what_was_handed_over_finish(api, clock, dispatcher, change):
    event = await create_for(api, schedule="FREQ=DAILY", metadata={"kettle": 1})
    await post(dispatcher)
    clock.advance(1)
    path = f"/events/{event['id']}"
    answer = await {
        "edit": lambda: api.patch(path, {"metadata": {"kettle": 2}}),
        "reschedule": lambda: api.patch(path, {"schedule": "FREQ=WEEKLY"}),
        "pause": lambda: api.post(f"{path}/pause"),
        "delete": lambda: api.delete(path),
    }[change]()
    (message,) = await pull(api)

    assert answer.status_code in {200, 204}
    assert {"kettle": 1} == msgspec.json.decode(message.frame)["metadata"]
    assert await say(dispatcher, message, Delivered())
    assert [("completed", 1)] == await query(api, "SELECT status, attempt FROM occurrences WHERE status <> 'cancelled'")
    assert await is_sound(api, clock)


async def test_one_that_takes_turns_keeps_its_turn_until_the_client_has_spoken(api, clock, dispatcher):
    await create_for(api, schedule="FREQ=SECONDLY;COUNT=2", overlap="queue_all")
    clock.advance(5)
    await post(dispatcher)
    await post(dispatcher)
    first = await pull(api)
    await say(dispatcher, first[0], Delivered())
    await post(dispatcher)

    assert [1, 1] == [len(first), len(await pull(api))]


async def test_its_end_is_told_by_a_callback(api, clock, dispatcher):
    event = await create_for(api, on_success=to_client("boss"))
    await post(dispatcher)
    await say(dispatcher, (await pull(api))[0], Delivered())
    await post(dispatcher)
    (told,) = await pull(api, "boss")

    assert ("on_success", event["id"]) == (
        msgspec.json.decode(told.frame)["metadata"]["callback"],
        msgspec.json.decode(told.frame)["event_id"],
    )


async def test_what_nobody_took_in_time_is_a_dead_letter(api, clock, dispatcher):
    event = await create_for(api, params={"ttl": 60})
    await post(dispatcher)
    keeper = Keeper(api.deps.changes.stores, dispatcher.settler, clock)
    await keeper.tick()
    before = await statuses(api, event)
    clock.advance(61)
    await keeper.tick()
    await dispatcher.settler.idle.wait()

    assert [("dispatched", 0, None)] == before
    assert [("failed", 0, "expired: client acme did not take it in time")] == await statuses(api, event)
    assert [(0,)] == await query(api, "SELECT waiting FROM clients")
    assert await is_sound(api, clock)


async def test_of_too_much_that_waits_the_oldest_is_given_up(api, clock, dispatcher):
    event = await create_for(api, schedule="FREQ=SECONDLY;COUNT=5", params={"max_backlog": 3})
    clock.advance(10)
    await post(dispatcher)
    await Keeper(api.deps.changes.stores, dispatcher.settler, clock).tick()
    await dispatcher.settler.idle.wait()

    assert [3, 4, 5] == [message.seq for message in await pull(api)]
    assert {("failed", 0, "backlog: more than 3 wait for client acme")} == {
        one for one in await statuses(api, event) if one[0] != "dispatched"
    }


async def test_what_was_handed_over_when_the_answer_was_lost_is_handed_over_once(api, clock, dispatcher):
    """The settler tries again what Postgres did not answer."""
    await create_for(api)
    kept = []
    put = dispatcher.settler.put
    dispatcher.settler.put = lambda settlement: (kept.append(settlement), put(settlement))
    await post(dispatcher)
    put(kept[0])
    await dispatcher.settler.idle.wait()

    assert [1] == [message.seq for message in await pull(api)]
    assert await is_sound(api, clock)


async def test_a_message_that_was_replayed_has_a_new_number_and_the_same_id(api, clock, dispatcher):
    event = await create_for(api)
    await post(dispatcher)
    (first,) = await pull(api)
    await say(dispatcher, first, Refused(reason="no"))
    (occurrence,) = await occurrences_of(api, event)
    await api.post(f"/occurrences/{occurrence['id']}/replay")
    await post(dispatcher)
    (again,) = await pull(api)

    assert (first.identity, 2) == (again.identity, again.seq)
    assert 2 == msgspec.json.decode(again.frame)["attempt"]


async def test_what_is_in_no_outbox_is_found(api, clock, dispatcher):
    await create_for(api)
    await post(dispatcher)
    await execute(api, "DELETE FROM outbox")

    assert not await is_sound(api, clock)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "client_name"),
        ({"client_name": ""}, "client_name"),
        ({"client_name": "x" * 129}, "client_name"),
        ({"client_name": "a\n"}, "client_name"),
        ({"client_name": "a", "ttl": 0}, "ttl"),
        ({"client_name": "a", "ack_timeout": 0}, "ack_timeout"),
        ({"client_name": "a", "max_backlog": 0}, "max_backlog"),
        ({"client_name": "a", "mode": "all"}, "mode"),
    ],
)
async def test_params_that_cannot_work_are_refused_by_their_field(api, params, field):
    answer = await api.post("/events", {"name": "tea", "action": {"type": "websocket", "params": params}})

    assert (422, f"action.params.{field}") == (answer.status_code, answer.json()["field"])


async def test_an_event_goes_on_however_much_waits_for_its_client(api, clock, dispatcher):
    """What is open at once has a limit, and a client that is away must not use it up."""
    event = await create_for(api, schedule="FREQ=SECONDLY")
    stores, settings = api.deps.changes.stores, Scheduler(max_open=20, look_ahead_duration=timedelta(seconds=10))
    for _ in range(15):
        clock.advance(10)
        await expand_due(stores, clock.now(), settings)
        await post(dispatcher)
    ((waiting,),) = await query(api, "SELECT waiting FROM clients")

    assert waiting >= 140
    assert await is_sound(api, clock)
    assert "active" == (await event_of(api, event))["status"]


async def test_a_message_does_not_wait_for_others_to_share_its_commit(api, clock, dispatcher):
    await create_for(api)
    before = clock.monotonic()
    await post(dispatcher)

    assert 0 == clock.monotonic() - before
    assert [1] == [message.seq for message in await pull(api)]


async def test_what_nobody_took_in_time_may_be_told_to_somebody_else(api, clock, dispatcher):
    await create_for(api, params={"ttl": 60}, on_failure=to_client("boss"))
    await post(dispatcher)
    clock.advance(61)
    await Keeper(api.deps.changes.stores, dispatcher.settler, clock).tick()
    await dispatcher.settler.idle.wait()
    await post(dispatcher)
    (told,) = await pull(api, "boss")

    assert "on_failure" == msgspec.json.decode(told.frame)["metadata"]["callback"]


async def test_how_much_waits_and_for_how_long_is_measured(api, clock, dispatcher):
    keeper = Keeper(api.deps.changes.stores, dispatcher.settler, clock)
    await create_for(api)
    await post(dispatcher)
    clock.advance(10)
    for _ in range(2):
        await create_for(api, "another")
    await post(dispatcher)
    clock.advance(5)
    await keeper.tick()
    some = measured()
    for name in ("acme", "another"):
        for message in await pull(api, name):
            await say(dispatcher, message, Delivered())
    clock.advance(15)
    await keeper.tick()

    assert ((3, 15), (0, 0)) == (some, measured())


def measured():
    names = ("qhronos_messages_waiting", "qhronos_messages_oldest_seconds")
    return tuple(metrics.REGISTRY.get_sample_value(name) for name in names)


async def test_of_words_under_two_fences_the_newer_counts_alone(api, clock, dispatcher, monkeypatch):
    """A connection of several still has a message in hand that another has refused, and acknowledges it with the next one."""
    await create_for(api, params={"mode": "fan_out"}, retry={"max_attempts": 3, "backoff": [5]})
    await post(dispatcher)
    (refused,) = await pull(api)
    await say(dispatcher, refused, Failed(reason="no paper"))
    clock.advance(5)
    await post(dispatcher)
    (again,) = await pull(api)
    ends, counted = [], {}
    monkeypatch.setattr(dispatcher.settler._announcer, "ended", lambda one: ends.append(one.fence))
    words = Words(dispatcher.settler, DEFAULTS.retry, clock)
    words.say(refused, Delivered(), partial(counted.__setitem__, "refused"))
    words.say(again, Delivered(), partial(counted.__setitem__, "again"))
    await dispatcher.settler.idle.wait()

    assert {"refused": False, "again": True} == counted
    assert [again.fence] == ends


async def test_who_waits_to_hand_over_holds_no_other_client(api, clock, dispatcher):
    """Two that would, each in its order, would wait for each other."""
    for name in ("bert", "carl"):
        await create_for(api, name)
    await post(dispatcher)
    words, database = Words(dispatcher.settler, DEFAULTS.retry, clock), api.deps.database
    (of_bert,), (of_carl,) = await pull(api, "bert"), await pull(api, "carl")
    async with database.transaction() as other:
        await other.execute("INSERT INTO clients (name) VALUES ('anna')")
        async with database.transaction() as another:
            await another.execute("SELECT FROM clients WHERE name = 'carl' FOR UPDATE")
            words.say(of_carl, Delivered())
            await until_waits(database, "WITH gone")
            await create_for(api, "anna")
            await dispatcher.tick()
            await asyncio.gather(*dispatcher._in_flight)
            words.say(of_bert, Delivered())  # together with what is handed to anna
        await until_waits(database, "max_backlog")
        async with database.transaction() as looking:
            free = await rows(looking, "SELECT name FROM clients WHERE name IN ('bert', 'carl') FOR UPDATE NOWAIT")

    assert [("bert",), ("carl",)] == free


async def until_waits(database, what):
    """For a lock, with a statement that says so."""
    text = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND strpos(query, %s) > 0"
    )
    async with asyncio.timeout(15), database.connection() as conn:
        while not await rows(conn, text, what):
            pass
