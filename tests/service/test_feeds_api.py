from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import icalendar
import pytest
import structlog

from qhronos.api import exports, feeds
from qhronos.api.auth import Access
from qhronos.core.ratelimit import limit_of
from tests.service.events import create, execute, picked, query

RULE = {"schedule": "FREQ=WEEKLY;BYDAY=MO,TH", "start_time": "2026-03-02T09:00:00", "timezone": "Europe/Berlin"}


async def made(api, **said):
    token = said.pop("token", None)
    more = {"token": token} if token else {}
    answer = await api.post("/feeds", {"name": "Tea times", **said}, **more)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def read(api, feed, **more):
    return await api.get(urlsplit(feed["url"]).path, token=None, **more)


def shown(answer):
    return icalendar.Calendar.from_ical(answer.content).walk("VEVENT")


async def names(api, feed):
    return {str(event["SUMMARY"]) for event in shown(await read(api, feed))}


async def test_a_feed_shows_the_rule_that_fires(api):
    event = await create(api, **RULE)
    answer = await read(api, await made(api))
    (vevent,) = shown(answer)
    preview = {"schedule": answer.text, "since": "2026-03-02T00:00:00Z", "limit": 30}
    fires = {"schedule": RULE["schedule"], "start_time": event["start_time"], "timezone": "Europe/Berlin"}

    assert (200, "text/calendar; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert "private, max-age=300" == answer.headers["Cache-Control"]
    assert "Europe/Berlin" == vevent["DTSTART"].params["TZID"]
    ours, theirs = [
        (await api.post("/recurrences/preview", asked)).json()["occurrences"]
        for asked in (preview, {**preview, **fires})
    ]
    assert ours == theirs
    assert 30 == len(ours)


async def test_what_is_unchanged_is_not_sent_again(api, clock):
    event, feed = await create(api, **RULE), await made(api)
    first = await read(api, feed)
    tag = {"If-None-Match": f'"other", W/{first.headers["ETag"]}'}

    again = await read(api, feed, headers=tag)
    assert (304, b"", first.headers["ETag"]) == (again.status_code, again.content, again.headers["ETag"])
    assert 304 == (await read(api, feed, headers={"If-None-Match": "*"})).status_code

    await api.post(f"/events/{event['id']}/pause")
    paused = await read(api, feed, headers=tag)
    assert (200, True) == (paused.status_code, paused.headers["ETag"] != first.headers["ETag"])

    clock.advance(timedelta(days=1).total_seconds())
    assert 200 == (await read(api, feed, headers={"If-None-Match": paused.headers["ETag"]})).status_code
    assert paused.headers["Last-Modified"].endswith("GMT")


async def test_the_same_events_on_the_same_day_are_the_same_bytes(api, clock):
    await create(api, **RULE, dst={"gap": "skip"})
    feed = await made(api)
    first = await read(api, feed)
    clock.advance(60)
    second = await read(api, feed)

    assert (first.content, first.headers["ETag"]) == (second.content, second.headers["ETag"])


async def test_a_head_says_the_same_without_the_calendar(api):
    feed = await made(api)
    got, asked = await read(api, feed), await api.send("HEAD", urlsplit(feed["url"]).path, token=None)

    assert (200, b"", got.headers["ETag"]) == (asked.status_code, asked.content, asked.headers["ETag"])


async def test_a_feed_shows_its_tags_within_the_scope_of_whoever_made_it(api):
    for name, tags in {"a": ["mine"], "b": ["mine", "hot"], "c": ["hot"], "d": ["cold", "hot"]}.items():
        await create(api, name=name, tags=tags, start_time="2026-05-01T12:00:00Z")
    mine = api.token(Access.WRITE, "mine")

    assert {"a", "b"} == await names(api, await made(api, token=mine))
    assert {"b"} == await names(api, await made(api, token=mine, tags=["hot", "cold"]))
    assert {"b", "c", "d"} == await names(api, await made(api, tags=["hot", "cold"]))
    assert {"d"} == await names(api, await made(api, tags=["hot", "cold"], tags_match="all"))


async def test_a_revoked_feed_is_gone(api):
    feed = await made(api)

    assert 204 == (await api.delete(f"/feeds/{feed['id']}")).status_code
    answer = await read(api, feed)

    assert (404, "no such feed", "/calendar/********") == (
        answer.status_code,
        *picked(answer.json(), "error", "instance"),
    )
    assert [("feed.revoked",), ("feed.created",)] == await query(api, "SELECT action FROM audit ORDER BY id DESC")


async def test_a_revoked_token_takes_its_feeds_along(api):
    minted = (await api.post("/tokens", {"sub": "ada", "access": "admin", "expires_in": 60})).json()
    feed = await made(api, token=minted["token"])
    assert 200 == (await read(api, feed)).status_code

    await api.delete(f"/tokens/{minted['id']}")

    assert 404 == (await read(api, feed)).status_code


@pytest.mark.parametrize("path", ["/calendar/nobody.ics", "/calendar/nobody"])
async def test_an_address_that_nobody_made_is_not_there(api, path):
    assert 404 == (await api.get(path, token=None)).status_code


async def test_feeds_are_listed_to_their_own_and_to_admins_without_their_address(api):
    ada, bob = (api.token(Access.READ_WRITE, "x", sub=sub) for sub in ("ada", "bob"))
    feed = await made(api, token=ada)
    page = (await api.get("/feeds", token=ada)).json()

    assert feed | {"revoked_at": None} == page["data"][0] | {"url": feed["url"]}
    assert [1, 0, 1] == [
        len((await api.get("/feeds", **who)).json()["data"]) for who in ({"token": ada}, {"token": bob}, {})
    ]
    assert 404 == (await api.delete(f"/feeds/{feed['id']}", token=bob)).status_code
    assert 404 == (await api.delete(f"/feeds/{uuid.uuid4()}")).status_code
    assert 204 == (await api.delete(f"/feeds/{feed['id']}", token=ada)).status_code


async def test_the_address_is_kept_and_told_nowhere(api):
    with structlog.testing.capture_logs() as logs:
        feed = await made(api)
        secret = feed["url"].rpartition("/")[2].removesuffix(".ics")
        await read(api, feed)
        await execute(api, "ALTER TABLE feeds RENAME TO elsewhere")
        broken = await read(api, feed)
        await execute(api, "ALTER TABLE elsewhere RENAME TO feeds")
    kept = await query(api, "SELECT f::text FROM feeds AS f UNION ALL SELECT a::text FROM audit AS a")
    metrics = await api.get("/metrics", token=None)

    assert 43 == len(secret)
    assert 500 == broken.status_code
    assert {"request.handled", "request.broke"} == {line["event"] for line in logs}
    assert not [text for text in (str(logs), str(kept), metrics.text, broken.text) if secret in text]


async def test_of_too_many_events_the_newest_are_shown_and_it_is_said(api, clock, monkeypatch):
    for module in (exports, feeds):
        monkeypatch.setattr(module, "MOST", 2)
    for name in "abc":
        await create(api, name=name, start_time="2026-05-01T12:00:00Z")
        clock.advance(1)
    answer = await read(api, await made(api))

    assert {"b", "c"} == {str(event["SUMMARY"]) for event in shown(answer)}
    assert "Tea times (the newest 2 events)" in answer.text


async def test_whoever_asks_too_often_waits(api, monkeypatch):
    feed = await made(api)
    monkeypatch.setattr(api.deps.limiter, "_limit", limit_of(0.001, 1))
    answers = [await read(api, feed) for _ in range(2)]

    assert [200, 429] == [answer.status_code for answer in answers]
    assert "Retry-After" in answers[1].headers


async def test_a_feed_shows_what_was_skipped_and_moved(api, clock):
    event = await create(api, **RULE)
    feed = await made(api)
    first = await read(api, feed)
    due = [one["at"] for one in (await preview(api, event))["occurrences"]]
    clock.advance(1)
    await api.post(f"/events/{event['id']}/skip", {"scheduled_at": due[2]})
    move_to = due[3][:11] + "23:30:00Z"
    answer = await api.post(f"/events/{event['id']}/override", {"scheduled_at": due[3], "move_to": move_to})
    assert 200 == answer.status_code, answer.text

    second = await read(api, feed)

    assert first.headers["ETag"] != second.headers["ETag"]
    series, moved = shown(second)
    assert datetime.fromisoformat(due[2]) == series["EXDATE"].dts[0].dt
    assert datetime.fromisoformat(due[3]) == moved["RECURRENCE-ID"].dt
    assert datetime.fromisoformat(move_to) == moved["DTSTART"].dt

    clock.advance(1)
    await api.post(f"/events/{event['id']}/skip", {"scheduled_at": due[3]})
    third = await read(api, feed)
    (series,) = shown(third)
    assert "EXDATE" in series

    clock.advance(1)
    other = {"scheduled_at": due[4], "move_to": due[4][:11] + "23:30:00Z"}
    opened = (await api.post(f"/events/{event['id']}/override", other)).json()
    third = await read(api, feed)
    clock.advance(1)
    await api.post(f"/occurrences/{opened['id']}/cancel")
    fourth = await read(api, feed)
    assert third.headers["ETag"] != fourth.headers["ETag"]
    await api.post(f"/occurrences/{opened['id']}/replay")
    clock.advance(1)
    assert fourth.content != (await read(api, feed)).content


async def preview(api, event):
    asked = {"schedule": RULE["schedule"], "start_time": event["start_time"], "timezone": "Europe/Berlin"}
    return (await api.post("/recurrences/preview", {**asked, "limit": 5})).json()
