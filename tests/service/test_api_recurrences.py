from __future__ import annotations

import pytest

NEW_YORK = {
    "schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
    "start_time": "2027-03-13T02:30:00",
    "timezone": "America/New_York",
}


async def preview(api, **asked) -> dict:
    response = await api.post("/recurrences/preview", asked)
    assert 200 == response.status_code, response.text
    return response.json()


def instants(answer: dict) -> list[str]:
    return [occurrence["at"] for occurrence in answer["occurrences"]]


async def test_a_preview_shows_the_rule_its_words_and_its_instants(api):
    answer = await preview(api, **NEW_YORK, limit=3)

    assert {
        "dtstart": "2027-03-13T02:30:00",
        "timezone": "America/New_York",
        "rrule": ["FREQ=DAILY;BYHOUR=2;BYMINUTE=30"],
        "rdate": [],
        "exdate": [],
    } == answer["recurrence"]
    assert "02:30" in answer["words"]
    assert ["2027-03-13T07:30:00Z", "2027-03-14T07:30:00Z", "2027-03-15T06:30:00Z"] == instants(answer)
    assert not answer["complete"]
    assert [] == answer["warnings"]


async def test_clock_changes_are_marked_and_told(api):
    answer = await preview(api, **NEW_YORK, limit=3)

    assert ["normal", "gap_shifted", "normal"] == [occurrence["mark"] for occurrence in answer["occurrences"]]
    assert {
        "at": "2027-03-14T07:30:00Z",
        "local": "2027-03-14T03:30:00-04:00",
        "mark": "gap_shifted",
        "note": "02:30 does not exist that day, so it happens at 03:30",
    } == answer["occurrences"][1]
    assert [{"at": "2027-03-14T07:00:00Z", "before": "-05:00", "after": "-04:00"}] == answer["clock_changes"]


async def test_the_hour_that_comes_twice_is_shown_as_chosen(api):
    autumn = {
        "schedule": "FREQ=DAILY",
        "start_time": "2027-11-07T01:30:00",
        "timezone": "America/New_York",
        "until": "2027-11-08T00:00:00Z",
    }
    answers = {fold: await preview(api, **autumn, dst={"fold": fold}) for fold in ("first", "second", "both")}

    assert {
        "first": [("2027-11-07T05:30:00Z", "fold_first")],
        "second": [("2027-11-07T06:30:00Z", "fold_second")],
        "both": [("2027-11-07T05:30:00Z", "fold_first"), ("2027-11-07T06:30:00Z", "fold_second")],
    } == {
        fold: [(occurrence["at"], occurrence["mark"]) for occurrence in answer["occurrences"]]
        for fold, answer in answers.items()
    }


async def test_the_window_begins_with_the_event_and_includes_its_start(api):
    answer = await preview(api, schedule="FREQ=HOURLY", start_time="1997-01-01T00:00:00Z")

    assert 10 == len(instants(answer))
    assert "1997-01-01T00:00:00Z" == instants(answer)[0]


async def test_a_window_is_half_open_and_may_be_whole(api):
    asked = {"schedule": "FREQ=HOURLY", "start_time": "2026-03-01T00:00:00Z"}
    answer = await preview(api, **asked, since="2026-03-01T05:00:00Z", until="2026-03-01T07:00:00Z")

    assert ["2026-03-01T05:00:00Z", "2026-03-01T06:00:00Z"] == instants(answer)
    assert answer["complete"]


async def test_a_rule_that_ends_is_shown_whole(api):
    answer = await preview(api, schedule="FREQ=DAILY;COUNT=2", start_time="2026-03-01T00:00:00Z")

    assert 2 == len(instants(answer))
    assert answer["complete"]


async def test_without_anything_it_happens_once_and_now(api, clock):
    answer = await preview(api)

    assert [clock.now().isoformat().replace("+00:00", "Z")] == instants(answer)
    assert answer["complete"]


async def test_the_json_schedule_of_the_first_qhronos_is_read_with_interval_left_out(api):
    answer = await preview(api, schedule={"frequency": "daily"}, start_time="2026-03-01T09:00:00Z", limit=2)

    assert ["2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z"] == instants(answer)


async def test_what_creation_would_refuse_is_a_warning(api):
    never = {"schedule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "start_time": "2026-03-01T00:00:00Z"}

    answer = await preview(api, **never)

    assert [] == instants(answer)
    assert "never" in answer["warnings"][0]

    event = {"name": "never", "webhook": "https://example.com/", **never}
    assert 422 == (await api.post("/events", event)).status_code


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"schedule": "every blue moon"}, "schedule"),
        ({"schedule": "FREQ=DAILY;INTERVAL=0"}, "schedule"),
        ({"schedule": {"frequency": "daily", "colour": "red"}}, "schedule.colour"),
        ({"schedule": 7}, "schedule"),
        ({"timezone": "Europe/Berlim"}, "timezone"),
        ({"since": "2026-03-01T00:00:00"}, "since"),
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-02T00:00:00Z"}, "until"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_field(api, asked, field):
    response = await api.post("/recurrences/preview", asked)

    assert (422, field) == (response.status_code, response.json()["field"])


@pytest.mark.parametrize("year", ["0001", "1800", "9999"])
async def test_the_ends_of_the_calendar_break_nothing(api, year):
    for path in ("/recurrences/preview", "/recurrences/explain"):
        for asked in (
            {"start_time": f"{year}-12-31T23:59:59Z", "timezone": "Pacific/Kiritimati"},
            {"start_time": f"{year}-01-01T00:00:00Z", "timezone": "America/Adak", "schedule": "FREQ=DAILY"},
            {"start_time": f"{year}-01-01T00:00:00", "timezone": "Asia/Tokyo", "schedule": "FREQ=SECONDLY"},
        ):
            window = {"since": f"{year}-12-31T00:00:00+14:00"} if "preview" in path else {}
            instant = {"instant": f"{year}-12-31T23:59:59-12:00"} if "explain" in path else {}
            response = await api.post(path, {**asked, **window, **instant})

            assert response.status_code in (200, 422), response.text


async def test_an_instant_is_explained_with_its_neighbours(api):
    asked = {**NEW_YORK, "instant": "2027-03-14T07:30:00Z"}
    answer = (await api.post("/recurrences/explain", asked)).json()

    assert answer["included"]
    assert "does not exist" in answer["reason"]
    assert {"at": "2027-03-13T07:30:00Z", "local": "2027-03-13T02:30:00-05:00"} == answer["before"]
    assert {"at": "2027-03-15T06:30:00Z", "local": "2027-03-15T02:30:00-04:00"} == answer["after"]


async def test_what_is_no_occurrence_is_explained_too(api):
    answer = (await api.post("/recurrences/explain", {**NEW_YORK, "instant": "2027-03-14T08:00:00Z"})).json()

    assert not answer["included"]
    assert answer["reason"]


async def test_time_zones_are_listed_with_their_version(api):
    answer = (await api.get("/timezones")).json()

    assert {"Europe/Berlin", "UTC"} <= set(answer["data"])
    assert answer["tzdata"].startswith("20")
