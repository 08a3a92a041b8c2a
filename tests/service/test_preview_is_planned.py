"""What a preview shows is what the expander opens: instant for instant, for schedules of every kind."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from qhronos.core.recurrence import clock_changes
from qhronos.expander import Expander
from tests.rows import rows

SPAN = timedelta(days=365)
BERLIN = {"timezone": "Europe/Berlin"}
HOOK = "https://hooks.example.com/"
SCHEDULES = {
    "daily": {"schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", **BERLIN},
    "gap skipped": {"schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "dst": {"gap": "skip"}, **BERLIN},
    "fold second": {"schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "dst": {"fold": "second"}, **BERLIN},
    "fold both": {"schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "dst": {"fold": "both"}, **BERLIN},
    "elapsed": {"schedule": "FREQ=HOURLY;INTERVAL=5", "timezone": "America/New_York"},
    "by the clock": {"schedule": "FREQ=HOURLY;INTERVAL=6", "subdaily": "wall", **BERLIN},
    "half an hour": {"schedule": "FREQ=HOURLY;INTERVAL=7;BYMINUTE=15,45", "timezone": "Australia/Lord_Howe"},
    "last friday": {"schedule": {"frequency": "monthly", "by_day": ["-1FR"], "by_hour": [9, 17]}, **BERLIN},
    "counted": {"schedule": "FREQ=DAILY;INTERVAL=2;COUNT=40", "timezone": "Asia/Kathmandu"},
    "until": {"schedule": "FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20261101", "timezone": "Asia/Gaza"},
    "skip": {"schedule": "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD", **BERLIN},
    "sets": {
        "schedule": {
            "rrule": ["FREQ=WEEKLY;BYDAY=TU", "FREQ=MONTHLY;BYMONTHDAY=1"],
            "rdate": ["2027-02-14T10:00:00"],
            "exdate": ["2026-12-01"],
        },
        **BERLIN,
    },
    "leap": {"schedule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29", "timezone": "UTC"},
    "week numbers": {"schedule": "FREQ=YEARLY;BYWEEKNO=1,20,53;BYDAY=MO", **BERLIN},
    "cron": {"schedule": "30 2 * * SUN", **BERLIN},
    "cron or": {"schedule": "0 9 13 * FRI", **BERLIN},
    "cron last working day": {"schedule": "0 17 LW * *", **BERLIN},
    "interval": {"schedule": {"every": "36h"}, **BERLIN},
    "words": {"schedule": "every weekday at 2:30 except in august", **BERLIN},
    "twice in words": {"schedule": "on the first and third monday of every month at 9 and 17:00", **BERLIN},
    "words by the hour": {"schedule": "every 2 hours on sundays", **BERLIN},
    "calendar text": {
        "schedule": "BEGIN:VEVENT\nDTSTART;TZID=Europe/Berlin:20260301T023000\nRRULE:FREQ=WEEKLY;BYDAY=SU\n"
        "EXRULE:FREQ=MONTHLY;BYDAY=1SU\nEND:VEVENT"
    },
    "once": {"start_time": "2026-03-29T02:30:00", **BERLIN},
}  # fmt: skip


async def planned(api, clock):
    """All that the expander opens, with a look-ahead of nearly a year."""
    settings = msgspec.structs.replace(api.deps.config.scheduler, look_ahead_duration=SPAN, max_open=100_000)
    async with api.deps.database.connection() as conn:
        await conn.execute("UPDATE events SET next_expand_at = %s WHERE next_expand_at IS NOT NULL", (clock.now(),))
    expander = Expander(api.deps.changes.stores, clock, settings)
    async with api.deps.database.connection() as conn:
        while not await expander.tick():
            pass
        return [due for (due,) in await rows(conn, "SELECT due_at FROM pending ORDER BY due_at")]


async def previewed(api, when, since, until):
    found = []
    while True:
        window = {"since": since.isoformat(), "until": until.isoformat(), "limit": 1000}
        shown = (await api.post("/recurrences/preview", {**when, **window})).json()
        found += [one["at"] for one in shown["occurrences"]]
        if shown["complete"]:
            return found
        since = msgspec.convert(found[-1], type(since)) + timedelta(microseconds=1)


@pytest.mark.parametrize("kind", SCHEDULES)
async def test_what_is_previewed_is_planned(api, clock, kind):
    when = SCHEDULES[kind]
    created = (await api.post("/events", {"name": kind, "webhook": HOOK, "tags": [], **when})).json()
    since, until = clock.now(), clock.now() + SPAN
    when = {**when, "start_time": created["start_time"], "timezone": created["timezone"]}

    opened = await planned(api, clock)

    expected = [msgspec.convert(at, type(since)) for at in await previewed(api, when, since, until)]
    assert expected == opened
    assert opened


def test_the_window_holds_both_clock_changes(clock):
    changes = clock_changes("Europe/Berlin", clock.now(), clock.now() + SPAN)

    assert ["2026-03-29", "2026-10-25"] == [f"{change.at:%Y-%m-%d}" for change in changes]
