from __future__ import annotations

import json

import pytest

from qhronos.api.auth import Access
from tests.service.events import HOOK, create, event_of, picked, query

ACTION = {"type": "webhook", "params": {"url": HOOK}}
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:tea@example.com
SUMMARY:Tea
DESCRIPTION:With milk
CATEGORIES:kitchen,hot
DTSTART;TZID=Europe/Berlin:20260302T160000
RRULE:FREQ=WEEKLY;BYDAY=MO
END:VEVENT
BEGIN:VEVENT
UID:broken@example.com
SUMMARY:Broken
DTSTART:20260302T160000Z
RRULE:FREQ=NEVER
END:VEVENT
BEGIN:VTODO
SUMMARY:not an event
END:VTODO
END:VCALENDAR
"""
COUNTS = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM pending), (SELECT count(*) FROM audit)"


async def imported(api, text, form="ics", **said):
    body = {"format": form, "text": text, "action": ACTION} | said
    answer = await api.post("/events/import", body)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def summary(view):
    return picked(view, "created", "edited", "failed")


async def test_a_dry_run_says_what_importing_would_do_and_writes_nothing(api):
    dry = await imported(api, CALENDAR, dry_run=True)

    assert [(0, 0, 0)] == await query(api, COUNTS)
    wet = await imported(api, CALENDAR)
    again = await imported(api, CALENDAR, dry_run=True)

    assert ((1, 0, 1), (1, 0, 1), (0, 1, 1)) == tuple(map(summary, (dry, wet, again)))
    assert wet["results"][0].pop("id")
    assert dry["results"] == wet["results"]
    assert ("not events, so not taken: 1 VTODO",) == tuple(dry["warnings"])
    assert (422, "Broken") == picked(dry["results"][1], "status", "name")
    tea = dry["results"][0]
    assert ("Tea", "tea@example.com", "Europe/Berlin") == (*picked(tea, "name", "key"), tea["recurrence"]["timezone"])
    assert "2026-03-02T15:00:00Z" == tea["next"][0]


async def test_importing_again_edits_what_was_there(api):
    (first, _) = (await imported(api, CALENDAR))["results"]
    (second, _) = (await imported(api, CALENDAR.replace("SUMMARY:Tea", "SUMMARY:Cake")))["results"]

    assert (first["id"], 200) == picked(second, "id", "status")
    event = await event_of(api, first)
    assert ("Cake", "With milk", ["kitchen", "hot"], 2) == picked(event, "name", "description", "tags", "version")
    assert [(1,)] == await query(api, "SELECT count(*) FROM events")


async def test_the_preview_gives_what_an_imported_event_is_to_do(api):
    (result, _) = (await imported(api, CALENDAR))["results"]
    event = await event_of(api, result)
    asked = {"schedule": event["schedule"], "since": api.deps.clock.now(), "limit": 3}
    preview = (await api.post("/recurrences/preview", asked)).json()

    assert [one["at"] for one in preview["occurrences"]] == result["next"]


async def test_json_brings_its_own_actions_and_the_request_gives_the_rest(api):
    own = {"name": "own", "key": "a", "webhook": "https://example.org/own", "tags": ["x"], "timezone": "Asia/Tokyo"}
    plain = {"name": "plain", "key": "b", "schedule": "FREQ=DAILY", "start_time": "2026-03-02T09:00:00"}
    text = json.dumps({"events": [own, plain, {"name": 5}, {"name": "odd", "tags": 5}]})

    view = await imported(api, text, "json", timezone="Europe/Berlin", tags=["all"])

    assert [201, 201, 422, 201] == [result["status"] for result in view["results"]]
    events = [await event_of(api, result) for result in view["results"] if "id" in result]
    assert ["https://example.org/own", HOOK, HOOK] == [event["webhook"] for event in events]
    assert [["x", "all"], ["all"], ["all"]] == [event["tags"] for event in events]
    assert ["Asia/Tokyo", "Europe/Berlin", "Europe/Berlin"] == [event["timezone"] for event in events]


@pytest.mark.parametrize(
    ("said", "status", "field"),
    [
        ({"format": "json", "text": "{"}, 400, None),
        ({"format": "json", "text": '{"event": []}'}, 422, "event"),
        ({"format": "ics", "text": "hello", "action": ACTION}, 422, "text"),
        ({"format": "ics", "text": CALENDAR}, 422, "action"),
        ({"format": "json", "text": " " * (1024 * 1024 + 1)}, 413, "text"),
        ({"format": "json", "text": json.dumps([{}] * 5_001)}, 413, "text"),
        ({"format": "xml", "text": ""}, 422, "format"),
    ],
)
async def test_what_cannot_be_read_is_refused_as_a_whole(api, said, status, field):
    answer = await api.post("/events/import", said)

    assert status == answer.status_code, answer.text
    assert field == answer.json().get("field")


async def test_an_idempotency_key_is_not_silently_ignored(api):
    said = {"format": "json", "text": "[]"}

    assert 400 == (await api.post("/events/import", said, headers={"Idempotency-Key": "k"})).status_code


@pytest.mark.parametrize("dry_run", [True, False])
async def test_scope_and_keys_out_of_sight_are_judged_for_each(api, dry_run):
    await create(api, key="theirs", tags=["other"])
    mine = await create(api, key="mine", tags=["mine"])
    bodies = [
        {"name": "a", "webhook": HOOK, "tags": ["other"]},
        {"name": "b", "webhook": HOOK, "key": "theirs", "tags": ["mine"]},
        {"name": "c", "webhook": HOOK, "key": "mine", "tags": ["mine"]},
        {"name": "d", "webhook": HOOK, "key": "new", "tags": ["mine"]},
        {"name": "e", "webhook": HOOK, "key": "new", "tags": ["mine"]},
    ]
    said = {"format": "json", "text": json.dumps(bodies), "dry_run": dry_run}

    answer = await api.post("/events/import", said, token=api.token(Access.WRITE, "mine"))

    assert [403, 409, 200, 201, 200] == [result["status"] for result in answer.json()["results"]]
    assert ("tea" if dry_run else "c") == (await event_of(api, mine))["name"]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_edit_that_cannot_be_is_an_error_of_that_one(api, dry_run):
    await create(api, key="there", schedule="FREQ=DAILY;COUNT=3", start_time="2026-03-02T09:00:00Z")
    text = json.dumps([{"name": "x", "webhook": HOOK, "key": "there", "schedule": "FREQ=DAILY;UNTIL=20260301T000000Z"}])

    view = await imported(api, text, "json", dry_run=dry_run)

    assert ((0, 0, 1), [422]) == (summary(view), [result["status"] for result in view["results"]])


async def test_uids_that_are_too_long_and_missing_ones_are_keys_all_the_same(api):
    text = CALENDAR.replace("UID:tea@example.com", f"UID:{'x' * 300}").replace("UID:broken@example.com\n", "")
    text = text.replace("FREQ=NEVER", "FREQ=DAILY")

    for expected in ((2, 0, 0), (0, 2, 0)):
        view = await imported(api, text)
        assert expected == summary(view)
    assert all(result["key"].startswith("ics:") for result in view["results"])


async def test_what_is_too_long_for_an_event_is_cut_and_said(api):
    text = CALENDAR.replace("SUMMARY:Tea", f"SUMMARY:{'T' * 300}").replace("hot", "h" * 101)

    (result, _) = (await imported(api, text))["results"]

    assert (255, "…") == (len(result["name"]), result["name"][-1])
    assert [True] == ["too long" in warning for warning in result["warnings"]]
    assert ["kitchen"] == (await event_of(api, result))["tags"]


CRONTAB = """MAILTO=ada@example.com
CRON_TZ=Europe/Berlin
0 9 * * 1-5 /usr/bin/report --all
@reboot warm-up
61 9 * * * never
0 9 * * 1-5 /usr/bin/report --all
"""


async def test_the_lines_of_a_crontab_become_events(api):
    first = await imported(api, CRONTAB, "crontab", tags=["cron"])
    second = await imported(api, CRONTAB.replace("0 9", "0  9"), "crontab", tags=["cron"])

    assert ((1, 0, 3), (0, 1, 3)) == (summary(first), summary(second))
    assert ["line 1: MAILTO is passed over: what happens here has no environment"] == first["warnings"]
    assert [201, 422, 422, 422] == [result["status"] for result in first["results"]]
    event = await event_of(api, second["results"][0])
    assert ("/usr/bin/report --all", {"command": "/usr/bin/report --all"}) == picked(event, "name", "metadata")
    assert ("Europe/Berlin", ["cron"], "0 9 * * 1-5") == picked(event, "timezone", "tags", "schedule")
