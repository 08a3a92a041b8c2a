"""What one rule in words says, part by part, and the rules that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from typing import NamedTuple

import msgspec

from qhronos.core.recurrence.hours import Product, products, stepped
from qhronos.core.recurrence.rule import Freq, Rule
from qhronos.core.recurrence.said import MOST
from qhronos.core.recurrence.vocabulary import SECONDS, Minute, UnitName, refusal

WORKING = tuple((0, weekday) for weekday in range(5))
QUARTERS = {True: (1, 4, 7, 10), False: (3, 6, 9, 12)}  # the months that begin one, and those that end one
FREQS: dict[UnitName, tuple[Freq, int]] = {
    "second": (Freq.SECONDLY, 1),
    "minute": (Freq.MINUTELY, 1),
    "hour": (Freq.HOURLY, 1),
    "day": (Freq.DAILY, 1),
    "week": (Freq.WEEKLY, 1),
    "month": (Freq.MONTHLY, 1),
    "quarter": (Freq.MONTHLY, 3),
    "year": (Freq.YEARLY, 1),
}


class Step(NamedTuple):
    """`every 2 weeks`, or with `often` said of a period: `twice a week`."""

    interval: int
    unit: UnitName


class Clause(NamedTuple):
    step: Step | None = None  # in days and longer
    tick: Step | None = None  # in hours and shorter
    often: Step | None = None
    recurs: bool = False
    weekdays: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    working: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    scope: UnitName | None = None  # of which the numbered days are counted
    dates: tuple[tuple[int, int], ...] = ()  # (month, day) of any year
    once: tuple[date, ...] = ()
    times: tuple[time, ...] = ()
    window: tuple[time, time] | None = None
    marks: tuple[Minute, ...] = ()
    repeats: int | None = None
    until: date | None = None
    but_weekdays: tuple[int, ...] = ()
    but_months: tuple[int, ...] = ()

    @property
    def names_days(self) -> bool:
        return bool(self.weekdays or self.month_days or self.working or self.dates)


def rules_of(clause: Clause) -> tuple[Rule, ...]:
    """One rule, or as many as it takes; Invalid if there is none."""
    rules = tuple(_ticking(clause) if clause.tick and not clause.window else _on_days(clause))
    _refuse_half(clause, rules)
    return tuple(_limited(clause, rule) for rule in rules)


def _refuse_half(clause: Clause, rules: tuple[Rule, ...]) -> None:
    if len(rules) > 1 and clause.repeats:
        raise refusal(
            f"{clause.repeats} times cannot be counted over several rules; name times that share their minutes"
        )
    if len(rules) > MOST["rrule"]:
        raise refusal(f"these times take {len(rules)} rules; at most {MOST['rrule']}")
    if clause.often and clause.often.interval != _per_period(clause):
        raise refusal(
            f"{clause.often.interval} times a {clause.often.unit} needs as many days and times; name them all, "
            f"as in twice a day at 8:00 and 20:00"
        )


def _per_period(clause: Clause) -> int:
    days = len(clause.weekdays) + len(clause.month_days) + len(clause.working) + len(clause.dates)
    return (days or 1) * (len(clause.times) or 1)


def _limited(clause: Clause, rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, count=clause.repeats, until=clause.until)


def _ticking(clause: Clause) -> Iterator[Rule]:
    """Hours and shorter, in elapsed time; what else is said filters them."""
    tick = clause.tick or Step(1, "hour")
    out_of_month = clause.scope in {"quarter", "year"}
    if (
        clause.step
        or clause.times
        or clause.working
        or clause.dates
        or out_of_month
        or any(nth for nth, _ in clause.weekdays)
    ):
        raise refusal(f"every {tick.unit} and days or times; name its hours too, such as from 9:00 to 17:00")
    if clause.marks and tick.unit != "hour":
        raise refusal(f"a minute such as :30 belongs to hours, not to a {tick.unit}")
    minutes = tuple(sorted({mark.minute for mark in clause.marks}))
    seconds = tuple(sorted({mark.second for mark in clause.marks}))
    if len(minutes) * len(seconds) != len(clause.marks):
        raise refusal("these minutes and seconds are no single rule; name them in several, with ; between")
    yield Rule(
        freq=FREQS[tick.unit][0],
        interval=tick.interval,
        by_month=_months(clause),
        by_month_day=clause.month_days,
        by_day=_weekdays(clause, clause.weekdays),
        by_minute=minutes,
        by_second=seconds,
    )


def _on_days(clause: Clause) -> Iterator[Rule]:
    step = clause.step or Step(1, _unit(clause))
    if step.unit == "quarter" and clause.names_days:
        if step.interval > 1:
            raise refusal("days of every second quarter are no rule in words; say every 6 months")
        clause = clause._replace(scope="quarter")
    _refuse_unclear(clause, step)
    if clause.working and clause.months and step == Step(1, "year"):
        step = Step(1, "month")  # BYSETPOS counts within the period
    freq, factor = FREQS[step.unit]
    for months, days in _dates(clause):
        for product in products(_times(clause)) or (Product(),):
            yield _rule(clause, freq, step.interval * factor, months, days, product)


def _refuse_unclear(clause: Clause, step: Step) -> None:
    """Days that are counted within one period and recur by another."""
    if clause.scope and clause.step and step.unit != clause.scope:
        raise refusal(f"every {step.unit} and days of a {clause.scope} are no single rule; leave out one of them")
    if step.unit == "year" and clause.names_days and not (clause.scope or clause.months or clause.dates):
        raise refusal("these days of every year are ambiguous; name a month, or say 'of the year'")
    if clause.working and step.unit == "year" and step.interval > 1 and len(clause.months) > 1:
        raise refusal("working days of several months every few years are no single rule; name one month")


def _unit(clause: Clause) -> UnitName:
    """What the days are days of."""
    if clause.scope:
        return "year" if clause.scope == "year" else "month"
    if clause.dates or (clause.months and clause.names_days and not clause.working and _numbered(clause)):
        return "year"
    if clause.month_days or clause.working or _numbered(clause):
        return "month"
    return "week" if clause.weekdays else "day"


def _numbered(clause: Clause) -> bool:
    return bool(clause.month_days) or any(nth for nth, _ in clause.weekdays)


def _times(clause: Clause) -> tuple[time, ...]:
    if clause.window is None:
        return clause.times
    tick = clause.tick
    if tick is None or clause.times or clause.marks:
        raise refusal(
            "hours from one to another need a step, such as every hour or every 15 minutes, and no other times"
        )
    if clause.window[1] < clause.window[0] and (clause.names_days or clause.step or clause.but_weekdays):
        raise refusal("these hours end on another day; name the hours of each day")
    seconds = SECONDS[tick.unit] * tick.interval
    if seconds < 60 or seconds >= 86_400:
        raise refusal("hours from one to another take steps from a minute to less than a day")
    return stepped(clause.window, seconds)


def _dates(clause: Clause) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Months and their days, those of the same days together."""
    if not clause.dates:
        return [(_months(clause), clause.month_days)]
    if clause.months or clause.month_days or clause.weekdays or clause.working or clause.but_months:
        raise refusal("dates and other days are no single rule; name them in several, with ; between")
    by_month: dict[int, tuple[int, ...]] = {}
    for month, day in sorted(set(clause.dates)):
        by_month[month] = (*by_month.get(month, ()), day)
    by_days: dict[tuple[int, ...], tuple[int, ...]] = {}
    for month, days in by_month.items():
        by_days[days] = (*by_days.get(days, ()), month)
    return [(months, days) for days, months in by_days.items()]


def _rule(
    clause: Clause, freq: Freq, interval: int, months: tuple[int, ...], month_days: tuple[int, ...], at: Product
) -> Rule:
    weekdays = clause.weekdays
    if sum(map(bool, (weekdays, month_days, clause.working))) > 1:
        raise refusal("days of the month and weekdays are no single rule; name them in several, with ; between")
    if (month_days or clause.working or _numbered(clause)) and freq > Freq.MONTHLY:
        raise refusal(f"numbered days are those of a month or a year, not of a {_name(freq)}")
    if clause.scope == "quarter":
        months = _quarters(clause)
        interval = 1
    if freq is Freq.DAILY and interval == 1 and weekdays and not months and not clause.but_weekdays:
        freq = Freq.WEEKLY
    by_year_day = month_days if clause.scope == "year" else ()
    return Rule(
        freq=freq,
        interval=interval,
        by_month=months,
        by_year_day=by_year_day,
        by_month_day=() if by_year_day else month_days,
        by_day=_weekdays(clause, weekdays) if not clause.working else WORKING,
        by_hour=at.hours,
        by_minute=at.minutes,
        by_second=at.seconds,
        by_set_pos=_positions(clause.working, at.size),
    )


def _name(freq: Freq) -> str:
    return {Freq.DAILY: "day", Freq.WEEKLY: "week"}[freq]


def _positions(working: tuple[int, ...], count: int) -> tuple[int, ...]:
    """BYSETPOS counts days × times."""
    after = [position for day in working if day > 0 for position in range((day - 1) * count + 1, day * count + 1)]
    before = [position for day in working if day < 0 for position in range(day * count, (day + 1) * count)]
    if any(abs(position) > 366 for position in (*after, *before)):
        raise refusal("so many times on working days that are counted are no single rule")
    return (*sorted(after), *sorted(before))


def _quarters(clause: Clause) -> tuple[int, ...]:
    """The months of the first days of quarters, or of the last."""
    numbers = [*clause.month_days, *clause.working, *(nth for nth, _ in clause.weekdays)]
    most = 28 if clause.month_days else 20 if clause.working else 4
    if clause.months or not numbers or min(map(abs, numbers)) == 0 or max(map(abs, numbers)) > most:
        raise refusal(f"of a quarter only the first {most} and the last {most} such days can be named")
    if min(numbers) < 0 < max(numbers):
        raise refusal("days at both ends of a quarter are no single rule; name them in several, with ; between")
    return QUARTERS[numbers[0] > 0]


def _months(clause: Clause) -> tuple[int, ...]:
    months = clause.months or (tuple(range(1, 13)) if clause.but_months else ())
    left = tuple(sorted(set(months) - set(clause.but_months)))
    if months and not left:
        raise refusal("no month is left")
    return left


def _weekdays(clause: Clause, weekdays: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    if not clause.but_weekdays:
        return weekdays
    if _numbered(clause) and weekdays:
        raise refusal("numbered weekdays and excepted ones are no single rule; name the dates that are left out")
    every = weekdays or tuple((0, weekday) for weekday in range(7))
    left = tuple(day for day in every if day[1] not in clause.but_weekdays)
    if not left:
        raise refusal("no weekday is left")
    return left
