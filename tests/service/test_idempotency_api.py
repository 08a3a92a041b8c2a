from __future__ import annotations

import asyncio

import pytest

from qhronos.api.auth import Access
from qhronos.api.events import edited
from qhronos.engine.actor import Actor
from qhronos.engine.draft import Fields
from qhronos.store import idempotency
from tests.service.events import HOOK, create, query


async def test_a_repeat_gets_the_same_answer_and_does_nothing(api, clock):
    said = {"name": "tea", "webhook": HOOK}
    first = await api.post("/events", said, headers={"Idempotency-Key": "k 1"})
    clock.advance(60)
    second = await api.post("/events", said, headers={"Idempotency-Key": "k 1"})

    assert (201, 201, first.content) == (first.status_code, second.status_code, second.content)
    assert ("true", first.headers["location"], first.headers["etag"]) == (
        second.headers["idempotency-replayed"],
        second.headers["location"],
        second.headers["etag"],
    )
    assert "idempotency-replayed" not in first.headers
    assert [(1, 1)] == await query(api, "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM audit)")


async def test_the_same_key_for_another_body_is_refused(api):
    headers = {"Idempotency-Key": "k"}
    await api.post("/events", {"name": "tea", "webhook": HOOK}, headers=headers)

    answer = await api.post("/events", {"name": "coffee", "webhook": HOOK}, headers=headers)

    assert (422, "Idempotency-Key") == (answer.status_code, answer.json()["field"])


async def test_a_hundred_requests_with_ten_keys_make_ten_events(api):
    answers = await asyncio.gather(
        *(
            api.post("/events", {"name": f"{n % 10}", "webhook": HOOK}, headers={"Idempotency-Key": f"{n % 10}"})
            for n in range(100)
        )
    )

    assert {201} == {answer.status_code for answer in answers}
    assert 10 == len({answer.content for answer in answers})
    assert 10 == sum("idempotency-replayed" not in answer.headers for answer in answers)
    assert [(10,)] == await query(api, "SELECT count(*) FROM events")


async def test_keys_are_told_apart_by_subject(api):
    headers = {"Idempotency-Key": "k"}
    said = {"name": "tea", "webhook": HOOK, "tags": ["t"]}
    tokens = [api.token(Access.READ_WRITE, "t", sub=sub) for sub in ("one", "two")]

    answers = [await api.post("/events", said, token=token, headers=headers) for token in tokens]

    assert answers[0].json()["id"] != answers[1].json()["id"]


async def test_what_was_refused_may_be_mended_under_the_same_key(api):
    headers = {"Idempotency-Key": "k"}
    await api.post("/events", {"name": ""}, headers=headers)

    assert 201 == (await api.post("/events", {"name": "x", "webhook": HOOK}, headers=headers)).status_code


async def test_a_repeated_upsert_edits_once(api):
    await create(api, key="k")
    said = {"key": "k", "name": "new", "webhook": HOOK}

    answers = [await api.post("/events", said, headers={"Idempotency-Key": "i"}) for _ in range(3)]

    assert [(200, 2)] * 3 == [(answer.status_code, answer.json()["version"]) for answer in answers]
    assert [None, "true", "true"] == [answer.headers.get("idempotency-replayed") for answer in answers]


async def test_a_repeated_run_fires_once(api):
    event = await create(api, start_time="2027-01-01T00:00:00Z")
    path = f"/events/{event['id']}/run"

    answers = await asyncio.gather(*(api.post(path, headers={"Idempotency-Key": "r"}) for _ in range(10)))

    assert 1 == len({answer.json()["occurrence_id"] for answer in answers})
    assert [(1,)] == await query(api, "SELECT count(*) FROM pending")


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t"])
async def test_a_key_that_cannot_be_is_refused(api, key):
    answer = await api.post("/events", {"name": "x", "webhook": HOOK}, headers={"Idempotency-Key": key})

    assert (400, "Idempotency-Key") == (answer.status_code, answer.json()["field"])


async def test_an_upsert_that_finds_nobody_leaves_its_key_unused(api):
    request = idempotency.Request("tester", "k", b"digest")
    actor = Actor("tester", None, "r", None)

    assert await api.deps.changes.upsert(actor, Fields(key="nobody"), request, edited) is None
    assert [] == await query(api, "SELECT 1 FROM idempotency_keys")
