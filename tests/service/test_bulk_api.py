from __future__ import annotations

import pytest

from qhronos.api.auth import Access
from tests.service.events import ANY, HOOK, create, event_of, picked, query


async def test_each_is_judged_by_itself(api):
    await create(api, key="there")
    answer = await api.post(
        "/events/bulk",
        {
            "events": [
                {"name": "one", "webhook": HOOK},
                {"name": "", "webhook": HOOK},
                {"name": "three", "webhook": HOOK, "schedule": "FREQ=NEVER"},
                {"name": "four", "webhook": HOOK, "key": "there"},
                {"name": "five", "webhook": HOOK, "key": "twice"},
                {"name": "six", "webhook": HOOK, "key": "twice"},
                5,
            ]
        },
    )

    view = answer.json()
    assert (200, 2, 3) == (answer.status_code, view["created"], view["failed"])
    assert [(0, 201), (1, 422), (2, 422), (3, 200), (4, 201), (5, 200), (6, 422)] == [
        (result["index"], result["status"]) for result in view["results"]
    ]
    assert ["one", "four", "five", "six"] == [r["event"]["name"] for r in view["results"] if "event" in r]
    assert ["name", ANY, None] == [r.get("field") for r in view["results"] if "error" in r]
    assert view["results"][0]["event"] == await event_of(api, view["results"][0]["event"])


async def test_all_or_none(api):
    events = [{"name": f"{n}", "webhook": HOOK} for n in range(1200)]
    refused = await api.post("/events/bulk", {"events": [*events, {"name": "x"}], "atomic": True})

    assert (422, "events[1200].action") == (refused.status_code, refused.json()["field"])
    assert [(0, 0)] == await query(api, "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM pending)")

    made = await api.post("/events/bulk", {"events": events, "atomic": True})
    assert (1200, 0) == (made.json()["created"], made.json()["failed"])
    assert [(1200, 1)] == await query(api, "SELECT count(*), count(DISTINCT xmin::text) FROM events")


async def test_all_or_none_edits_what_has_its_key(api):
    event = await create(api, key="there", name="old")
    said = [{"name": "a", "webhook": HOOK}, {"name": "new", "key": "there", "webhook": HOOK}]

    made = await api.post("/events/bulk", {"events": said, "atomic": True})

    assert [201, 200] == [result["status"] for result in made.json()["results"]]
    assert ("new", 2) == picked(await event_of(api, event), "name", "version")


async def test_ten_thousand_and_ten_megabytes_are_taken(api):
    events = [{"name": f"{n}", "webhook": HOOK, "metadata": "x" * 900} for n in range(10_000)]
    answer = await api.post("/events/bulk", {"events": events})

    assert (200, 10_000) == (answer.status_code, answer.json()["created"])
    assert [(10_000,)] == await query(api, "SELECT count(*) FROM pending")


@pytest.mark.parametrize("count", [0, 10_001])
async def test_nothing_and_too_many_are_refused(api, count):
    answer = await api.post("/events/bulk", {"events": [{}] * count})

    assert (422, "events") == (answer.status_code, answer.json()["field"])


async def test_scope_is_judged_for_each(api):
    token = api.token(Access.READ_WRITE, "mine")
    said = [{"name": "a", "webhook": HOOK, "tags": [tag]} for tag in ("mine", "other")]

    answer = await api.post("/events/bulk", {"events": said}, token=token)

    assert [201, 403] == [result["status"] for result in answer.json()["results"]]


async def test_an_idempotency_key_is_not_silently_ignored(api):
    said = {"events": [{"name": "a", "webhook": HOOK}]}

    assert 400 == (await api.post("/events/bulk", said, headers={"Idempotency-Key": "k"})).status_code


async def test_a_key_out_of_sight_is_a_conflict_of_that_one(api):
    await create(api, key="theirs", tags=["other"])
    token = api.token(Access.READ_WRITE, "mine")
    said = [{"name": "a", "webhook": HOOK, "tags": ["mine"], "key": key} for key in ("own", "theirs")]

    each = await api.post("/events/bulk", {"events": said}, token=token)
    none = await api.post("/events/bulk", {"events": said, "atomic": True}, token=token)

    assert [(201, None), (409, "key")] == [(r["status"], r.get("field")) for r in each.json()["results"]]
    assert (422, "events[1].key") == (none.status_code, none.json()["field"])


async def test_all_or_none_takes_a_key_twice(api):
    said = [{"name": name, "webhook": HOOK, "key": "k"} for name in ("first", "second")]

    answer = await api.post("/events/bulk", {"events": said, "atomic": True})

    assert [(201, "first", 1), (200, "second", 2)] == [
        (result["status"], *picked(result["event"], "name", "version")) for result in answer.json()["results"]
    ]
