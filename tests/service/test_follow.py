"""New zone rules: what Berlin's clocks were said to show until now was an hour off, so that instants were made wrongly."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from qhronos.api.auth import Access
from qhronos.config import Scheduler
from qhronos.core.occurrence import Identity
from qhronos.core.recurrence import tzdata_version
from qhronos.engine import follow
from qhronos.expander import Expander
from tests.rows import plant_event
from tests.service.events import create, dispatch, event_of, execute, occurrences_of, open_of, query

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OLD = "2020a"
LATER = "9999z"
BERLIN = "Europe/Berlin"  # in winter 13:00 when the clock of the tests says 12:00
REASON = f"its local time has happened already, by the zone rules before {tzdata_version()}"


@pytest.fixture
def expander(api, clock):
    return Expander(api.deps.changes.stores, clock, Scheduler())


async def run(expander, times=4):
    for _ in range(times):
        await expander.tick()


async def plant(api, local, *, off=HOUR, rrule=("FREQ=DAILY",), cursor=None, **said):
    """An event whose instants the old rules had later by `off` than the new ones do."""
    schedule = {"rrule": list(rrule)} if rrule else None
    event = await create(api, start_time=local, timezone=BERLIN, schedule=schedule, **said)
    await execute(api, "UPDATE pending SET due_at = due_at + %s, fire_at = fire_at + %s", off, off)
    await execute(api, "UPDATE event_versions SET tzdata = %s", OLD)
    await execute(
        api,
        "UPDATE events SET tzdata = %s, start_time = start_time + %s, next_due_at = next_due_at + %s,"
        " next_expand_at = next_expand_at + %s, expanded_until = coalesce(%s, expanded_until)",
        *(OLD, off, off, off, cursor),
    )
    found = await query(api, "SELECT event_id, due_at FROM pending")
    await api.deps.plan.add((Identity(event_id, due_at), due_at) for event_id, due_at in found)
    return event


async def told(api, event):
    """Of the report: what changed, and from when to when."""
    changes = (await api.get(f"/tzdata/changes?event_id={event['id']}")).json()["data"]
    return sorted((one["change"], one["local"], one["before"], one["after"]) for one in changes)


async def test_what_is_open_moves_with_its_local_time(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00")
    assert ["2026-03-01T13:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]

    await run(expander)

    assert ["2026-03-01T12:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]
    after = await event_of(api, event)
    assert (2, "2026-03-01T12:30:00Z") == (after["version"], after["start_time"])
    assert [
        ("moved", "2026-03-01T13:30:00", "2026-03-01T13:30:00Z", "2026-03-01T12:30:00Z"),
        ("moved", "2026-03-02T13:30:00", "2026-03-02T13:30:00Z", "2026-03-02T12:30:00Z"),
    ] == await told(api, event)
    assert [(tzdata_version(),)] == await query(api, "SELECT tzdata FROM events")
    assert [(1, OLD, True), (2, tzdata_version(), False)] == await query(
        api, "SELECT version, tzdata, valid_until IS NOT NULL FROM event_versions ORDER BY version"
    )


async def test_what_moved_fires_where_it_is_now_and_once(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00")
    await run(expander)
    clock.advance(1800)
    assert 1 == len(await dispatch(api, clock))
    clock.advance(3600)
    await run(expander)
    assert [] == await dispatch(api, clock)
    assert ["completed"] == [one["status"] for one in await occurrences_of(api, event)]


async def test_what_is_over_by_the_new_rules_is_made_up_for(api, clock, expander):
    event = await plant(api, "2026-03-01T12:30:00")  # 11:30Z now, 12:30Z by the old rules
    await execute(api, "DELETE FROM occurrences")
    await execute(
        api,
        "INSERT INTO pending (event_id, due_at, fire_at, version, origin, wall)"
        " VALUES (%s, %s, %s, 1, 'rule', '2026-03-01 12:30')",
        *(event["id"], clock.now() + HOUR / 2, clock.now() + HOUR / 2),
    )
    await execute(api, "UPDATE events SET expanded_until = %s", clock.now() + HOUR)

    await run(expander)

    assert ["2026-03-01T11:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]
    assert 1 == len(await dispatch(api, clock))


async def test_a_local_time_that_has_happened_does_not_happen_again(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00", off=-HOUR)  # 12:30Z now, 11:30Z by the old rules
    assert 1 == len(await dispatch(api, clock))
    assert ["2026-03-01T11:30:00Z"] == [one["scheduled_at"] for one in await occurrences_of(api, event)]

    await run(expander)
    clock.advance(3600)
    await run(expander)

    assert [] == await dispatch(api, clock)
    kept = (await occurrences_of(api, event, "&status=skipped"))[0]
    assert ("2026-03-01T12:30:00Z", REASON) == (kept["scheduled_at"], kept["reason"])
    assert ("kept_back", "2026-03-01T13:30:00", "2026-03-01T11:30:00Z", "2026-03-01T12:30:00Z") in await told(
        api, event
    )


async def test_what_new_rules_do_not_concern_is_only_stamped(api, clock, expander):
    berlin = await create(api, start_time="2026-03-01T13:30:00", timezone=BERLIN, schedule="FREQ=DAILY")
    utc = await create(api, start_time="2026-03-01T12:30:00", schedule="FREQ=DAILY", key="utc")
    hourly = await create(api, start_time="2026-03-01T13:30:00", timezone=BERLIN, schedule="FREQ=HOURLY", key="hourly")
    counted = await create(
        api, start_time="2026-01-01T13:30:00", timezone=BERLIN, schedule="FREQ=DAILY;COUNT=100", key="counted"
    )
    before = await query(api, "SELECT event_id, due_at, xmin::text FROM pending ORDER BY 1, 2")
    await execute(api, "UPDATE events SET tzdata = %s", OLD)

    await run(expander)

    assert before == await query(api, "SELECT event_id, due_at, xmin::text FROM pending ORDER BY 1, 2")
    assert 4 * [(tzdata_version(), 1)] == await query(api, "SELECT tzdata, version FROM events")
    assert [] == (await api.get("/tzdata/changes")).json()["data"]
    assert {berlin["id"], utc["id"], hourly["id"], counted["id"]} >= {str(row[0]) for row in before}


async def test_real_time_goes_on_as_it_began(api, clock, expander):
    clock_was = clock.now()
    event = await create(api, start_time="2026-03-01T13:00:00", timezone=BERLIN, schedule="FREQ=MINUTELY;INTERVAL=45")
    dues = [one["scheduled_at"] for one in await open_of(api, event)]
    # By the old rules it began an hour sooner on the clock: what began at an instant goes on from that instant.
    await execute(
        api,
        "UPDATE events SET tzdata = %s,"
        """ recurrence = jsonb_set(recurrence, '{dtstart}', '"2026-03-01T12:00:00"')""",
        OLD,
    )

    await run(expander)

    assert dues == [one["scheduled_at"] for one in await open_of(api, event)]
    after = await event_of(api, event)
    assert ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00") == (after["start_time"], after["recurrence"]["dtstart"])
    assert clock_was == clock.now()


async def test_a_count_is_counted_anew(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00", rrule=("FREQ=DAILY;COUNT=2",))
    await execute(
        api,
        """UPDATE events SET recurrence = jsonb_set(recurrence, '{counted,0,until}', '"2026-03-02T13:30:00Z"')""",
    )
    await run(expander)
    until = await query(api, "SELECT recurrence #>> '{counted,0,until}' FROM events")
    assert [("2026-03-02T12:30:00Z",)] == until
    assert "2026-03-01T12:30:00Z" == (await event_of(api, event))["start_time"]


async def test_what_was_changed_by_hand_goes_along(api, clock, expander):
    event = await create(api, start_time="2026-03-01T13:30:00", timezone=BERLIN, schedule="FREQ=DAILY")
    at, to = "2026-03-05T12:30:00Z", "2026-03-05T18:00:00Z"
    changed = {"scheduled_at": at, "move_to": to, "metadata": {"kettle": 2}}
    answer = await api.post(f"/events/{event['id']}/override", changed)
    assert 200 == answer.status_code, answer.text
    await api.post(f"/events/{event['id']}/skip", {"scheduled_at": "2026-03-06T12:30:00Z"})
    # As if the old rules had made all of it an hour later.
    await execute(
        api, "UPDATE pending SET due_at = due_at + %s, fire_at = fire_at + %s WHERE due_at = fire_at", HOUR, HOUR
    )
    await execute(api, "UPDATE pending SET due_at = due_at + %s WHERE due_at <> fire_at", HOUR)
    await execute(api, "UPDATE occurrences SET due_at = due_at + %s", HOUR)
    await execute(api, "UPDATE occurrence_overrides SET due_at = due_at + %s", HOUR)
    await execute(api, "UPDATE events SET tzdata = %s", OLD)

    await run(expander)

    found = {one["scheduled_at"]: one for one in await occurrences_of(api, event)}
    assert {"2026-03-01T12:30:00Z", at, "2026-03-06T12:30:00Z", "2026-03-06T13:30:00Z"} == set(found)
    assert ("2026-03-05T18:00:00Z", "scheduled") == (found[at]["next_attempt_at"], found[at]["status"])
    assert "skipped" == found["2026-03-06T12:30:00Z"]["status"]
    assert [('{"kettle": 2}',)] == await query(api, "SELECT payload::text FROM occurrence_overrides")


async def test_a_paused_event_keeps_what_is_open_and_fires_none_of_it(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00")
    await execute(api, "UPDATE events SET status = 'paused'")
    await execute(api, "UPDATE pending SET blocked_on = 'paused'")

    await run(expander)

    assert [(clock.now() + HOUR / 2, "paused")] == await query(api, "SELECT due_at, blocked_on FROM pending")
    clock.advance(3600)
    assert [] == await dispatch(api, clock)
    await api.post(f"/events/{event['id']}/resume")
    assert 1 == len(await dispatch(api, clock))


async def test_a_change_of_an_event_lets_it_follow_first(api, clock):
    event = await plant(api, "2026-03-01T13:30:00")

    answer = await api.patch(f"/events/{event['id']}", {"name": "coffee"})

    assert (200, 3) == (answer.status_code, answer.json()["version"])
    assert ["2026-03-01T12:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]


async def test_what_has_newer_rules_is_left_alone(api, clock, expander):
    event = await create(api, start_time="2026-03-01T13:30:00", timezone=BERLIN, schedule="FREQ=DAILY")
    await execute(api, "UPDATE events SET tzdata = %s, next_expand_at = %s", LATER, clock.now())
    before = await query(api, "SELECT xmin::text FROM events")

    rest = await expander.tick()
    answer = await api.patch(f"/events/{event['id']}", {"name": "coffee"})

    assert rest > 1  # it does not spin
    assert before == await query(api, "SELECT xmin::text FROM events")
    assert (503, f"tzdata {LATER} is unavailable; try again") == (answer.status_code, answer.json()["detail"])
    rules = (await api.get("/tzdata")).json()
    assert {"tzdata": tzdata_version(), "behind": 0, "ahead": 1} == rules


async def test_rules_that_are_older_on_purpose_are_followed_to(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00")
    await execute(api, "UPDATE events SET tzdata = %s", LATER)

    assert {"tzdata": tzdata_version(), "adopted": 1} == (await api.post("/tzdata/adopt")).json()
    assert 0 == (await api.post("/tzdata/adopt")).json()["adopted"]
    await run(expander)

    assert ["2026-03-01T12:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]
    assert [("tzdata.adopted",)] == await query(api, "SELECT action FROM audit WHERE action LIKE 'tzdata%%'")


async def test_expanders_share_the_work_and_repeat_none(api, clock):
    for number in range(2 * follow.BATCH + 1):
        await plant(api, "2026-03-01T13:30:00", off=0 * HOUR, key=f"tea {number}")
    await execute(api, "UPDATE pending SET due_at = due_at + %s, fire_at = fire_at + %s", HOUR, HOUR)
    expanders = [Expander(api.deps.changes.stores, clock, Scheduler()) for _ in range(3)]

    for _ in range(3):
        await asyncio.gather(*[expander.tick() for expander in expanders])

    wanted = 2 * follow.BATCH + 1
    assert [(wanted, clock.now() + HOUR / 2)] == await query(api, "SELECT count(*), max(due_at) FROM pending")
    assert [(wanted, 2)] == await query(api, "SELECT count(*), max(version) FROM events")


async def test_a_rule_that_cannot_be_read_stops_none(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00")
    async with api.deps.database.connection() as conn:
        now = clock.now()
        await plant_event(conn, now, rrule=["FREQ=SOMETIMES"], tzdata=OLD, timezone=BERLIN, next_expand_at=now)

    await run(expander)

    assert ["2026-03-01T12:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]
    assert [("active",), ("error",)] == await query(api, "SELECT status FROM events ORDER BY status")


async def test_what_begins_meanwhile_stays_and_is_not_repeated(api, clock, expander, monkeypatch):
    event = await plant(api, "2026-03-01T13:30:00", off=-HOUR / 4)  # 12:30Z now, 12:15Z by the old rules
    list_made = follow.zonerules.list_made

    async def begin_after(*given):
        made = await list_made(*given)
        await execute(api, "UPDATE pending SET starts = 1")
        return made

    monkeypatch.setattr(follow.zonerules, "list_made", begin_after)
    await expander.tick()

    assert ["2026-03-01T12:15:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]
    assert [REASON] == [one["reason"] for one in await occurrences_of(api, event, "&status=skipped")]


async def test_the_report_shows_each_token_its_own(api, clock, expander):
    event = await plant(api, "2026-03-01T13:30:00", tags=["billing"])
    await run(expander)
    for scope, seen in (("billing", 2), ("shipping", 0)):
        token = api.token(Access.READ, scope)
        assert seen == len((await api.get("/tzdata/changes", token=token)).json()["data"])
    first = (await api.get("/tzdata/changes?limit=1")).json()
    second = (await api.get(f"/tzdata/changes?limit=1&cursor={first['pagination']['next_cursor']}")).json()
    assert not second["pagination"]["has_more"]
    assert {event["id"]} == {one["event_id"] for one in first["data"] + second["data"]}
    assert [] == (await api.get("/tzdata/changes?since=2026-03-02T00:00:00Z")).json()["data"]


async def test_a_rule_that_cannot_be_followed_stops_none(api, clock, expander, monkeypatch):
    bad = await create(api, start_time="2026-03-01T13:45:00", timezone=BERLIN, schedule="FREQ=DAILY", key="bad")
    good = await plant(api, "2026-03-01T13:30:00", key="good")
    whole = follow.follow

    def fail(recurrence, *given):
        if recurrence.dtstart.minute == 45:
            raise ArithmeticError
        return whole(recurrence, *given)

    monkeypatch.setattr(follow, "follow", fail)
    await run(expander)

    assert ["2026-03-01T12:30:00Z"] == [one["scheduled_at"] for one in await open_of(api, good)]
    left = await event_of(api, bad)
    assert ("active", 1) == (left["status"], left["version"])
    assert [(tzdata_version(),), (tzdata_version(),)] == await query(api, "SELECT tzdata FROM events")


RULES = ["FREQ=DAILY", "FREQ=DAILY;BYHOUR=12,13,14;BYMINUTE=0,30", "FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=5"]


@pytest.mark.parametrize(("rule", "off"), [*((rule, HOUR) for rule in RULES), *((rule, -HOUR) for rule in RULES[:3])])
async def test_following_leaves_nothing_out(api, clock, expander, rule, off):
    """By the ledger, which has the new rules alone."""
    event = await plant(
        api, "2026-03-01T13:30:00" if off > timedelta() else "2026-03-01T14:30:00", off=off, rrule=[rule]
    )
    await dispatch(api, clock)
    clock.advance(1800)
    await dispatch(api, clock)
    await run(expander)
    for _ in range(8):
        clock.advance(1800)
        await run(expander)
        await dispatch(api, clock)
    await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=WEEKLY"})
    clock.advance(1800)

    ledger = (await api.get(f"/events/{event['id']}/ledger")).json()

    assert [] == [line["scheduled_at"] for line in ledger["data"] if line["status"] == "missing"]
    assert ledger["expected"] >= 1


async def test_real_time_that_did_not_have_to_follow_is_as_it_was(api, clock):
    event = await plant(api, "2026-03-01T13:30:00", off=timedelta(), rrule=["FREQ=HOURLY"])
    await dispatch(api, clock)
    clock.advance(3600)
    first = (await api.get(f"/events/{event['id']}/ledger")).json()
    await execute(api, "UPDATE events SET tzdata = %s", tzdata_version())
    await api.patch(f"/events/{event['id']}", {"schedule": "FREQ=MINUTELY;INTERVAL=45"})
    then = (await api.get(f"/events/{event['id']}/ledger")).json()

    assert (1, 0) == (first["expected"], first["missing"])
    assert (1, 0) == (then["expected"], then["missing"])
