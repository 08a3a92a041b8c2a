"""Intervals: `5m`, `1h30m`, `PT5M`, a number of seconds.

Hours, minutes and seconds are time that really passes: `24h` is not always a day. Days and weeks are those of the
calendar: the time of day stays. A sum of both would be neither, and is refused.
"""

from __future__ import annotations

import re

from qhronos.core.recurrence.rule import MOST_INTERVAL, Freq, Rule
from qhronos.errors import Invalid

UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
ELAPSED = ((Freq.HOURLY, 3600), (Freq.MINUTELY, 60), (Freq.SECONDLY, 1))
CALENDAR = ((Freq.WEEKLY, 604_800), (Freq.DAILY, 86_400))
DIGITS = "[0-9]{1,12}"
SHORT = re.compile("".join(f"(?:({DIGITS}){unit})?" for unit in UNITS))
ISO = re.compile(f"P(?:({DIGITS})W)?(?:({DIGITS})D)?(?:T(?=.)(?:({DIGITS})H)?(?:({DIGITS})M)?(?:({DIGITS})S)?)?")
MEANT = re.compile(r"(?:[0-9.]+(?:ms|[smhdw]))+|P[0-9T][0-9A-Z.,]*")


def is_meant(text: str) -> bool:
    """Whether the text can only be an interval, right or wrong."""
    return MEANT.fullmatch(text.strip()) is not None


def read(text: str, field: str) -> Rule:
    """The rule that comes again after so long; it counts from DTSTART."""
    found = SHORT.fullmatch(text.strip()) or ISO.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise _refused(
            text, "write it like 5m, 1h30m or PT5M, from w, d, h, m, s; for months and years write a rule", field
        )
    sizes = dict(zip(UNITS, (int(number or 0) for number in found.groups()), strict=True))
    days = sizes["w"] * UNITS["w"] + sizes["d"] * UNITS["d"]
    elapsed = sizes["h"] * UNITS["h"] + sizes["m"] * UNITS["m"] + sizes["s"]
    if days and elapsed:
        why = "w and d are days of the calendar, h, m and s time that passes; give one or the other (1d is not always 24h)"
        raise _refused(text, why, field)
    return _rule(text, days or elapsed, CALENDAR if days else ELAPSED, field)


def every(seconds: int, field: str) -> Rule:
    """As `read`, of a number of seconds that pass."""
    # Python refuses to print integers of thousands of digits.
    shown = str(seconds) if abs(seconds) < 1 << 64 else "so great a number"
    return _rule(shown, seconds, ELAPSED, field)


def _rule(text: str, seconds: int, units: tuple[tuple[Freq, int], ...], field: str) -> Rule:
    """In the largest unit that fits."""
    freq, size = next((freq, size) for freq, size in units if seconds % size == 0)
    if not 1 <= seconds <= MOST_INTERVAL * size:
        raise _refused(text, f"must be 1 second at least, and {MOST_INTERVAL} of one unit at most", field)
    return Rule(freq=freq, interval=seconds // size)


def _refused(text: str, why: str, field: str) -> Invalid:
    return Invalid(f"{field.removeprefix('schedule.')}: {text[:64]}: {why}", field=field)
