"""The lines of a crontab as cron reads them. What a schedule means, or that it means nothing, is for `parse` to say."""

from __future__ import annotations

import re
from typing import NamedTuple

FIELDS = 5
ASSIGNMENT = re.compile(r"""\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*""")
ZONES = ("CRON_TZ", "TZ")


class Line(NamedTuple):
    """`timezone` is what a `CRON_TZ` line above it says; `problem`: why it cannot be taken."""

    number: int
    schedule: str
    command: str
    timezone: str | None = None
    problem: str | None = None


class Crontab(NamedTuple):
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]


def read(text: str) -> Crontab:
    """Every line that is neither empty nor a comment. There is no column for a user: it would be read as the command."""
    lines: list[Line] = []
    warnings: list[str] = []
    timezone: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not (assigned := ASSIGNMENT.fullmatch(line)):
            lines.append(_line(number, line, timezone))
        elif assigned[1] in ZONES:
            timezone = _unquoted(assigned[2]) or None
        else:
            warnings.append(f"line {number}: {assigned[1]} is passed over: what happens here has no environment")
    return Crontab(_marked(lines), tuple(warnings))


def _line(number: int, line: str, timezone: str | None) -> Line:
    count = 1 if line.lstrip().startswith("@") else FIELDS
    parts = line.split(maxsplit=count)
    schedule, command = " ".join(parts[:count]), parts[count].strip() if len(parts) > count else ""
    problem = None
    if schedule.lower() == "@reboot":
        problem = f"line {number}: @reboot: nothing boots here; give it a schedule, or run it by hand"
    elif not command:
        problem = f"line {number}: needs {FIELDS} fields, or a word such as @daily, and then a command"
    return Line(number, schedule, command, timezone, problem)


def _marked(lines: list[Line]) -> tuple[Line, ...]:
    """A line that says again what one above it said would be the same event."""
    first: dict[tuple[str, str, str | None], int] = {}
    marked = []
    for line in lines:
        number = first.setdefault((line.schedule, line.command, line.timezone), line.number)
        again = number != line.number and line.problem is None
        marked.append(line._replace(problem=f"line {line.number}: the same as line {number}") if again else line)
    return tuple(marked)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
