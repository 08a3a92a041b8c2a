from __future__ import annotations

import pytest

from qhronos.api.auth import Access
from tests.service.events import audit_of, create, event_of, open_of, query

# The clock of the tests stands in March 2026.
DAILY = {"schedule": "FREQ=DAILY", "start_time": "2026-03-02T09:00:00Z"}


async def put(api, name="team", **said):
    answer = await api.put(f"/calendars/{name}", said)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def days(api, **asked):
    answer = await api.post("/recurrences/preview", {**DAILY, "limit": 3, **asked})
    assert 200 == answer.status_code, answer.text
    return [occurrence["at"][:10] for occurrence in answer.json()["occurrences"]]


async def test_a_calendar_of_dates_is_put_listed_shown_and_deleted(api):
    made = await put(api, dates=["2026-12-25", "2026-12-24", "2026-12-25"], weekend=["SU", "SA"])

    assert (["2026-12-24", "2026-12-25"], ["SA", "SU"], "2026-12-31") == (
        made["dates"],
        made["weekend"],
        made["known_until"],
    )
    assert made == (await api.get("/calendars/team")).json()
    listed = (await api.get("/calendars")).json()["data"]
    assert [{name: side for name, side in made.items() if name != "dates"}] == listed

    assert 204 == (await api.delete("/calendars/team")).status_code
    assert 404 == (await api.get("/calendars/team")).status_code
    assert 404 == (await api.delete("/calendars/team")).status_code


async def test_a_country_brings_its_holidays_and_its_weekend(api):
    made = await put(api, "de-by", country="DE", subdivision="BY")

    assert {"2026-12-25", "2026-01-06", "2036-01-01", "2025-01-01"} <= set(made["dates"])
    assert (["SA", "SU"], "2036-12-31", "DE", "BY") == (
        made["weekend"],
        made["known_until"],
        made["country"],
        made["subdivision"],
    )


@pytest.mark.parametrize(
    ("said", "field", "word"),
    [
        ({}, "dates", "one of"),
        ({"dates": [], "country": "DE"}, "dates", "one of"),
        ({"country": "de"}, "country", "DE"),
        ({"country": "DE", "subdivision": "by"}, "subdivision", "BY"),
        ({"dates": [], "subdivision": "BY"}, "subdivision", "country"),
        ({"dates": [], "weekend": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]}, "weekend", "seven"),
    ],
)
async def test_what_is_no_calendar_is_refused_by_field(api, said, field, word):
    answer = await api.put("/calendars/team", said)

    assert (422, field) == (answer.status_code, answer.json()["field"])
    assert word in answer.json()["error"]


async def test_a_name_is_short_and_plain(api):
    assert "name" == (await api.put("/calendars/Team%20A", {"dates": []})).json()["field"]


async def test_only_admins_change_calendars(api):
    token = api.token(Access.READ_WRITE, "billing")

    assert 403 == (await api.put("/calendars/team", {"dates": []}, token=token)).status_code


async def test_changes_of_calendars_are_audited(api):
    await put(api, dates=[])
    await api.delete("/calendars/team")

    found = await query(api, "SELECT action, object FROM audit ORDER BY id")
    assert [("calendar.put", "team"), ("calendar.deleted", "team")] == found


async def test_a_closed_day_is_left_out_or_rolled(api):
    await put(api, dates=["2026-03-03"])

    assert ["2026-03-02", "2026-03-04", "2026-03-05"] == await days(api, calendars=["team"])
    once = {"schedule": "FREQ=MONTHLY;BYMONTHDAY=3", "limit": 1, "calendars": ["team"]}
    assert ["2026-03-04"] == await days(api, **once, roll="following")
    assert ["2026-03-02"] == await days(api, **once, roll="preceding")


async def test_several_calendars_close_together(api):
    await put(api, dates=["2026-03-03"])
    await put(api, "shop", dates=[], weekend=["WE"])

    assert ["2026-03-02", "2026-03-05", "2026-03-06"] == await days(api, calendars=["team", "shop"])


async def test_a_preview_says_what_was_rolled_and_what_is_not_known(api):
    await put(api, dates=["2026-03-03"])
    asked = {**DAILY, "calendars": ["team"], "roll": "following", "schedule": "FREQ=MONTHLY;BYMONTHDAY=3", "limit": 12}
    answer = (await api.post("/recurrences/preview", asked)).json()

    assert "rolled from 2026-03-03, closed in team" == answer["occurrences"][0]["note"]
    assert answer["occurrences"][1]["note"] is None
    assert ["nothing is known of days after 2026-12-31 in team; there they count as open"] == answer["warnings"]
    why = {**DAILY, "calendars": ["team"], "instant": "2026-03-03T09:00:00Z"}
    assert "closed in team" in (await api.post("/recurrences/explain", why)).json()["reason"]


@pytest.mark.parametrize("path", ["/recurrences/preview", "/events"])
async def test_an_unknown_calendar_is_refused_with_near_names(api, path):
    await put(api, "germany", dates=[])
    more = {"name": "tea", "webhook": "https://example.com/"} if path == "/events" else {}
    answer = await api.post(path, {**DAILY, **more, "calendars": ["germny"]})

    assert (422, "calendars") == (answer.status_code, answer.json()["field"])
    assert "germany" in answer.json()["error"]


async def test_an_event_keeps_its_calendars_until_they_are_cleared(api):
    await put(api, dates=["2027-01-01"])
    event = await create(api, **DAILY, calendars=["team"], roll="following")
    named = (await api.patch(f"/events/{event['id']}", {"name": "coffee"})).json()
    rolled = (await api.patch(f"/events/{event['id']}", {"roll": "preceding"})).json()
    again = (await api.patch(f"/events/{event['id']}", {"calendars": ["team"]})).json()
    cleared = (await api.patch(f"/events/{event['id']}", {"calendars": None})).json()

    assert [(["team"], "following")] * 2 == [(seen["calendars"], seen["roll"]) for seen in (event, named)]
    assert [(["team"], "preceding")] * 2 == [(seen["calendars"], seen["roll"]) for seen in (rolled, again)]
    assert ([], "skip") == (cleared["calendars"], cleared["roll"])
    refused = await api.patch(f"/events/{event['id']}", {"roll": "nearest"})
    assert (422, "roll") == (refused.status_code, refused.json()["field"])


async def test_many_events_are_judged_each_by_its_calendars(api):
    await put(api, dates=[])
    tea = {"name": "tea", "webhook": "https://example.com/", **DAILY}
    body = {"events": [{**tea, "calendars": ["team"]}, {**tea, "calendars": ["tea"]}]}

    assert [201, 422] == [one["status"] for one in (await api.post("/events/bulk", body)).json()["results"]]


async def test_a_calendar_in_use_is_not_deleted(api):
    await put(api, dates=[])
    event = await create(api, **DAILY, calendars=["team"])
    refused = await api.delete("/calendars/team")

    assert 409 == refused.status_code
    assert event["id"] in refused.json()["error"]
    await api.delete(f"/events/{event['id']}")
    assert 204 == (await api.delete("/calendars/team")).status_code


async def test_events_follow_a_calendar_that_changes(api):
    await put(api, dates=[])
    event = await create(api, schedule="FREQ=HOURLY", start_time="2026-03-01T12:30:00Z", calendars=["team"])
    other = await create(api, schedule="FREQ=HOURLY")
    day = (await open_of(api, event))[0]["scheduled_at"][:10]
    await put(api, dates=[day])
    after = await event_of(api, event)
    await put(api, dates=[day])

    assert (2, 1) == (after["version"], (await event_of(api, other))["version"])
    assert not [one for one in await open_of(api, event) if one["scheduled_at"].startswith(day)]
    assert after == await event_of(api, event)
    assert "event.updated" == (await audit_of(api, event))[0][0]


async def test_an_event_that_would_never_happen_keeps_what_it_had_and_stops_no_other(api):
    await put(api, dates=[])
    alone = await create(api, schedule="FREQ=DAILY;COUNT=1", start_time="2026-06-01T09:00:00Z", calendars=["team"])
    daily = await create(api, **DAILY, calendars=["team"])
    await put(api, dates=["2026-06-01"])

    assert (1, 2) == ((await event_of(api, alone))["version"], (await event_of(api, daily))["version"])
