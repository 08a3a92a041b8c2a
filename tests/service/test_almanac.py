"""Calendars that keep up by themselves: a followed file, the holidays of a country, and the events that name them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from qhronos.almanac import LEAST_RETRY, SETTLED, Almanac
from qhronos.http import Client, Egress
from tests.fakes import Answer
from tests.service.api import CONFIG, open_api, open_deps
from tests.service.events import create, event_of, execute, query

DAY = 86_400
# The clock of the tests stands on Sunday, 1 March 2026, at 12:00.
DAILY = {"schedule": "FREQ=DAILY", "start_time": "2026-03-01T12:30:00Z", "calendars": ["team"]}


def file(*days: str, head: str = "") -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{day}\r\nDTSTART;VALUE=DATE:{day.replace('-', '')}\r\nEND:VEVENT\r\n" for day in days
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{head}{events}END:VCALENDAR\r\n".encode()


@pytest.fixture
async def api(database, redis_url, redis_prefix, clock):
    config = msgspec.structs.replace(CONFIG, http=msgspec.structs.replace(CONFIG.http, egress_allow=["127.0.0.0/8"]))
    async with open_deps(database, redis_url, redis_prefix, clock, config) as deps, open_api(deps) as opened:
        yield opened


@pytest.fixture
async def almanac(api, clock):
    client = Client(Egress(["127.0.0.0/8"]), clock)
    yield Almanac(api.deps.changes, client, clock)
    await client.close()


async def follow(api, receiver, *days, headers=(), path="/private-token/basic.ics", **more):
    receiver.answer = lambda _: Answer(body=file(*days), headers=dict(headers))
    answer = await api.put("/calendars/team", {"url": f"{receiver.url}{path}", **more})
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def shown(api, name="team"):
    return (await api.get(f"/calendars/{name}")).json()


async def run(almanac):
    while await almanac.tick() == 0:
        pass


async def next_of(api, event):
    return (await event_of(api, event))["next_due_at"][:10]


async def test_a_file_is_uploaded(api):
    text = file("2026-03-01", "2026-12-24").decode()

    made = (await api.put("/calendars/team", {"ics": text})).json()

    assert (["2026-03-01", "2026-12-24"], "2026-12-31", []) == (made["dates"], made["known_until"], made["weekend"])
    assert (None, None, None) == (made["url"], made["fetched_at"], made["next_fetch_at"])
    event = await create(api, **DAILY)
    assert "2026-03-02" == await next_of(api, event)


async def test_a_file_that_cannot_be_understood_is_refused(api):
    answer = await api.put("/calendars/team", {"ics": "BEGIN:VCALENDAR\nEND:VCALENDAR"})

    assert (422, "ics") == (answer.status_code, answer.json()["field"])
    assert "no event" in answer.json()["error"]


async def test_an_address_is_read_at_once_and_shown_without_what_may_be_a_secret(api, receiver, clock):
    made = await follow(api, receiver, "2026-03-01")

    assert (["2026-03-01"], f"{receiver.url}/…") == (made["dates"], made["url"])
    assert ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z") == (made["fetched_at"], made["next_fetch_at"])
    everything = [made, await shown(api), (await api.get("/calendars")).json(), (await api.get("/audit")).json()]
    assert "private-token" not in str(everything)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(404), "url: answers with HTTP 404"),
        (Answer(301, {"location": "/"}), "url: answers with a redirect"),
        (Answer(body=b"<html>"), "url: ics: "),
        (Answer(body=b"x" * (1024 * 1024 + 1)), "url: the file is longer than 1048576 bytes"),
    ],
)
async def test_an_address_that_gives_no_calendar_is_refused(api, receiver, answer, told):
    receiver.answer = lambda _: answer

    refused = await api.put("/calendars/team", {"url": receiver.url})

    assert (422, "url") == (refused.status_code, refused.json()["field"])
    assert refused.json()["error"].startswith(told)
    assert 404 == (await api.get("/calendars/team")).status_code


@pytest.mark.parametrize("url", ["http://10.0.0.1/x.ics", "http://127.0.0.1:1/x.ics", "ftp://example.com/"])
async def test_an_address_that_cannot_be_reached_is_refused(api, url):
    refused = await api.put("/calendars/team", {"url": url})
    assert (422, "url") == (refused.status_code, refused.json()["field"])


async def test_what_has_changed_at_the_address_reaches_the_events(api, receiver, almanac, clock):
    await follow(api, receiver, "2026-03-10")
    event = await create(api, **DAILY)
    assert "2026-03-01" == await next_of(api, event)

    receiver.answer = lambda _: Answer(body=file("2026-03-02", "2026-03-03"))
    await run(almanac)
    assert "2026-03-01" == await next_of(api, event)  # it is not the time yet
    clock.advance(DAY)
    await execute(api, "DELETE FROM pending")
    await run(almanac)

    assert "2026-03-04" == await next_of(api, event)
    assert ["2026-03-02", "2026-03-03"] == (await shown(api))["dates"]


async def test_what_has_not_changed_is_not_sent_again(api, receiver, almanac, clock):
    tags = {"etag": '"7"', "last-modified": "Sun, 01 Mar 2026 11:00:00 GMT"}
    await follow(api, receiver, "2036-03-10", headers=tags)
    receiver.answer = lambda _: Answer(304)
    clock.advance(DAY)

    await run(almanac)

    asked = receiver.requests[-1].headers
    assert ('"7"', tags["last-modified"]) == (asked["if-none-match"], asked["if-modified-since"])
    after = await shown(api)
    assert (["2036-03-10"], None, "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z") == tuple(
        after[name] for name in ("dates", "error", "fetched_at", "next_fetch_at")
    )


async def test_what_its_rules_give_is_extended_even_if_the_file_is_the_same(api, receiver, almanac, clock):
    rule = "BEGIN:VEVENT\r\nUID:r\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n"
    receiver.answer = lambda _: Answer(body=file(head=rule), headers={"etag": '"7"'})
    made = (await api.put("/calendars/team", {"url": receiver.url})).json()
    assert "2036-12-31" == made["known_until"]
    clock.advance(2 * 366 * DAY)

    await run(almanac)

    assert "if-none-match" not in receiver.requests[-1].headers
    assert "2038-12-31" == (await shown(api))["known_until"]


async def test_a_file_says_how_often_it_is_read(api, receiver):
    receiver.answer = lambda _: Answer(body=file("2026-03-10", head="REFRESH-INTERVAL;VALUE=DURATION:PT6H\r\n"))
    made = (await api.put("/calendars/team", {"url": receiver.url})).json()
    assert "2026-03-01T18:00:00Z" == made["next_fetch_at"]


async def test_an_address_that_fails_keeps_what_it_said_and_is_asked_ever_later(api, receiver, almanac, clock):
    await follow(api, receiver, "2026-03-10")
    receiver.answer = lambda _: Answer(500)
    clock.advance(DAY)

    await run(almanac)

    after = await shown(api)
    assert (["2026-03-10"], "url: answers with HTTP 500") == (after["dates"], after["error"])
    assert "2026-03-02T18:00:00Z" == after["next_fetch_at"]  # a quarter of the time that it has failed
    asked = len(receiver.requests)
    await run(almanac)
    assert asked == len(receiver.requests)
    receiver.answer = lambda _: Answer(body=file("2026-03-11"))
    clock.advance(DAY)
    await run(almanac)
    after = await shown(api)
    assert (["2026-03-11"], None) == (after["dates"], after["error"])


async def test_only_one_of_several_asks(api, receiver, almanac, clock):
    await follow(api, receiver, "2026-03-10")
    clock.advance(DAY)

    await asyncio.gather(*[almanac.tick() for _ in range(5)])

    assert 2 == len(receiver.requests)


async def test_what_one_took_and_died_with_is_taken_again(api, receiver, almanac, clock, monkeypatch):
    await follow(api, receiver, "2026-03-10")
    clock.advance(DAY)
    receiver.answer = lambda _: Answer(body=file("2026-03-11"))

    async def die(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr("qhronos.almanac.read_again", die)
        with pytest.raises(asyncio.CancelledError):
            await almanac.tick()
    await run(almanac)
    assert ["2026-03-10"] == (await shown(api))["dates"]
    clock.advance(LEAST_RETRY.total_seconds())
    await run(almanac)
    assert ["2026-03-11"] == (await shown(api))["dates"]


async def test_the_holidays_of_a_country_are_renewed(api, almanac, clock):
    await api.put("/calendars/team", {"country": "DE"})
    clock.advance(366 * DAY)

    await run(almanac)

    assert "2037-12-31" == (await shown(api))["known_until"]


async def test_events_that_a_death_left_behind_follow(api, almanac, clock):
    await api.put("/calendars/team", {"dates": ["2026-05-01"]})
    event = await create(api, **DAILY)
    # As if the process had died between the calendar's commit and its events.
    await execute(api, "UPDATE calendars SET dates = '{2026-03-01}', changed_at = %s, followed_at = NULL", clock.now())

    await run(almanac)

    assert "2026-03-02" == await next_of(api, event)


async def test_an_event_that_was_being_created_meanwhile_follows(api, almanac, clock):
    await api.put("/calendars/team", {"dates": ["2026-05-01"]})
    event = await create(api, **DAILY)
    await api.put("/calendars/team", {"dates": ["2026-03-01"]})
    # It has read the calendar before it was put again, and is committed after everybody was brought along.
    before = '["2026-05-01"]'
    await execute(api, "UPDATE events SET recurrence = jsonb_set(recurrence, '{business,closed}', %s::jsonb)", before)
    await almanac.tick()
    await execute(api, "UPDATE events SET recurrence = jsonb_set(recurrence, '{business,closed}', %s::jsonb)", before)

    clock.advance(SETTLED.total_seconds())
    await run(almanac)

    assert "2026-03-02" == await next_of(api, event)
    assert [(True,)] == await query(api, "SELECT followed_at IS NOT NULL FROM calendars")
    done = await query(api, "SELECT xmin::text FROM events")
    await run(almanac)
    assert done == await query(api, "SELECT xmin::text FROM events")
