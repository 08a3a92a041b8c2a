from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from qhronos.api.auth import Access
from tests.service.api import open_api, open_deps
from tests.service.events import ANY, HOOK, audit_of, create, event_of, heard_of, open_of, picked, query, secrets_of

SECRET = "a-secret-that-nobody-may-see"


async def test_an_event_is_created_and_reads_back_the_same(api):
    made = await api.post(
        "/events",
        {
            "name": "tea",
            "description": "with milk",
            "key": "tea",
            "start_time": "2026-03-02T16:00:00",
            "timezone": "Europe/Berlin",
            "schedule": "FREQ=DAILY",
            "dst": {"gap": "skip"},
            "action": {"type": "apicall", "params": {"method": "PUT", "url": "https://example.com/x", "body": "as is"}},
            "metadata": {"cups": [1, 2.5, None, {"ünï": "\\"}]},
            "tags": ["kitchen", "hot", "kitchen"],
            "hmac_secret": SECRET,
            "retry": {"max_attempts": 7},
            "misfire": {"policy": "skip"},
        },
    )

    event = made.json()
    assert 201 == made.status_code
    assert f"/events/{event['id']}" == made.headers["location"]
    assert '"1-active"' == made.headers["etag"]
    assert {
        "id": ANY,
        "key": "tea",
        "name": "tea",
        "description": "with milk",
        "start_time": "2026-03-02T15:00:00Z",
        "timezone": "Europe/Berlin",
        "schedule": "FREQ=DAILY",
        "recurrence": {
            "dtstart": "2026-03-02T16:00:00",
            "timezone": "Europe/Berlin",
            "rrule": ["FREQ=DAILY"],
            "rdate": [],
            "exdate": [],
        },
        "words": ANY,
        "dst": {"gap": "skip", "fold": "first"},
        "subdaily": "elapsed",
        "calendars": [],
        "roll": "skip",
        "action": {"type": "apicall", "params": {"method": "PUT", "url": "https://example.com/x", "body": "as is"}},
        "webhook": None,
        "metadata": {"cups": [1, 2.5, None, {"ünï": "\\"}]},
        "tags": ["kitchen", "hot"],
        "has_hmac_secret": True,
        "hmac_overlap_until": None,
        "retry": {"max_attempts": 7, "backoff": ANY, "timeout": ANY, "deadline": None, "retry_on": None},
        "misfire": {"policy": "skip", "catchup_window": 86400.0, "max_catchup": None},
        "overlap": "allow",
        "priority": 0,
        "expires_after": None,
        "flex_window": 0.0,
        "jitter": 0.0,
        "max_occurrences": None,
        "concurrency_key": None,
        "concurrency_limit": 1,
        "ordering_key": None,
        "on_success": None,
        "on_failure": None,
        "status": "active",
        "reason": None,
        "paused_until": None,
        "version": 1,
        "next_due_at": "2026-03-02T15:00:00Z",
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    } == event
    shown = await api.get(f"/events/{event['id']}")
    assert (event, made.headers["etag"]) == (shown.json(), shown.headers["etag"])
    assert [event] == (await api.get("/events")).json()["data"]


async def test_the_least_that_makes_an_event_fires_now(api, clock):
    event = await create(api)

    assert ("2026-03-01T12:00:00Z", "UTC", None, {}, []) == picked(
        event, "next_due_at", "timezone", "schedule", "metadata", "tags"
    )
    assert [(clock.now(), "once", 1)] == await query(api, "SELECT due_at, origin, version FROM pending")


async def test_what_is_created_is_planned_and_the_bell_rings(api, clock):
    await api.deps.plan.mark_whole(range(4), "test")
    async with heard_of(api) as heard:
        event = await create(api, start_time=clock.now() + timedelta(seconds=1))
        notice = await heard.get()

    popped = await api.deps.plan.pop(clock.now() + timedelta(seconds=2), clock.now(), 100)
    assert [event["id"]] == [str(identity.event_id) for identity in popped.identities]
    assert clock.now() + timedelta(seconds=1) == notice.fire_at


async def test_without_redis_events_are_created_and_changed_all_the_same(database, clock):
    nobody = "redis://127.0.0.1:1/0"
    async with open_deps(database, nobody, "x", clock) as deps, open_api(deps) as api:
        event = await create(api, start_time=clock.now() + timedelta(minutes=1))
        async with deps.database.connection() as conn:
            await conn.execute("UPDATE pending SET lease_until = fire_at")
        renamed = await api.patch(f"/events/{event['id']}", {"name": "new"})

        assert (200, 1) == (renamed.status_code, len(await open_of(api, event)))


async def test_a_hundred_occurrences_are_made_at_once_and_the_others_left_to_the_expander(api, clock):
    event = await create(api, schedule="FREQ=SECONDLY")

    [(made, expand_at)] = await query(
        api, "SELECT (SELECT count(*) FROM pending), next_expand_at FROM events WHERE id = %s", event["id"]
    )
    assert 100 == made
    assert expand_at < clock.now() + timedelta(seconds=100)


async def test_an_event_far_ahead_is_left_to_the_expander_but_knows_when_it_is_due(api):
    event = await create(api, start_time="2031-01-01T00:00:00Z")

    assert "2031-01-01T00:00:00Z" == event["next_due_at"]
    assert [] == await open_of(api, event)


async def test_a_start_long_past_is_opened_for_the_misfire_policy_to_judge(api):
    event = await create(api, start_time="2020-01-01T00:00:00Z")

    assert ["2020-01-01T00:00:00Z"] == [one["scheduled_at"] for one in await open_of(api, event)]


async def test_a_rule_that_is_over_makes_a_completed_event(api):
    event = await create(api, start_time="2020-01-01T00:00:00Z", schedule="FREQ=DAILY;UNTIL=20200105T000000Z")

    assert ("completed", None) == (event["status"], event["next_due_at"])


async def test_creating_writes_the_version_and_the_audit_and_no_secret(api):
    event = await create(api, tags=["a"], key="k", hmac_secret=SECRET)

    assert [(1, None)] == await query(api, "SELECT version, valid_until FROM event_versions")
    assert [("event.created", "master", {"name": "tea", "key": "k", "tags": ["a"]})] == await audit_of(api, event)


async def test_the_secret_is_stored_and_never_told(api):
    event = await create(api, hmac_secret=SECRET)
    path = f"/events/{event['id']}"
    answers = [
        await api.get(path),
        await api.get("/events"),
        await api.patch(path, {"hmac_secret": SECRET + "2"}),
        await api.post(f"{path}/pause"),
        await api.post(f"{path}/resume"),
        await api.post(f"{path}/run"),
        await api.post("/events", {"name": "x", "webhook": HOOK, "hmac_secret": ""}),
        await api.post("/events/bulk", {"events": [{"name": "x", "webhook": HOOK, "hmac_secret": SECRET}]}),
        await api.get("/audit"),
    ]

    assert (SECRET + "2", SECRET, {}) == await secrets_of(api, event["id"])
    assert [] == [answer.url for answer in answers if SECRET in answer.text]
    assert [] == await query(api, "SELECT 1 FROM audit WHERE details::text LIKE %s", f"%{SECRET}%")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": None}, "name"),
        ({"description": "x" * 10_001}, "description"),
        ({"key": ""}, "key"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": "0001-01-01T00:00:00Z"}, "start_time"),
        ({"timezone": "Europe/Brelin"}, "timezone"),
        ({"schedule": 5}, "schedule"),
        ({"schedule": {"frequency": "sometimes"}}, "schedule.frequency"),
        ({"schedule": {"frequency": "daily", "every": 2}}, "schedule.every"),
        ({"schedule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, ANY),
        ({"schedule": ["x" * 300_000]}, "schedule"),
        ({"webhook": None}, "action"),
        ({"webhook": ""}, "webhook"),
        ({"webhook": "ftp://example.com"}, "webhook"),
        ({"webhook": "https://127.0.0.1/"}, "webhook"),
        ({"webhook": "q:"}, "webhook"),
        ({"webhook": None, "action": {"type": "script", "params": {}}}, "action.type"),
        ({"webhook": None, "action": {"type": "webhook", "params": {}}}, "action.params.url"),
        ({"metadata": "x" * 262_144}, "metadata"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["x" * 101]}, "tags"),
        ({"tags": [f"{n}" for n in range(51)]}, "tags"),
        ({"tags": "a"}, "tags"),
        ({"hmac_secret": ""}, "hmac_secret"),
        ({"hmac_secret": "whsec_!!!"}, "hmac_secret"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts"),
        ({"retry": {"attempts": 1}}, "retry.attempts"),
        ({"misfire": {"policy": "shrug"}}, "misfire.policy"),
        ({"dst": {"gap": "jump"}}, "dst.gap"),
        ({"colour": "red"}, "colour"),
        ({"id": "019ca945-0a00-7695-970c-30101b1e7a34"}, "id"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(api, said, field):
    answer = await api.post("/events", {"name": "tea", "webhook": HOOK} | said)

    problem = answer.json()
    assert (422, problem["detail"]) == (answer.status_code, problem["error"])
    assert field == ANY or problem["field"].removesuffix("[0]").removesuffix("[...]") == field
    assert [(0,)] == await query(api, "SELECT count(*) FROM events")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "tea", "webhook": "https://example.com"} x',
        b'{"name": "a\\u0000b", "webhook": "https://example.com"}',
        b'{"name": "tea", "webhook": "https://example.com", "metadata": {"a": "\\u0000"}}',
        b'{"name": "\\ud800", "webhook": "https://example.com"}',
        b'{"name": "\xff", "webhook": "https://example.com"}',
        b'{"name": "tea", "webhook": "https://example.com", "metadata": "\xff"}',
        b'{"name": "tea", "webhook": "https://example.com", "metadata": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_what_cannot_be_read_is_refused(api, body):
    answer = await api.send("POST", "/events", content=body, headers={"Content-Type": "application/json"})

    assert 400 == answer.status_code


@pytest.mark.parametrize(
    "metadata", [b"1e400", b"12345678901234567890123", b"[-0.0, 1e-320]", b"null", b'"text"', b"[[]]"]
)
async def test_any_metadata_is_kept_or_refused_but_breaks_nothing(api, metadata):
    body = b'{"name": "tea", "webhook": "https://example.com", "metadata": ' + metadata + b"}"
    answer = await api.send("POST", "/events", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in (201, 422)


async def test_the_schedules_of_the_first_readme_are_taken(api):
    """Defect 4: `interval` defaults to 1."""
    schedules = [{"frequency": "daily"}, {"frequency": "weekly", "by_day": ["MO", "WE", "FR"]}]

    events = [await create(api, schedule=schedule) for schedule in schedules]

    assert schedules == [event["schedule"] for event in events]


async def test_an_apicall_can_be_created(api):
    """Defect 3."""
    action = {"type": "apicall", "params": {"method": "POST", "url": "https://example.com/", "body": {"a": 1}}}

    assert action == (await create(api, webhook=None, action=action))["action"]


@pytest.mark.parametrize(
    ("start", "schedule", "dues"),
    [
        ("2026-01-10T00:00:00Z", {"frequency": "monthly", "by_month_day": [1, 15]}, ["2026-03-15T00:00:00Z"]),
        ("2025-06-01T00:00:00Z", {"frequency": "yearly", "by_month": [3, 9]}, ["2026-09-01T00:00:00Z"]),
        ("2026-01-31T00:00:00Z", {"frequency": "monthly"}, ["2026-03-31T00:00:00Z"]),
        ("2026-01-01T00:00:00Z", {"frequency": "weekly", "interval": 2, "by_day": ["MO"]}, ["2026-03-09T00:00:00Z"]),
    ],
)
async def test_recurrence_keeps_to_the_calendar(api, start, schedule, dues):
    """Defect 5: by-days before the start day, months without a 31st, every second week."""
    event = await create(api, start_time=start, schedule=schedule)

    assert dues == [event["next_due_at"]]


async def test_the_secret_of_an_event_is_not_ignored(api):
    """Defect 10: it is stored, replaced, and taken away."""
    event = await create(api, hmac_secret=SECRET)

    assert (SECRET, None, {}) == await secrets_of(api, event["id"])
    renamed = await api.patch(f"/events/{event['id']}", {"name": "other"})
    assert ((SECRET, None, {}), True) == (await secrets_of(api, event["id"]), renamed.json()["has_hmac_secret"])
    cleared = await api.patch(f"/events/{event['id']}", {"hmac_secret": None})
    assert ((None, SECRET, {}), False) == (await secrets_of(api, event["id"]), cleared.json()["has_hmac_secret"])


async def test_many_at_once_share_their_commits(api):
    answers = await asyncio.gather(*(api.post("/events", {"name": f"{n}", "webhook": HOOK}) for n in range(300)))

    assert {201} == {answer.status_code for answer in answers}
    assert [f"{n}" for n in range(300)] == [answer.json()["name"] for answer in answers]
    assert [(300, 300)] == await query(api, "SELECT (SELECT count(*) FROM pending), (SELECT count(*) FROM audit)")
    [(commits,)] = await query(api, "SELECT count(DISTINCT xmin::text) FROM events")
    assert commits < 100


async def test_in_a_group_a_bad_one_fails_alone(api, deps):
    good = [api.post("/events", {"name": f"{n}", "webhook": HOOK}) for n in range(20)]
    bad = api.post("/events", {"name": "bad", "webhook": HOOK, "start_time": "2026-03-01T12:00:00Z"})
    async with deps.database.connection() as conn:
        # What no validation foresees: the store itself refuses one row.
        await conn.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF NEW.name = 'bad' THEN RAISE numeric_value_out_of_range; END IF; RETURN NEW; END $$"
        )
        await conn.execute("CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()")

    answers = await asyncio.gather(*good[:10], bad, *good[10:])

    assert {201: 20, 422: 1} == Counter(answer.status_code for answer in answers)
    assert 422 == answers[10].status_code


async def test_a_taken_key_edits_the_event_that_has_it(api):
    first = await create(api, key="k", name="old", description="stays", schedule="FREQ=DAILY")

    again = await api.post("/events", {"key": "k", "name": "new", "webhook": HOOK + "2"})

    second = again.json()
    assert (200, '"2-active"') == (again.status_code, again.headers["etag"])
    assert (first["id"], "new", "stays", "FREQ=DAILY", HOOK + "2", 2) == picked(
        second, "id", "name", "description", "schedule", "webhook", "version"
    )
    assert ["event.updated", "event.created"] == [action for action, *_ in await audit_of(api, first)]


async def test_a_key_wanted_by_many_at_once_makes_one_event(api):
    answers = await asyncio.gather(
        *(api.post("/events", {"key": "k", "name": f"{n}", "webhook": HOOK}) for n in range(50))
    )

    assert {200: 49, 201: 1} == Counter(answer.status_code for answer in answers)
    assert 1 == len({answer.json()["id"] for answer in answers})
    assert list(range(1, 51)) == sorted(answer.json()["version"] for answer in answers)


@pytest.mark.parametrize(
    "path", ["nonsense", "123", "{019ca945-0a00-7695-970c-30101b1e7a34}", "019ca9450a007695970c30101b1e7a34"]
)
async def test_an_id_that_cannot_be_is_a_bad_request(api, path):
    answers = [
        await api.get(f"/events/{path}"),
        await api.patch(f"/events/{path}", {}),
        await api.put(f"/events/{path}", {}),
        await api.delete(f"/events/{path}"),
        await api.post(f"/events/{path}/pause"),
        await api.get(f"/events/{path}/occurrences"),
    ]

    assert {(400, "invalid event ID")} == {(answer.status_code, answer.json()["error"]) for answer in answers}


@pytest.mark.parametrize("deleted", [False, True])
async def test_what_is_not_there_is_not_found(api, deleted):
    event = await create(api)
    await api.delete(f"/events/{event['id']}")
    path = f"/events/{event['id'] if deleted else uuid.uuid4()}"

    answers = [
        await api.get(path),
        await api.patch(path, {"name": "x"}),
        await api.put(path, {"name": "x"}),
        await api.delete(path),
        await api.post(f"{path}/pause"),
        await api.post(f"{path}/resume"),
        await api.post(f"{path}/run"),
        await api.post(f"{path}/skip", {"scheduled_at": "2026-03-01T12:00:00Z"}),
        await api.get(f"{path}/occurrences"),
    ]

    assert {(404, "event not found")} == {(answer.status_code, answer.json()["error"]) for answer in answers}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_only_what_is_given_changes(api, clock, method):
    event = await create(api, description="d", tags=["a"], metadata={"m": 1}, key="k", retry={"max_attempts": 9})
    clock.advance(5)

    answer = await api.send(method, f"/events/{event['id']}", json={"name": "new"})

    expected = event | {"name": "new", "version": 2, "updated_at": "2026-03-01T12:00:05Z"}
    assert (200, expected, '"2-active"') == (answer.status_code, answer.json(), answer.headers["etag"])


async def test_null_brings_back_the_default(api):
    event = await create(
        api,
        description="d",
        tags=["a"],
        metadata={"m": 1},
        key="k",
        retry={"max_attempts": 9},
        misfire={"policy": "skip"},
        hmac_secret=SECRET,
        schedule="FREQ=DAILY",
        start_time="2026-04-01T00:00:00Z",
    )
    cleared = dict.fromkeys(("description", "tags", "metadata", "key", "retry", "misfire", "hmac_secret", "schedule"))

    answer = await api.patch(f"/events/{event['id']}", cleared)

    assert {
        "description": "",
        "tags": [],
        "metadata": {},
        "key": None,
        "retry": None,
        "misfire": {"policy": "fire_all", "catchup_window": 86400.0, "max_catchup": None},
        "has_hmac_secret": False,
        "schedule": None,
        "start_time": "2026-04-01T00:00:00Z",
        "next_due_at": "2026-04-01T00:00:00Z",
    } == {
        name: answer.json()[name]
        for name in (set(cleared) - {"hmac_secret"}) | {"has_hmac_secret", "start_time", "next_due_at"}
    }


@pytest.mark.parametrize(
    "said", [{"action": None}, {"webhook": ""}, {"name": None}, {"status": "deleted"}, {"version": 3}]
)
async def test_what_cannot_be_cleared_or_set_is_refused(api, said):
    event = await create(api)

    assert 422 == (await api.patch(f"/events/{event['id']}", said)).status_code
    assert event == await event_of(api, event)


async def test_a_key_of_another_event_cannot_be_taken(api):
    await create(api, key="taken")
    event = await create(api)

    answer = await api.patch(f"/events/{event['id']}", {"key": "taken"})

    assert (409, "key") == (answer.status_code, answer.json()["field"])


async def test_an_edit_of_another_version_is_refused(api):
    event = await create(api)
    path = f"/events/{event['id']}"
    await api.patch(path, {"name": "second"})

    stale = {"headers": {"If-Match": '"1-active"'}}
    answers = [
        await api.patch(path, {"name": "third"}, **stale),
        await api.put(path, {"name": "third"}, **stale),
        await api.delete(path, **stale),
        await api.post(f"{path}/pause", **stale),
        await api.post(f"{path}/resume", **stale),
        await api.post(f"{path}/skip", {"scheduled_at": "2026-03-01T12:00:00Z"}, **stale),
    ]

    assert {412} == {answer.status_code for answer in answers}
    assert ("second", 2) == picked(await event_of(api, event), "name", "version")


@pytest.mark.parametrize("tag", ['"1-active"', 'W/"1-active"', '"7-paused", "1-active"', "*"])
async def test_an_edit_of_the_version_at_hand_is_made(api, tag):
    event = await create(api)

    answer = await api.patch(f"/events/{event['id']}", {"name": "new"}, headers={"If-Match": tag})

    assert 200 == answer.status_code


async def test_an_etag_without_quotes_is_a_bad_request(api):
    event = await create(api)

    answer = await api.patch(f"/events/{event['id']}", {"name": "new"}, headers={"If-Match": "1-active"})

    assert (400, "If-Match") == (answer.status_code, answer.json()["field"])


async def test_no_update_is_lost(api):
    event = await create(api)
    path = f"/events/{event['id']}"

    said = [{"name": "n"}, {"description": "d"}, {"tags": ["t"]}, {"metadata": {"m": 1}}, {"key": "k"}]
    answers = await asyncio.gather(*(api.patch(path, one) for one in said))

    assert {2, 3, 4, 5, 6} == {answer.json()["version"] for answer in answers}
    last = await event_of(api, event)
    assert ("n", "d", ["t"], {"m": 1}, "k", 6) == picked(
        last, "name", "description", "tags", "metadata", "key", "version"
    )
    assert [(n,) for n in range(1, 7)] == await query(api, "SELECT version FROM event_versions ORDER BY version")
    assert [(6,)] == await query(api, "SELECT version FROM event_versions WHERE valid_until IS NULL")


async def test_deleting_answers_nothing_and_frees_the_key(api):
    event = await create(api, key="k")

    answer = await api.delete(f"/events/{event['id']}")

    assert (204, b"") == (answer.status_code, answer.content)
    assert [] == (await api.get("/events")).json()["data"]
    deleted = (await api.get("/events?status=deleted")).json()["data"]
    assert [(event["id"], "deleted", None)] == [(e["id"], e["status"], e["next_due_at"]) for e in deleted]
    assert event["id"] != (await create(api, key="k"))["id"]


class TestScope:
    @pytest.fixture
    async def token(self, api):
        return api.token(Access.READ_WRITE, "mine", "also-mine")

    async def test_a_token_sees_and_touches_only_its_own(self, api, token):
        mine, other = await create(api, tags=["mine", "x"]), await create(api, tags=["x"])
        path = f"/events/{other['id']}"

        hidden = [
            await api.get(path, token=token),
            await api.patch(path, {"name": "x"}, token=token),
            await api.delete(path, token=token),
            await api.post(f"{path}/pause", token=token),
            await api.post(f"{path}/resume", token=token),
            await api.post(f"{path}/run", token=token),
            await api.post(f"{path}/skip", {"scheduled_at": "2026-03-01T12:00:00Z"}, token=token),
            await api.get(f"{path}/occurrences", token=token),
        ]

        assert {404} == {answer.status_code for answer in hidden}
        assert other == await event_of(api, other)
        assert [mine["id"]] == [e["id"] for e in (await api.get("/events", token=token)).json()["data"]]
        assert 200 == (await api.patch(f"/events/{mine['id']}", {"name": "x"}, token=token)).status_code

    async def test_a_token_creates_only_what_it_can_see(self, api, token):
        refused = await api.post("/events", {"name": "x", "webhook": HOOK, "tags": ["x"]}, token=token)
        made = await api.post("/events", {"name": "x", "webhook": HOOK, "tags": ["x", "also-mine"]}, token=token)

        assert (403, 201) == (refused.status_code, made.status_code)
        assert refused.json()["error"].startswith("insufficient scope")
        assert "also-mine, mine" in refused.json()["error"]

    async def test_a_token_cannot_take_an_event_out_of_its_own_sight(self, api, token):
        event = await create(api, tags=["mine"])

        for tags in ([], None, ["x"]):
            assert 403 == (await api.patch(f"/events/{event['id']}", {"tags": tags}, token=token)).status_code
        moved = await api.patch(f"/events/{event['id']}", {"tags": ["also-mine"]}, token=token)
        assert 200 == moved.status_code

    async def test_a_key_out_of_sight_is_taken_and_not_touched(self, api, token):
        other = await create(api, key="k", tags=["x"])

        answer = await api.post("/events", {"name": "x", "key": "k", "webhook": HOOK, "tags": ["mine"]}, token=token)

        assert (409, "key") == (answer.status_code, answer.json()["field"])
        assert other == await event_of(api, other)

    async def test_reading_is_not_writing(self, api):
        event = await create(api, tags=["mine"])
        reader = api.token(Access.READ, "mine")
        path = f"/events/{event['id']}"

        assert 200 == (await api.get(path, token=reader)).status_code
        refused = [
            await api.post("/events", {"name": "x", "webhook": HOOK, "tags": ["mine"]}, token=reader),
            await api.post("/events/bulk", {"events": [{}]}, token=reader),
            await api.patch(path, {"name": "x"}, token=reader),
            await api.delete(path, token=reader),
            await api.post(f"{path}/run", token=reader),
        ]
        assert {403} == {answer.status_code for answer in refused}


class TestList:
    async def listed(self, api, query=""):
        answer = await api.get(f"/events?{query}")
        assert 200 == answer.status_code, answer.text
        return [event["name"] for event in answer.json()["data"]]

    @pytest.fixture
    async def some(self, api, clock):
        for name, tags, metadata in [
            ("first", ["a", "both"], {"env": "prod", "team": {"id": 7}}),
            ("second", ["b", "both"], {"env": "test"}),
            ("third", ["c"], []),
        ]:
            await create(api, name=name, tags=tags, metadata=metadata)
            clock.advance(1)

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["third", "second", "first"]),
            ("tags=a,b", ["second", "first"]),
            ("tags=a&tags=b", ["second", "first"]),
            ("tags=a,both&tags_match=all", ["first"]),
            ("status=active", ["third", "second", "first"]),
            ("status=paused,completed", []),
            ("q=sec", ["second"]),
            ('metadata={"team":{"id":7}}', ["first"]),
            ('metadata={"env":"test"}&tags=a', []),
            ("limit=2", ["third", "second"]),
        ],
    )
    async def test_events_are_found_by_what_is_asked(self, api, some, query, names):
        assert names == await self.listed(api, query)

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=201",
            "limit=x",
            "cursor=!",
            "cursor=bm90aGluZw",
            "status=gone",
            "tags_match=some",
            "metadata=[1]",
            "metadata={",
            'metadata={"a":"\\u0000"}',
            "q=",
            "colour=red",
        ],
    )
    async def test_what_cannot_be_asked_is_refused(self, api, query):
        assert 400 == (await api.get(f"/events?{query}")).status_code

    async def test_an_empty_list_is_a_list(self, api):
        assert {"data": [], "pagination": {"limit": 50, "next_cursor": None, "has_more": False}} == (
            await api.get("/events")
        ).json()

    async def test_pages_lead_through_everything_once_while_events_are_added(self, api, clock):
        for n in range(23):
            await create(api, name=f"{n:02}")
            clock.advance(1)
        seen, cursor = [], ""
        while True:
            page = (await api.get(f"/events?limit=5{cursor}")).json()
            seen += [event["name"] for event in page["data"]]
            assert page["pagination"]["has_more"] == (page["pagination"]["next_cursor"] is not None)
            if not page["pagination"]["has_more"]:
                break
            cursor = f"&cursor={page['pagination']['next_cursor']}"
            clock.advance(1)
            await create(api, name="late")

        assert [f"{n:02}" for n in reversed(range(23))] == seen


async def test_openapi_shows_what_an_event_takes(api):
    described = (await api.get("/schema/openapi.json", token=None)).json()

    assert {"name"} == set(described["components"]["schemas"]["NewEvent"]["required"])
    assert "hmac_secret" not in msgspec.json.encode(described["components"]["schemas"]["EventView"]).decode().replace(
        "has_hmac_secret", ""
    )
