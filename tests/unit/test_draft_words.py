from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qhronos.config import Scheduler
from qhronos.engine.draft import Fields, merge, prepare, recurrence_of

NOW = datetime(2026, 11, 27, 10, 0, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize("edit", [Fields(name="other"), Fields(timezone="Europe/Berlin")])
def test_an_edit_of_something_else_does_not_read_relative_words_again(edit):
    action = msgspec.Raw(b'{"type": "webhook", "params": {"endpoint": "https://example.com/"}}')
    event = prepare(Fields(name="one", action=action, schedule="in 90 minutes"), NOW, Scheduler()).event
    edited, _ = merge(event, edit, LATER, Scheduler().min_period)

    assert NOW + timedelta(minutes=90) == event.start_time == edited.start_time
    assert b'"in 90 minutes"' == bytes(edited.schedule)
    assert () == recurrence_of(edited).rrule


def test_new_words_are_read_when_they_are_said():
    action = msgspec.Raw(b"{}")
    event = prepare(Fields(name="one", action=action, schedule="in 90 minutes"), NOW, Scheduler()).event
    edited, _ = merge(event, Fields(schedule="in 2 hours"), LATER, Scheduler().min_period)

    assert LATER + timedelta(hours=2) == edited.start_time
