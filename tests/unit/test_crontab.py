from __future__ import annotations

import pytest

from qhronos.core.crontab import Line, read


def test_lines_with_their_commands():
    text = "# every morning\n\n0 9 * * 1-5\t/usr/bin/report  --all\n  @daily  tidy\n"

    assert ((Line(3, "0 9 * * 1-5", "/usr/bin/report  --all"), Line(4, "@daily", "tidy")), ()) == read(text)


def test_a_zone_holds_for_the_lines_below_it():
    text = '0 1 * * * a\nCRON_TZ=Europe/Berlin\n0 2 * * * b\nTZ = "Asia/Tokyo"\n0 3 * * * c\nCRON_TZ=\n0 4 * * * d'

    assert [None, "Europe/Berlin", "Asia/Tokyo", None] == [line.timezone for line in read(text).lines]


def test_the_rest_of_the_environment_is_passed_over_with_a_warning():
    crontab = read("MAILTO=ada@example.com\n* * * * * FOO=bar run")

    assert ("line 1: MAILTO is passed over: what happens here has no environment",) == crontab.warnings
    assert (Line(2, "* * * * *", "FOO=bar run"),) == crontab.lines


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@reboot start", "line 1: @reboot: nothing boots here; give it a schedule, or run it by hand"),
        ("* * * *", "line 1: needs 5 fields, or a word such as @daily, and then a command"),
        ("@daily", "line 1: needs 5 fields, or a word such as @daily, and then a command"),
    ],
)
def test_what_cannot_be_taken_says_why(text, problem):
    assert [problem] == [line.problem for line in read(text).lines]


def test_a_line_that_comes_twice_is_one():
    lines = read("@daily a\nTZ=Asia/Tokyo\n@daily a\n@daily  a\n@daily\n@daily").lines

    assert [None, None, "line 4: the same as line 3"] == [line.problem for line in lines[:3]]
    assert all("needs 5 fields" in str(line.problem) for line in lines[3:])
