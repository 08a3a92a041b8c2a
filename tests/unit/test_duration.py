from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhronos.core.duration import parse, spell


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("500ms", 0.5), ("30s", 30), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600), ("1.5h", 5400)],
        *[("42", 42), (42, 42), (0.25, 0.25), (" 5m ", 300), ("0", 0)],
    ],
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert timedelta(seconds=seconds) == parse(text)


@pytest.mark.parametrize("text", ["", "soon", "-5", -5, "5 m", "m5", "5y", True, None, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse(text)


def test_a_duration_beyond_all_clocks_is_refused():
    with pytest.raises(ValueError, match="longer than any clock"):
        parse("99999999999w")


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=20_000)))
def test_what_is_spelled_reads_back(duration):
    assert duration == parse(spell(duration))
