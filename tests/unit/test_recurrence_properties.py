"""What holds for every rule. Hypothesis searches for one for which it does not."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qhronos.core.recurrence import (
    STEPS,
    ClockChange,
    Dst,
    Fold,
    Gap,
    Instant,
    Mark,
    Recurrence,
    Subdaily,
    check,
    clock_changes,
    describe,
    expand,
    explain,
    is_settled,
    local,
    parse,
    settle,
    start,
    to_text,
)
from qhronos.core.recurrence import zone as of_zone
from qhronos.core.recurrence.expansion import spend
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import NUMBERS, WEEKDAYS
from qhronos.errors import Invalid
from tests import hostile
from tests.hostile import RULES, TEN

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
SUBDAILY = FREQUENCIES[4:]
FORBIDDEN = {
    "BYWEEKNO": FREQUENCIES[1:],
    "BYYEARDAY": FREQUENCIES[1:4],
    "BYMONTHDAY": ("WEEKLY",),
}

settings.register_profile(
    "calendar", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
CALENDAR = settings.get_profile("calendar")


def examples(usual: int) -> int:
    """As many as QHRONOS_TEST_EXAMPLES asks for, if it does; `make properties` asks for many."""
    return int(os.environ.get("QHRONOS_TEST_EXAMPLES", usual))


@st.composite
def numbers(draw, part):
    kind = NUMBERS[part]
    values = draw(st.lists(st.integers(kind.low, kind.high), min_size=1, max_size=4, unique=True))
    signs = draw(st.sampled_from([1, -1] if kind.signed else [1]))
    return ",".join(str(value * signs) for value in values)


@st.composite
def weekdays(draw, numbered):
    days = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True))
    nth = st.sampled_from(["", "", "1", "2", "-1"] if numbered else [""])
    return ",".join(draw(nth) + day for day in days)


@st.composite
def rules(draw, frequencies=FREQUENCIES):
    """Any rule that the RFC allows, without its end."""
    freq = draw(st.sampled_from(frequencies))
    parts = {"FREQ": freq}
    if draw(st.booleans()):
        parts["INTERVAL"] = str(draw(st.integers(1, 40)))
    allowed = [part for part in NUMBERS if part != "BYSETPOS" and freq not in FORBIDDEN.get(part, ())]
    for part in draw(st.lists(st.sampled_from(allowed), max_size=3, unique=True)):
        parts[part] = draw(numbers(part))
    if draw(st.booleans()):
        parts["BYDAY"] = draw(weekdays(freq in FREQUENCIES[:2] and "BYWEEKNO" not in parts))
    if len(parts) > 2 and draw(st.integers(0, 3)) == 0:
        parts["BYSETPOS"] = draw(st.sampled_from(["1", "-1", "1,-1", "2", "-3,4"]))
        assume(any(part.startswith("BY") and part != "BYSETPOS" for part in parts))
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(WEEKDAYS))
    return ";".join(f"{part}={value}" for part, value in parts.items())


ANY_RULES = rules()
starts = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)).map(lambda when: when.replace(microsecond=0))  # noqa: DTZ001 - wall time
policies = st.builds(Dst, gap=st.sampled_from(list(Gap)), fold=st.sampled_from(list(Fold)))


@st.composite
def recurrences(draw, texts=ANY_RULES):
    lines = draw(st.lists(texts, min_size=1, max_size=2))
    return parse(
        {"rrule": lines, "rdate": draw(dates), "exdate": draw(dates)},
        now=NOW,
        start_time=draw(starts),
        timezone=draw(st.sampled_from(ZONES)),
        dst=draw(policies),
        subdaily=draw(st.sampled_from(list(Subdaily))),
    )


dates = st.lists(starts.map(datetime.isoformat) | starts.map(lambda when: f"{when.isoformat()}Z"), max_size=2)


def all_of(
    recurrence: Recurrence, since: datetime, until: datetime, *, limit: int = 10_000, steps: int = STEPS
) -> list[Instant]:
    """Pass after pass."""
    found: list[Instant] = []
    for _ in range(400):
        expansion = expand(recurrence, since, until, limit, steps)
        found += expansion.instants
        if expansion.complete:
            return found
        assert expansion.covered > since or expansion.instants == ()
        since = expansion.covered
    assume(False)
    raise AssertionError


@settings(CALENDAR, max_examples=examples(60))
@given(recurrence=recurrences(), cuts=st.lists(st.integers(0, 400 * 86_400), min_size=3, max_size=3))
def test_windows_that_meet_neither_lose_nor_repeat_an_instant(recurrence, cuts):
    first, middle, last = (start(recurrence) + timedelta(seconds=cut) for cut in sorted(cuts))
    last = min(last, first + 5 * DAY) if any(f"FREQ={freq}" in "".join(recurrence.rrule) for freq in SUBDAILY) else last
    middle = min(middle, last)
    whole = expand(recurrence, first, last, 2000)
    assume(whole.complete)

    parts = [expand(recurrence, first, middle, 2000), expand(recurrence, middle, last, 2000)]
    assert list(whole.instants) == [instant for part in parts for instant in part.instants]


@settings(CALENDAR, max_examples=examples(40))
@given(recurrence=recurrences(), days=st.integers(0, 500), steps=st.integers(1, 300), limit=st.integers(1, 7))
def test_neither_a_small_budget_nor_a_small_limit_changes_the_set(recurrence, days, steps, limit):
    since = start(recurrence) + days * DAY
    whole = expand(recurrence, since, since + 2 * DAY, 500)
    assume(whole.complete)

    assert list(whole.instants) == all_of(recurrence, since, since + 2 * DAY, limit=limit)
    assert list(whole.instants) == all_of(recurrence, since, since + 2 * DAY, steps=steps * 50)


@settings(CALENDAR, max_examples=examples(60))
@given(recurrence=recurrences(), days=st.integers(-3, 500))
def test_instants_are_in_order_within_the_window_and_shown_by_the_local_clock(recurrence, days):
    since = start(recurrence) + days * DAY
    found = expand(recurrence, since, since + 300 * DAY, 300).instants
    at = [instant.at for instant in found]

    assert at == sorted(set(at))
    assert all(since <= one < since + 300 * DAY for one in at)
    for instant in found:
        shown = local(recurrence, instant.at)
        assert (instant.wall == shown.replace(tzinfo=None)) == (instant.mark is not Mark.GAP_SHIFTED)
        assert bool(shown.fold) == (instant.mark is Mark.FOLD_SECOND)


@settings(CALENDAR, max_examples=examples(80))
@given(text=rules(), begins=starts, days=st.integers(0, 300))
def test_a_window_holds_what_iterating_from_the_start_gives(text, begins, days):
    """python-dateutil is the oracle, in UTC, where it is right; it is only asked for what it need not search long."""
    assume(dateutil_is_right(text))
    recurrence = parse(text, now=NOW, start_time=begins, timezone="UTC")
    since = start(recurrence) + days * DAY
    found = [one.at.replace(tzinfo=None) for one in expand(recurrence, since, since + 500 * DAY, 20).instants]
    assume(found)
    before = expand(recurrence, start(recurrence), since, 2000)
    assume(before.complete)

    try:
        from_the_start = rrulestr(text if "WKST" in text else f"{text};WKST=MO", dtstart=begins)
        expected = list(itertools.islice(from_the_start, len(before.instants) + len(found)))
    except ValueError:  # it takes exception to a rule that gives nothing
        assume(False)
    assert expected[len(before.instants) :] == found


@settings(CALENDAR, max_examples=examples(50))
@given(text=rules(FREQUENCIES[:4]), begins=starts, days=st.integers(0, 300), zone=st.sampled_from(ZONES))
def test_wall_time_in_a_zone_is_what_zoneinfo_makes_of_it(text, begins, days, zone):
    assume(dateutil_is_right(text))
    recurrence = parse(text, now=NOW, start_time=begins, timezone=zone)
    since = start(recurrence) + days * DAY
    found = [one.at for one in expand(recurrence, since, since + 300 * DAY, 40).instants]
    assume(found)

    walls = rrulestr(text if "WKST" in text else f"{text};WKST=MO", dtstart=begins)
    until = found[-1].replace(tzinfo=None) + 2 * DAY
    instants = {wall.replace(tzinfo=of_zone(zone)).astimezone(UTC) for wall in itertools.takewhile(until.__gt__, walls)}
    assert sorted(at for at in instants if since <= at <= found[-1]) == found


@settings(CALENDAR, max_examples=examples(40))
@given(data=st.data(), begins=starts, zone=st.sampled_from(ZONES))
def test_real_time_is_what_a_look_at_every_minute_finds(data, begins, zone):
    """Around the clock changes that come after the start."""
    begins = begins.replace(second=0)
    interval, asked = data.draw(st.integers(1, 40)), data.draw(st.sets(st.sampled_from(["BYHOUR", "BYMINUTE"])))
    by = {part: data.draw(numbers(part)) for part in sorted(asked)}
    text = ";".join([f"FREQ=MINUTELY;INTERVAL={interval}", *(f"{part}={values}" for part, values in by.items())])
    recurrence = parse(text, now=NOW, start_time=begins, timezone=zone)
    allowed = {part: set(map(int, values.split(","))) for part, values in by.items()}
    began = start(recurrence)
    changes = clock_changes(zone, began, began + 400 * DAY) or [ClockChange(began, 0 * DAY, 0 * DAY)]
    since = max(began, changes[0].at - DAY / 4)

    minutes = (since + timedelta(minutes=n) for n in range(12 * 60))
    expected = [at for at in minutes if is_in(at, began, interval, allowed, zone)]
    assert expected == [one.at for one in expand(recurrence, since, since + DAY / 2, 1000).instants]


def is_in(at: datetime, began: datetime, interval: int, allowed: dict[str, set[int]], zone: str) -> bool:
    shown = at.astimezone(of_zone(zone))
    hour, minute = allowed.get("BYHOUR", {shown.hour}), allowed.get("BYMINUTE", {shown.minute})
    return (at - began) % timedelta(minutes=interval) == 0 * DAY and shown.hour in hour and shown.minute in minute


def dateutil_is_right(text: str) -> bool:
    parts = dict(part.split("=") for part in text.split(";"))
    days = parts.get("BYDAY", "").split(",")
    mixed = len({len(day) > 2 for day in days}) > 1
    own_month = (
        parts["FREQ"] == "YEARLY" and "BYMONTHDAY" in parts and not {"BYMONTH", "BYDAY", "BYYEARDAY"} & set(parts)
    )
    weekly_position = parts["FREQ"] == "WEEKLY" and "BYSETPOS" in parts
    leap_second = "60" in parts.get("BYSECOND", "").split(",")
    slow = parts["FREQ"] == "SECONDLY" and {"BYHOUR", "BYMINUTE"} & set(parts)
    return not (mixed or own_month or weekly_position or leap_second or slow or "BYWEEKNO" in parts)


@settings(CALENDAR, max_examples=examples(40))
@given(text=rules(), begins=starts, zone=st.sampled_from(ZONES), dst=policies, count=st.integers(1, 12))
def test_count_ends_a_rule_after_so_many(text, begins, zone, dst, count):
    said = {"now": NOW, "start_time": begins, "timezone": zone, "dst": dst}
    endless, counted = parse(text, **said), parse(f"{text};COUNT={count}", **said)
    since = start(endless)
    first = expand(endless, since, None, count).instants
    assume(len(first) == count)

    assert first == expand(counted, since, None, count + 1).instants
    assert first == expand(settle(counted), since, None, count + 1).instants


@settings(CALENDAR, max_examples=examples(40))
@given(recurrence=recurrences())
def test_what_is_printed_reads_back_as_the_same(recurrence):
    again = parse(
        to_text(recurrence), now=NOW, dst=recurrence.dst, subdaily=recurrence.subdaily, timezone=recurrence.timezone
    )

    assert recurrence == again
    assert describe(recurrence) == describe(again)


@settings(CALENDAR, max_examples=examples(25))
@given(recurrence=recurrences(rules(FREQUENCIES[:4])), index=st.integers(0, 5))
def test_an_instant_of_the_set_is_explained_as_one_with_its_neighbours(recurrence, index):
    found = [instant.at for instant in expand(recurrence, start(recurrence) - 800 * DAY, None, 8).instants]
    assume(len(found) > index + 1 and found[index + 1] - found[0] < 3600 * DAY)
    explanation = explain(recurrence, found[index])

    assert explanation.included
    assert found[index + 1] == explanation.after
    assert (found[index - 1] if index else None) == explanation.before


@settings(CALENDAR, max_examples=examples(25))
@given(recurrence=recurrences(), seconds=st.integers(-86_400, 40 * 86_400))
def test_any_instant_is_explained_as_the_engine_has_it(recurrence, seconds):
    instant = start(recurrence) + timedelta(seconds=seconds)
    explanation = explain(recurrence, instant)

    assert explanation.included == bool(expand(recurrence, instant, instant + timedelta(seconds=1), 1).instants)
    assert explanation.reason


@settings(CALENDAR, max_examples=examples(200))
@given(text=st.text(alphabet="FREQ=DAILYMONTHWEKS;,:-+0123456789BUPSZ\n T", max_size=60) | st.text(max_size=20))
def test_no_text_is_worse_than_refused(text):
    try:
        recurrence = parse(text, now=NOW)
    except Invalid as refusal:
        field = refusal.field
    else:
        field = "schedule" if expand(recurrence, NOW, None, 1) else None

    assert field in {"schedule", "timezone", "start_time"}


# A stream looks at most at one period between two answers, and an hour may hold 3,600 positions.
OVERSHOOT = 8_000


@pytest.mark.parametrize("rule", RULES)
def test_a_hostile_rule_ends_with_its_steps(rule):
    recurrence = parse(rule, now=NOW, start_time=datetime(2016, 2, 29), timezone="Australia/Lord_Howe")  # noqa: DTZ001 - wall time
    since = start(recurrence)
    steps = Steps(STEPS)
    expansion = spend(steps, recurrence, since, None, 1_000_000)
    counted = settle(recurrence)

    assert steps.left > -OVERSHOOT
    assert expansion.covered > since
    assert counted.counted == () or counted.counted != recurrence.counted


@pytest.mark.parametrize("rule", RULES)
def test_a_hostile_rule_is_let_in_or_refused_but_never_an_error(rule):
    recurrence = parse(rule, now=NOW, start_time=datetime(2016, 2, 29), timezone="Europe/Berlin")  # noqa: DTZ001 - wall time
    try:
        check(recurrence, NOW)
        verdict = ": happens"
    except Invalid as refusal:
        verdict = str(refusal)

    assert ": never happens" in verdict or ": happens" in verdict
    assert explain(recurrence, NOW).reason


def test_ten_hostile_rules_at_once_share_the_steps():
    recurrence = parse({"rrule": TEN}, now=NOW)
    steps = Steps(STEPS)
    expansion = spend(steps, recurrence, NOW, None, 1_000_000)

    assert steps.left > -10 * OVERSHOOT
    assert not expansion.complete


@pytest.mark.parametrize(("what", "recurrence"), list(hostile.recurrences()), ids=lambda one: str(one)[:40])
def test_no_hostile_recurrence_spends_more_than_it_may_or_stands_still(what, recurrence):
    windows = [(start(recurrence), None, 1_000_000), (NOW, None, 1), (NOW, NOW + DAY, 1000)]
    for since, until, limit in windows if is_settled(recurrence) else windows[:1]:  # a COUNT is walked from its start
        steps = Steps(STEPS)
        found = spend(steps, recurrence, since, until, limit)
        assert steps.left > -10 * OVERSHOOT, what
        assert found.complete or found.covered > since or len(found.instants) == limit, what
