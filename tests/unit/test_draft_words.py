from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qhronos.config import Scheduler
from qhronos.engine import draft
from qhronos.engine.draft import Fields, merge, prepare, recurrence_of
from qhronos.errors import Invalid

NOW = datetime(2026, 11, 27, 10, 0, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize("edit", [Fields(name="other"), Fields(timezone="Europe/Berlin")])
def test_an_edit_of_something_else_does_not_read_relative_words_again(edit):
    action = msgspec.Raw(b'{"type": "webhook", "params": {"endpoint": "https://example.com/"}}')
    event = prepare(Fields(name="one", action=action, schedule="in 90 minutes"), NOW, Scheduler(), bytes(10)).event
    edited, _ = merge(event, edit, LATER, Scheduler().min_period)

    assert NOW + timedelta(minutes=90) == event.start_time == edited.start_time
    assert b'"in 90 minutes"' == bytes(edited.schedule)
    assert () == recurrence_of(edited).rrule


def test_new_words_are_read_when_they_are_said():
    action = msgspec.Raw(b"{}")
    event = prepare(Fields(name="one", action=action, schedule="in 90 minutes"), NOW, Scheduler(), bytes(10)).event
    edited, _ = merge(event, Fields(schedule="in 2 hours"), LATER, Scheduler().min_period)

    assert LATER + timedelta(hours=2) == edited.start_time


def test_a_count_that_takes_too_long_is_refused_with_the_remedy(monkeypatch):
    """A client waits for it, and so does whoever is behind it."""
    monkeypatch.setattr(draft, "COUNTING", 3)
    seldom = "FREQ=SECONDLY;INTERVAL=7;BYSECOND=3;COUNT=100000"
    fields = Fields(name="one", action=msgspec.Raw(b"{}"), schedule=seldom, start_time=NOW)

    with pytest.raises(Invalid, match=r"COUNT takes too long to count out.*say UNTIL instead") as refused:
        prepare(fields, NOW, Scheduler(), bytes(10))

    assert "schedule" == refused.value.field
