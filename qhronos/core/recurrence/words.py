"""A recurrence in plain English, such as `phrases` reads. What cannot be said exactly is shown as the rule itself."""

from __future__ import annotations

import calendar
import itertools
from collections.abc import Iterable
from datetime import date, datetime, time

from qhronos.core.recurrence.expansion import start
from qhronos.core.recurrence.model import Business, Recurrence, Roll
from qhronos.core.recurrence.rule import Freq, Rule, Skip, from_text
from qhronos.core.recurrence.tokens import MOST_CHARACTERS
from qhronos.core.recurrence.vtimezones import face_of
from qhronos.core.recurrence.zones import wall_seconds

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
WHERE = {
    Roll.FOLLOWING: "the next open day",
    Roll.PRECEDING: "the open day before",
    Roll.MODIFIED_FOLLOWING: "the next open day, or the one before if that is in another month,",
    Roll.NEAREST: "the nearest open day",
}
MOST_TIMES = 6
MINUTES_OF_DAY = 24 * 60
MOST_DATES = 3


def describe(recurrence: Recurrence) -> str:
    """Never wrong: wall times are those of the zone, and what changes them there is not spoken of."""
    begins = _begins(recurrence)
    if recurrence.rrule:
        said = "; and ".join(_rule(text, recurrence.dtstart) for text in recurrence.rrule)
        said += f", from {begins}"
    else:
        said = f"on {begins}" if recurrence.rdate else f"once, on {begins}"
    added = _added(recurrence)
    if added:
        said += f"; also on {_listed(added)}"
    if recurrence.exrule:
        said += f"; but not by the rule {' or '.join(recurrence.exrule)}"
    if recurrence.exdate:
        said += f"; but not on {_listed(recurrence.exdate)}"
    if recurrence.business:
        said += _on_closed_days(recurrence.business)
    return f"{said[0].upper()}{said[1:]} ({recurrence.timezone})"


def readable(recurrence: Recurrence) -> str | None:
    """`describe` if it is all words, so that it can be read back as the same set; else None."""
    said = describe(recurrence)
    rules = all(_phrase(text, recurrence.dtstart) for text in recurrence.rrule)
    dates = max(len(_added(recurrence)), len(recurrence.exdate)) <= MOST_DATES
    elsewhere = recurrence.exrule or recurrence.vtimezone or recurrence.business
    return said if rules and dates and not elsewhere and len(said) <= MOST_CHARACTERS else None


def _on_closed_days(business: Business) -> str:
    names = _joined(business.calendars)
    if business.roll is Roll.SKIP:
        return f"; but not on days closed in {names}"
    return f"; moved to {WHERE[business.roll]} where a day is closed in {names}"


def _begins(recurrence: Recurrence) -> str:
    """Where the clock shows it twice, in UTC: only that is one instant."""
    wall = wall_seconds(recurrence.dtstart)
    first, second = face_of(recurrence.timezone, recurrence.vtimezone).passes(wall)
    if first >= second:
        return f"{_day(recurrence.dtstart)} at {_time(recurrence.dtstart)}"
    begins = start(recurrence)
    return f"{_day(begins)} at {_time(begins)} UTC"


def _added(recurrence: Recurrence) -> tuple[str, ...]:
    return tuple(text for text in recurrence.rdate if recurrence.rrule or text != recurrence.dtstart.isoformat())


def _rule(text: str, dtstart: datetime) -> str:
    return _phrase(text, dtstart) or f"by the rule {text}"


def _phrase(text: str, dtstart: datetime) -> str | None:
    rule = from_text(text)
    if rule.skip is not Skip.OMIT:
        return None
    words = _elapsed(rule, dtstart) if rule.freq >= Freq.HOURLY else _on_days(rule, dtstart)
    return f"{words}{_end(rule)}" if words else None


def _elapsed(rule: Rule, dtstart: datetime) -> str | None:
    if rule.by_year_day or rule.by_month_day or rule.by_hour or rule.by_set_pos:
        return None
    marks = _marks(rule, dtstart)
    if marks is None:
        return None
    weekdays = f" on {_joined(DAYS[weekday] for _, weekday in rule.by_day)}" if rule.by_day else ""
    return f"{_every(rule)}{marks}{weekdays}{_in_months(rule)}"


def _marks(rule: Rule, dtstart: datetime) -> str | None:
    """The minutes of an hour."""
    if not rule.by_minute:
        return None if rule.by_second else ""
    if rule.freq is not Freq.HOURLY or len(rule.by_minute) * len(rule.by_second or (0,)) > MOST_TIMES:
        return None
    seconds = rule.by_second or (dtstart.second,)
    places = [(minute, min(second, 59)) for minute in rule.by_minute for second in seconds]
    return f" at {_joined(f':{minute:02}:{second:02}' if second else f':{minute:02}' for minute, second in places)}"


def _in_months(rule: Rule) -> str:
    return f" in {_joined(MONTHS[month - 1] for month in rule.by_month)}" if rule.by_month else ""


def _on_days(rule: Rule, dtstart: datetime) -> str | None:
    if rule.by_week_no or rule.by_year_day:
        return None
    if rule.by_set_pos:
        return _working(rule, dtstart)
    days = {Freq.DAILY: _daily, Freq.WEEKLY: _weekly, Freq.MONTHLY: _monthly, Freq.YEARLY: _yearly}[rule.freq]
    when, times = days(rule, dtstart), _times(rule, dtstart)
    return f"{when}{times}" if when and times else None


def _working(rule: Rule, dtstart: datetime) -> str | None:
    """Working days by their number in the month, all at one time."""
    times = _times(rule, dtstart)
    if rule.freq is not Freq.MONTHLY or rule.by_day != WORKING or rule.by_month_day or " and " in (times or " and "):
        return None
    if not set(rule.by_set_pos) <= ORDINALS.keys() or (rule.by_month and rule.interval > 1) or "every" in (times or ""):
        return None
    days = _joined(f"the {ORDINALS[position]} working day" for position in rule.by_set_pos)
    return f"{_of_months(rule, days)}{times}"


def _of_months(rule: Rule, days: str) -> str:
    if rule.by_month:
        return f"every year on {days} of {_joined(MONTHS[month - 1] for month in rule.by_month)}"
    return f"on {days} of every month" if rule.interval == 1 else f"{_every(rule)} on {days} of the month"


def _daily(rule: Rule, dtstart: datetime) -> str | None:  # noqa: ARG001 - one of four alike
    if rule.by_month_day or (rule.by_day and rule.interval > 1):
        return None
    return f"{_weekdays(rule.by_day) if rule.by_day else _every(rule)}{_in_months(rule)}"


def _weekly(rule: Rule, dtstart: datetime) -> str | None:
    weekdays = rule.by_day or ((0, dtstart.weekday()),)
    if rule.interval > 1 and rule.week_start:
        return None
    if rule.interval == 1:
        return f"{_weekdays(weekdays)}{_in_months(rule)}"
    return f"{_every(rule)} on {_joined(DAYS[weekday] for _, weekday in weekdays)}{_in_months(rule)}"


def _monthly(rule: Rule, dtstart: datetime) -> str | None:
    days = _days_of_month(rule, dtstart)
    if not days or (rule.by_month and rule.interval > 1):
        return None
    if rule.by_month and rule.by_day and not any(nth for nth, _ in rule.by_day):
        return f"on {days} of {_joined(MONTHS[month - 1] for month in rule.by_month)}"
    return _of_months(rule, days)


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
        days = rule.by_month_day or (dtstart.day,)
        if rule.by_month and max(days) > max(calendar.monthrange(2000, month)[1] for month in rule.by_month):
            return None  # there is no such day
        names = [_numbered_day(day) for day in days]
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
    hours, minutes, seconds = (
        rule.by_hour or (dtstart.hour,),
        rule.by_minute or (dtstart.minute,),
        rule.by_second or (dtstart.second,),
    )
    if len(hours) * len(minutes) * len(seconds) > MINUTES_OF_DAY:
        return None
    times = [time(hour, minute, min(second, 59)) for hour in hours for minute in minutes for second in seconds]
    if len(times) <= MOST_TIMES:
        return f" at {_joined(map(_time, times))}"
    return _window(times)


def _window(times: list[time]) -> str | None:
    """Many times, if they are all as far apart."""
    at = sorted({at.hour * 3600 + at.minute * 60 + at.second for at in times})
    step = at[1] - at[0]
    if step % 60 or any(later - earlier != step for earlier, later in itertools.pairwise(at)):
        return None
    number, unit = (step // 3600, "hour") if step % 3600 == 0 else (step // 60, "minute")
    every = f"every {unit}" if number == 1 else f"every {number} {unit}s"
    return f", {every} from {_time(min(times))} to {_time(max(times))}"


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
    shown = f"{moment.hour:02}:{moment.minute:02}"  # strftime takes ten times as long
    if moment.microsecond:
        return f"{shown}:{moment.second:02}.{moment.microsecond:06}"
    return f"{shown}:{moment.second:02}" if moment.second else shown


def _listed(texts: tuple[str, ...]) -> str:
    return _joined(texts) if len(texts) <= MOST_DATES else f"{len(texts)} dates"


def _joined(items: Iterable[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
