"""Whatever is sent as a schedule is understood or refused with its field: no other error, and nothing without end."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import STEPS, Recurrence, Steps, describe, explain, parse, spend, start, to_text
from qhronos.errors import Invalid

NOW = datetime(2026, 11, 27, tzinfo=UTC)
# A stream looks at most at one period between two answers.
OVERSHOOT = 80_000
SETTINGS = settings(
    deadline=None,
    max_examples=int(os.environ.get("QHRONOS_TEST_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
KEYS = """
    frequency interval count until by_day by_month by_month_day by_hour by_minute by_second by_set_pos by_week_no by_year_day
    week_start rdate exdate rrule dtstart timezone every interval_seconds cron text words day_of_week skip
""".split()  # noqa: SIM905 - easier to read
WORDS = ["daily", "weekly", "MO", "-1FR", "5m", "* * * * *", "2026-11-28T09:00:00", "2026-11-28", "Europe/Berlin", "x"]
SAMPLES = [
    "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9,17;BYMINUTE=0;COUNT=5",
    "RRULE:FREQ=YEARLY;RSCALE=GREGORIAN;SKIP=FORWARD;BYMONTH=2;BYMONTHDAY=29",
    "DTSTART;TZID=Europe/Berlin:20261128T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20271231\nEXDATE:20261130T080000Z",
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261128\nRRULE:FREQ=DAILY;INTERVAL=2\nEND:VEVENT\nEND:VCALENDAR",
    "*/5 9-17 * * MON-FRI",
    "0 0 9 L * ?",
    "CRON_TZ=Asia/Tokyo 30 4 1,15 * 5#2",
    "@every 1h30m",
    "every first friday of month at 9am",
    "every weekday at 2:30pm except 25 december 2026 until june 2027",
    "every 5 minutes between 9:00 and 17:00 on weekdays",
    "in 90 minutes",
    '{"frequency": "weekly", "by_day": ["MO", "TU"], "interval": 2, "until": "2027-01-01"}',
    '{"rrule": ["FREQ=DAILY", "FREQ=WEEKLY"], "rdate": ["2026-12-24T10:00:00Z"], "exdate": ["2026-12-25"]}',
    '{"every": "1h30m"}',
]

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*WORDS, *SAMPLES])
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def mutations(draw):
    """A sample with pieces of itself, of another or of anything cut out, doubled or put in."""
    text = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        other = draw(st.sampled_from(SAMPLES))
        piece = draw(
            st.sampled_from(
                [
                    "",
                    text[first:last] * 2,
                    other[: last - first],
                    "0",
                    "-",
                    ",",
                    "99999999999",
                    "\u0661",
                    "\0",
                    "\u066b",
                ]
            )
            | st.text(max_size=3)
        )
        text = text[:first] + piece + text[last:]
    return text


def understood(schedule: object) -> Recurrence | None:
    try:
        return parse(schedule, now=NOW)
    except Invalid as refusal:
        field, told = refusal.field, str(refusal)
    assert field
    assert told
    return None


def holds(recurrence: Recurrence) -> None:
    steps = Steps(STEPS)
    spend(steps, recurrence, NOW, NOW + timedelta(days=800), 50)
    assert steps.left > -OVERSHOOT
    assert explain(recurrence, NOW).reason
    assert describe(recurrence)
    assert start(recurrence)
    said = {"dst": recurrence.dst, "subdaily": recurrence.subdaily, "timezone": recurrence.timezone}
    assert parse(to_text(recurrence), now=NOW, **said) == recurrence if not recurrence.vtimezone else True


@SETTINGS
@given(tree=trees)
def test_any_json_is_understood_or_refused(tree):
    if recurrence := understood(tree):
        holds(recurrence)


@SETTINGS
@given(text=mutations())
def test_any_mutation_is_understood_or_refused(text):
    schedule: object = text
    if text.startswith("{"):
        try:
            schedule = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            return
    if recurrence := understood(schedule):
        holds(recurrence)
