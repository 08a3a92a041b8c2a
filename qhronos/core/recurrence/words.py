"""A recurrence in plain English. What these few forms cannot say exactly is shown as the rule itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time

from qhronos.core.recurrence.model import Recurrence
from qhronos.core.recurrence.rule import Freq, Rule, Skip, from_text

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
UNITS = {
    Freq.YEARLY: "year",
    Freq.MONTHLY: "month",
    Freq.WEEKLY: "week",
    Freq.DAILY: "day",
    Freq.HOURLY: "hour",
    Freq.MINUTELY: "minute",
    Freq.SECONDLY: "second",
}
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "second to last"}
WORKING = tuple((0, weekday) for weekday in range(5))
MAYBE = " (if there is one)"
MOST_TIMES = 6


def describe(recurrence: Recurrence) -> str:
    """Never wrong: wall times are those of the zone, and what changes them there is not spoken of."""
    begins = f"{_day(recurrence.dtstart)} at {_time(recurrence.dtstart)}"
    if recurrence.rrule:
        said = "; and ".join(_rule(text, recurrence.dtstart) for text in recurrence.rrule)
        said += f", from {begins}"
    else:
        said = f"on {begins}" if recurrence.rdate else f"once, on {begins}"
    added = tuple(text for text in recurrence.rdate if recurrence.rrule or text != recurrence.dtstart.isoformat())
    if added:
        said += f"; also on {_listed(added)}"
    if recurrence.exrule:
        said += f"; but not by the rule {' or '.join(recurrence.exrule)}"
    if recurrence.exdate:
        said += f"; but not on {_listed(recurrence.exdate)}"
    return f"{said[0].upper()}{said[1:]} ({recurrence.timezone})"


def _rule(text: str, dtstart: datetime) -> str:
    rule = from_text(text)
    if rule.skip is not Skip.OMIT:
        return f"by the rule {text}"
    words = _elapsed(rule) if rule.freq >= Freq.HOURLY else _on_days(rule, dtstart)
    return f"{words}{_end(rule)}" if words else f"by the rule {text}"


def _elapsed(rule: Rule) -> str | None:
    by_parts = (
        rule.by_month
        or rule.by_year_day
        or rule.by_month_day
        or rule.by_day
        or rule.by_hour
        or rule.by_minute
        or rule.by_second
    )
    return None if by_parts else _every(rule)


def _on_days(rule: Rule, dtstart: datetime) -> str | None:
    if rule.by_set_pos or rule.by_week_no or rule.by_year_day:
        return None
    days = {Freq.DAILY: _daily, Freq.WEEKLY: _weekly, Freq.MONTHLY: _monthly, Freq.YEARLY: _yearly}[rule.freq]
    when, times = days(rule, dtstart), _times(rule, dtstart)
    return f"{when} at {times}" if when and times else None


def _daily(rule: Rule, dtstart: datetime) -> str | None:  # noqa: ARG001 - one of four alike
    if rule.by_month_day or rule.by_month:
        return None
    if not rule.by_day:
        return _every(rule)
    return _weekdays(rule.by_day) if rule.interval == 1 else None


def _weekly(rule: Rule, dtstart: datetime) -> str | None:
    weekdays = rule.by_day or ((0, dtstart.weekday()),)
    if rule.by_month or (rule.interval > 1 and rule.week_start):
        return None
    if rule.interval == 1:
        return _weekdays(weekdays)
    return f"{_every(rule)} on {_joined(DAYS[weekday] for _, weekday in weekdays)}"


def _monthly(rule: Rule, dtstart: datetime) -> str | None:
    days = _days_of_month(rule, dtstart)
    if not days or (rule.by_month and rule.interval > 1):
        return None
    if rule.by_month:
        return f"on {days} of {_joined(MONTHS[month - 1] for month in rule.by_month)}"
    return f"on {days} of every month" if rule.interval == 1 else f"{_every(rule)} on {days} of the month"


def _yearly(rule: Rule, dtstart: datetime) -> str | None:
    days = _days_of_month(rule, dtstart)
    if not days or (rule.by_day and not rule.by_month):
        return None
    months = rule.by_month or (dtstart.month,)
    return f"{_every(rule)} on {days} of {_joined(MONTHS[month - 1] for month in months)}"


def _days_of_month(rule: Rule, dtstart: datetime) -> str | None:
    if rule.by_day and rule.by_month_day:
        return None
    if rule.by_day:
        names = [_numbered_weekday(nth, weekday) for nth, weekday in rule.by_day]
    else:
        names = [_numbered_day(day) for day in rule.by_month_day or (dtstart.day,)]
    return _joined(name for name in names if name) if all(names) else None


def _numbered_weekday(nth: int, weekday: int) -> str | None:
    if not nth:
        return f"every {DAYS[weekday]}"
    if nth not in ORDINALS:
        return None
    return f"the {ORDINALS[nth]} {DAYS[weekday]}{MAYBE if nth == 5 else ''}"


def _numbered_day(day: int) -> str | None:
    if day > 0:
        ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        return f"the {day}{ending}{MAYBE if day > 28 else ''}"
    return f"the {ORDINALS[day]} day" if day in ORDINALS else None


def _weekdays(weekdays: tuple[tuple[int, int], ...]) -> str:
    if weekdays == WORKING:
        return "every weekday, Monday to Friday,"
    return f"every {_joined(DAYS[weekday] for _, weekday in weekdays)}"


def _every(rule: Rule) -> str:
    unit = UNITS[rule.freq]
    return f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"


def _times(rule: Rule, dtstart: datetime) -> str | None:
    times = [
        time(hour, minute, min(second, 59))
        for hour in rule.by_hour or (dtstart.hour,)
        for minute in rule.by_minute or (dtstart.minute,)
        for second in rule.by_second or (dtstart.second,)
    ]
    return _joined(map(_time, times)) if len(times) <= MOST_TIMES else None


def _end(rule: Rule) -> str:
    if isinstance(rule.until, datetime):
        return f", until {_day(rule.until)} at {_time(rule.until)}{' UTC' if rule.until.tzinfo else ''}"
    if rule.until:
        return f", until {_day(rule.until)}"
    if rule.count:
        return ", once" if rule.count == 1 else f", {rule.count} times"
    return ""


def _day(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _time(moment: datetime | time) -> str:
    if moment.microsecond:
        return f"{moment:%H:%M:%S.%f}"
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def _listed(texts: tuple[str, ...]) -> str:
    return _joined(texts) if len(texts) <= 3 else f"{len(texts)} dates"


def _joined(items: Iterable[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
