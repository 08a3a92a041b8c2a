from __future__ import annotations

import icalendar
import pytest

from qhronos.api import exports
from qhronos.api.auth import Access
from tests.service.events import HOOK, create, event_of, picked, query

SAME = (
    *("name", "description", "start_time", "timezone", "recurrence", "dst", "subdaily", "action", "metadata", "tags"),
    *("retry", "misfire", "has_hmac_secret"),
)
RULE = {"schedule": "FREQ=WEEKLY;BYDAY=MO;COUNT=9", "start_time": "2026-03-02T09:00:00", "timezone": "Europe/Berlin"}


async def test_an_export_imported_is_the_same_events(api):
    made = [
        await create(
            api, **RULE, key="a", tags=["x"], metadata={"n": 1}, dst={"gap": "skip"}, retry={"max_attempts": 2}
        ),
        await create(api, start_time="2026-05-01T12:00:00.25Z", description="once"),
    ]
    text = (await api.get("/events/export")).text
    before = [picked(event, *SAME) for event in made]
    for event in made:
        await api.delete(f"/events/{event['id']}")

    for counts in ((2, 0), (0, 2)):
        view = (await api.post("/events/import", {"format": "json", "text": text})).json()
        assert counts == picked(view, "created", "edited")

    after = [picked(await event_of(api, result), *SAME) for result in view["results"]]
    assert sorted(before, key=str) == sorted(after, key=str)


async def test_an_event_in_a_zone_of_its_own_survives_the_way_out_and_in(api):
    zone = "BEGIN:VTIMEZONE\nTZID:Mine\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0137\nTZOFFSETTO:+0137\nEND:STANDARD\nEND:VTIMEZONE\n"
    event = "BEGIN:VEVENT\nUID:u\nSUMMARY:s\nDTSTART;TZID=Mine:20260302T160000\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
    text = f"BEGIN:VCALENDAR\n{zone}{event}END:VCALENDAR\n"
    action = {"type": "webhook", "params": {"url": HOOK}}
    (first,) = (await api.post("/events/import", {"format": "ics", "text": text, "action": action})).json()["results"]

    exported = (await api.get("/events/export")).text
    (second,) = (await api.post("/events/import", {"format": "json", "text": exported})).json()["results"]

    assert "2026-03-02T14:23:00Z" == first["next"][0]
    assert (200, first["next"], first["recurrence"]) == picked(second, "status", "next", "recurrence")


async def test_no_secret_is_exported(api):
    await create(api, hmac_secret="hush-hush-hush")

    assert "hush" not in (await api.get("/events/export")).text


async def test_an_export_holds_what_the_token_sees_and_asks_for_page_by_page(api):
    bodies = [{"name": f"{n}", "webhook": HOOK, "tags": ["mine" if n % 2 else "other"]} for n in range(410)]
    await api.post("/events/bulk", {"events": bodies})
    mine = api.token(Access.READ, "mine")

    async def names(query: str, **more):
        return {event["name"] for event in (await api.get(f"/events/export{query}", **more)).json()["events"]}

    assert {f"{n}" for n in range(410)} == await names("")
    assert {f"{n}" for n in range(1, 410, 2)} == await names("", token=mine) == await names("?tags=mine")
    assert set() == await names("?tags=mine,other&tags_match=all") == await names("?status=paused")


async def test_a_calendar_holds_the_rule_itself(api):
    event = await create(api, **RULE, key="a@example.com")
    answer = await api.get("/events/export?format=ics")
    (shown,) = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")

    assert "text/calendar; charset=utf-8" == answer.headers["Content-Type"]
    assert ("a@example.com", event["name"]) == (str(shown["UID"]), str(shown["SUMMARY"]))
    assert "FREQ=WEEKLY" in shown["RRULE"].to_ical().decode()


async def test_a_calendar_of_too_many_is_refused(api, monkeypatch):
    monkeypatch.setattr(exports, "MOST", 1)
    for name in ("a", "b"):
        await create(api, name=name)

    assert 413 == (await api.get("/events/export?format=ics")).status_code
    assert [(2,)] == await query(api, "SELECT count(*) FROM events")


@pytest.mark.parametrize("asked", ["format=xml", "tag=x", "status=gone"])
async def test_what_nobody_knows_is_refused(api, asked):
    assert 400 == (await api.get(f"/events/export?{asked}")).status_code
