"""Durations as people write them: `500ms`, `30s`, `1h30m`, `7d`, `2w`, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"


def parse(text: object) -> timedelta:
    """Never less than nothing. Raises ValueError, with a message that does not repeat the text."""
    spelled = str(text).strip()
    if re.fullmatch(r"\d+(\.\d+)?", spelled):
        spelled += "s"
    if not re.fullmatch(f"({PART})+", spelled):
        raise ValueError("not a duration; write it like 30s, 5m, 24h or 7d")
    try:
        return sum((float(number) * UNITS[unit] for number, unit in re.findall(PART, spelled)), timedelta())
    except OverflowError as error:
        raise ValueError("longer than any clock runs") from error


def spell(duration: timedelta) -> str:
    """The shortest text of one unit; `parse` reads it back."""
    for unit, size in UNITS.items():
        if duration and duration % size == timedelta():
            return f"{duration // size}{unit}"
    return f"{duration.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
