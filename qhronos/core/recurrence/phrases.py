"""Plain words: a closed grammar in which every word counts, and what can be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import ClassVar, NoReturn

from qhronos.core.recurrence.clauses import Clause, Step, rules_of
from qhronos.core.recurrence.dates import is_year, midnight, read_date, read_next, read_relative
from qhronos.core.recurrence.daylist import DayList, Days
from qhronos.core.recurrence.hours import is_time, read_times, read_window
from qhronos.core.recurrence.lengths import goes_on, is_length, later, rest
from qhronos.core.recurrence.rule import MOST_COUNT, MOST_INTERVAL, Rule
from qhronos.core.recurrence.said import MOST, Said, Stamp
from qhronos.core.recurrence.tokens import Tokens
from qhronos.core.recurrence.vocabulary import (
    FORMS,
    SECONDS,
    Length,
    Minute,
    Month,
    Number,
    Ordinal,
    Unit,
    UnitName,
    Weekday,
    refusal,
)
from qhronos.core.recurrence.zones import near_names, zone
from qhronos.errors import Invalid

ADVERBS: dict[str, tuple[int, UnitName]] = {
    "hourly": (1, "hour"),
    "daily": (1, "day"),
    "weekly": (1, "week"),
    "fortnightly": (2, "week"),
    "monthly": (1, "month"),
    "quarterly": (1, "quarter"),
    "yearly": (1, "year"),
}
TWICE_MEANT = {
    "bimonthly": ("every 2 months", "twice a month"),
    "biannually": ("every 2 years", "twice a year"),
    "biannual": ("every 2 years", "twice a year"),
}
CALENDAR: tuple[UnitName, ...] = ("day", "week", "month", "quarter", "year")


def read(text: str, now: datetime, timezone: str | None) -> Said:
    """`every weekday at 9:00`; what is relative is so to `now` in the zone that is named. Invalid says which word is not understood."""
    tokens = Tokens(text)
    return Reader(tokens, now.astimezone(zone(tokens.timezone or timezone or "UTC"))).read()


class Reader:
    def __init__(self, tokens: Tokens, now: datetime) -> None:
        self._tokens = tokens
        self._list = DayList(tokens)
        self._instant = now
        self._now = now.replace(tzinfo=None)
        self._clause = Clause()
        self._rules: tuple[Rule, ...] = ()
        self._once: tuple[date, ...] = ()
        self._start: date | None = None
        self._rdate: tuple[date, ...] = ()
        self._exdate: tuple[date, ...] = ()
        self._begin = 0

    def read(self) -> Said:
        if self._tokens.is_done():
            self._tokens.refuse(FORMS)
        while not self._tokens.is_done():
            self._phrase()
        self._finish()
        if not self._rules and self._start is not None:
            raise refusal("a start belongs to what recurs; say every day, for instance")
        return self._said()

    def _said(self) -> Said:
        start, added = self._start, (*self._once, *self._rdate)
        if not self._rules and self._once:
            start, *rest = sorted(self._once) if len(set(map(_is_aware, self._once))) == 1 else self._once
            added = (*rest, *self._rdate)
        return Said(
            rules=self._rules,
            rdate=tuple(Stamp(midnight(at), None) for at in added),
            exdate=tuple(Stamp(at, None) for at in self._exdate),
            dtstart=None if start is None else Stamp(midnight(start), None),
            timezone=self._tokens.timezone,
        )

    def _phrase(self) -> None:
        tokens = self._tokens
        tokens.take("and")
        if tokens.peek() == ";":
            self._semicolon()
            return
        word = tokens.peek()
        phrase = self.phrases.get(word) if isinstance(word, str) else None
        if phrase:
            tokens.place += 1
            phrase(self, str(word))
        elif isinstance(word, Minute):
            self._marks()
        elif tokens.peek(1) == "after":
            tokens.place += 1
            self._relative("day")
        elif isinstance(word, Number) and tokens.peek(1) in {"times", "time"}:
            tokens.place += 2
            self._counted(word.number)
        elif is_time(tokens):
            self._at("at")
        else:
            self._on("")

    def _semicolon(self) -> None:
        self._tokens.place += 1
        self._tokens.take("and")
        if self._tokens.peek() not in {"also", "but", "except", "not"}:
            self._finish()

    def _set(self, **parts: object) -> None:
        """Each part is said once."""
        for name in parts:
            if getattr(self._clause, name) not in (None, (), False):
                raise refusal(
                    f"{self._tokens.said(self._tokens.place - 1)!r} (word {self._tokens.place}): said twice what is one; part rules by ;"
                )
        self._clause = self._clause._replace(**parts)  # type: ignore[arg-type]  # by name

    def _every(self, word: str) -> None:
        tokens, begin = self._tokens, self._tokens.place - 1
        self._recurs()
        if tokens.take("other"):
            self._interval(2)
        elif tokens.take("fortnight"):
            self._set(step=Step(2, "week"))
        elif tokens.take("half"):
            if tokens.peek() != Unit("hour"):
                tokens.refuse("'hour'")
            tokens.place += 1
            self._set(tick=Step(30, "minute"))
        elif (number := tokens.take_a(Number)) and not isinstance(tokens.peek(), Month):
            self._interval(number.number)
        elif number:
            tokens.place -= 1
            self._on(word)
        elif isinstance(tokens.peek(), Ordinal) and isinstance(tokens.peek(1), Unit) and not self._is_day_of():
            self._interval(tokens.take_a(Ordinal).number)  # type: ignore[union-attr]  # just seen
        elif isinstance(tokens.peek(), Unit | Length):
            self._interval(1)
        else:
            self._every_day(begin)

    def _is_day_of(self) -> bool:
        tokens = self._tokens
        return tokens.peek(1) == Unit("day") and (
            tokens.peek(2) == "of" or tokens.peek() in (Ordinal(1, True), Ordinal(-1, True))
        )

    def _every_day(self, begin: int) -> None:
        """Weekdays; `every second tuesday` may count weeks, or the Tuesdays of a month. Who goes on with months counts these."""
        tokens = self._tokens
        ordinal, weekday = tokens.peek(), tokens.peek(1)
        days = self._list.read()
        alone = isinstance(ordinal, Ordinal) and isinstance(weekday, Weekday) and len(days.weekdays) == 1
        if alone and isinstance(ordinal, Ordinal) and ordinal.number > 1 and not self._goes_on_with_months():
            name = tokens.said(begin + 2)
            often = "every other" if ordinal.number == 2 else f"every {ordinal.number} weeks on"
            tokens.ambiguous(begin, f"{often} {name}", f"{tokens.said(begin + 1)} of every month")
        self._with(days)

    def _goes_on_with_months(self) -> bool:
        following = self._tokens.peek()
        return following == "of" or (following in ("except", "in") and isinstance(self._tokens.peek(1), Month))

    def _interval(self, number: int) -> None:
        """The unit after `every 5`, with what adds to it: `every 1 hour 30 minutes`."""
        tokens = self._tokens
        if isinstance(tokens.peek(), Weekday) and number == 2 and tokens.peek(-1) == "other":
            self._set(step=Step(2, "week"))
            self._with(self._list.read())
            return
        if length := tokens.take_a(Length):
            self._length(length.seconds)
            return
        unit = tokens.take_a(Unit)
        if unit is None or number < 1 or number > MOST_INTERVAL:
            tokens.refuse("a unit such as minutes, days or months, or a weekday")
        if unit.name in SECONDS and goes_on(tokens):
            self._length(number * SECONDS[unit.name] + rest(tokens))
        elif unit.name in CALENDAR:
            self._set(step=Step(number, unit.name))
        else:
            self._set(tick=Step(number, unit.name))

    def _length(self, seconds: int) -> None:
        """In the greatest unit that divides it."""
        if not 1 <= seconds <= MOST_INTERVAL:
            raise refusal(f"an interval is 1 to {MOST_INTERVAL} seconds")
        unit = next(unit for unit in reversed(SECONDS) if seconds % SECONDS[unit] == 0)
        step = Step(seconds // SECONDS[unit], unit)
        self._set(**{"step" if unit in CALENDAR else "tick": step})

    def _adverb(self, word: str) -> None:
        interval, unit = ADVERBS[word]
        self._recurs()
        self._set(**{"step" if unit in CALENDAR else "tick": Step(interval, unit)})

    def _biweekly(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        begin = self._tokens.place - 1
        one_day = self._tokens.peek() == "on" and isinstance(self._tokens.peek(1), Weekday)
        if not one_day or isinstance(self._tokens.peek(2), Weekday) or isinstance(self._tokens.peek(3), Weekday):
            self._tokens.ambiguous(begin, "every 2 weeks", "twice a week")
        self._recurs()
        self._set(step=Step(2, "week"))

    def _two_meanings(self, word: str) -> None:
        self._tokens.ambiguous(self._tokens.place - 1, *TWICE_MEANT[word])

    def _recurs(self) -> None:
        self._clause = self._clause._replace(recurs=True)

    def _on(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._with(self._list.read())

    def _with(self, days: Days) -> None:
        said = {name: value for name, value in days._asdict().items() if value and name != "recurs"}
        if days.recurs:
            self._recurs()
        self._set(**said)

    def _at(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        if isinstance(self._tokens.peek(), Minute):
            self._marks()
        else:
            self._set(times=read_times(self._tokens))

    def _marks(self) -> None:
        marks: list[Minute] = []
        while isinstance(self._tokens.peek(1 if self._tokens.peek() == "and" else 0), Minute):
            self._tokens.take("and")
            marks.append(self._tokens.take_a(Minute) or Minute(0, 0))
        self._set(marks=tuple(sorted(set(marks))))

    def _from(self, word: str) -> None:
        tokens = self._tokens
        if is_time(tokens):
            self._set(window=read_window(tokens))
        elif isinstance(tokens.peek(), Weekday) and tokens.peek(1) == "to":
            self._with(self._list.read())
        elif isinstance(tokens.peek(), Month) and (tokens.peek(1) == "to" and isinstance(tokens.peek(2), Month)):
            self._set(months=self._months())
        else:
            self._starting(word)
            if tokens.take("to"):
                self._until("until")

    def _between(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._set(window=read_window(self._tokens))

    def _in(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        tokens = self._tokens
        if isinstance(tokens.peek(), Month):
            self._set(months=self._months())
        elif is_length(tokens):
            self._set(once=(later(tokens, self._instant, has_time=bool(self._clause.times)),))
        else:
            self._no_zone()

    def _no_zone(self) -> NoReturn:
        """`in berlin`"""
        tokens, word = self._tokens, self._tokens.peek()
        if isinstance(word, str) and (near := near_names(word, likeness=0.9)):
            tokens.refuse(f"the zone in full: {' or '.join(near)}")
        tokens.refuse("a month, a zone such as Europe/Berlin, or how long from now, such as 90 minutes")

    def _months(self) -> tuple[int, ...]:
        tokens, months = self._tokens, set()
        while month := tokens.take_a(Month):
            last = tokens.peek(1)
            months.add(month.number)
            if tokens.peek() == "to" and isinstance(last, Month):
                tokens.place += 2
                months |= {
                    (month.number - 1 + ahead) % 12 + 1 for ahead in range((last.number - month.number) % 12 + 1)
                }
            if is_year(tokens):
                tokens.refuse("no year: months in a rule are those of every year; say from 1 june 2027 to 30 june 2027")
            if isinstance(tokens.peek(1), Month):
                tokens.take("and")
        return tuple(sorted(months))

    def _of(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        tokens = self._tokens
        if isinstance(tokens.peek(), Month):
            self._set(months=self._months())
            return
        number = 1
        if tokens.take("every", "a"):
            self._recurs()
            given = tokens.take_a(Number) or tokens.take_a(Ordinal)
            number = given.number if given else 2 if tokens.take("other") else 1
        unit = tokens.take_a(Unit)
        if unit is None or unit.name not in CALENDAR[2:]:
            tokens.refuse("month, quarter, year, or the name of a month")
        self._recurs()
        self._set(scope=unit.name)
        if number != 1:
            self._set(step=Step(number, unit.name))

    def _until(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._tokens.take_all("end", "of")
        self._set(until=read_date(self._tokens, self._now, last=True))

    def _for(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._tokens.take("next")
        number = self._tokens.take_a(Number)
        if number is None or not self._tokens.take("times", "time"):
            self._tokens.refuse("a number of times, such as 10 times; a last day stands after until")
        self._counted(number.number)

    def _counted(self, number: int) -> None:
        if unit := self._per():
            self._set(often=Step(number, unit))
            return
        if not 1 <= number <= MOST_COUNT:
            raise refusal(f"{number} times: must be 1..{MOST_COUNT}")
        self._set(repeats=number)

    def _per(self) -> UnitName | None:
        """`a day`, `daily`, `every week` after `twice`."""
        tokens = self._tokens
        adverb = tokens.take(*ADVERBS)
        if adverb:
            self._adverb(adverb)
            return ADVERBS[adverb][1]
        if tokens.take("a", "per", "every"):
            unit = tokens.take_a(Unit)
            if unit is None or unit.name not in CALENDAR:
                tokens.refuse("day, week, month or year")
            self._recurs()
            self._set(step=Step(1, unit.name))
            return unit.name
        return None

    def _often(self, word: str) -> None:
        if word == "twice":
            self._counted(2)
        elif self._tokens.peek() == "every" and not isinstance(self._tokens.peek(1), Unit):
            return  # once every 2 weeks
        elif self._tokens.peek() in {"a", "per", "every", *ADVERBS} or self._clause.recurs:
            self._counted(1)

    def _starting(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._tokens.take("on")
        if self._start is not None:
            raise refusal("the start is named twice")
        if self._tokens.take("now"):
            self._start = self._now
        elif self._tokens.take("in"):
            self._start = later(self._tokens, self._instant, has_time=True)
        else:
            self._start = read_next(self._tokens, self._now) or read_date(self._tokens, self._now)

    def _except(self, word: str) -> None:
        tokens = self._tokens
        if word == "but":
            tokens.take("not", "except")
        tokens.take("on", "in", "for")
        if isinstance(tokens.peek(), Month) and not isinstance(tokens.peek(1), Number | Ordinal):
            self._set(but_months=self._months())
            return
        begin = tokens.place
        if isinstance(tokens.peek(), Weekday | date) or self._list.is_day(0):
            days = self._list.read()
            if days.weekdays and all(not nth for nth, _ in days.weekdays) and not (days.once or days.dates):
                self._set(but_weekdays=tuple(number for _, number in days.weekdays))
                return
            if days.once and not (days.weekdays or days.month_days or days.dates or days.working):
                self._exdate += days.once
                return
        tokens.place = begin
        tokens.refuse("months, weekdays, or dates with their year")

    def _also(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._tokens.take("on")
        begin = self._tokens.place
        days = self._list.read()
        if days._replace(once=()) != Days() or not days.once:
            self._tokens.place = begin
            self._tokens.refuse("dates with their year")
        self._rdate += days.once

    def _finish(self) -> None:
        """The end of a clause."""
        clause, begin = self._clause, self._begin
        self._clause, self._begin = Clause(), self._tokens.place
        if clause.once or not (clause.names_days or clause.recurs or clause.tick or clause.times):
            self._single(clause)
            return
        if not clause.recurs and not clause.tick and not clause.scope:
            raise self._once_or_often(clause, begin)
        every_one = bool(clause.weekdays) and all(nth == 0 for nth, _ in clause.weekdays)
        if every_one and clause.step and clause.step.unit == "month" and not clause.scope and not clause.months:
            raise refusal("a weekday of a month is ambiguous; say every monday, or the first monday of every month")
        if isinstance(clause.until, datetime) and not (clause.times or clause.tick):
            raise refusal(
                "the time after until is ambiguous; say every day at 9:00 until 24 december 2027, for instance"
            )
        self._rules += rules_of(clause)
        if len(self._rules) > MOST["rrule"]:
            raise refusal(f"{len(self._rules)} rules are too many; at most {MOST['rrule']}")

    def _single(self, clause: Clause) -> None:
        """One day, or several, each at each time."""
        if clause._replace(once=(), times=()) != Clause() or not clause.once:
            raise refusal(f"nothing says how it recurs; say, for instance, {FORMS}")
        bare = [day for day in clause.once if not isinstance(day, datetime)]
        if bool(bare) != bool(clause.times):
            raise refusal("a day and its time belong together; say, for instance, tomorrow at 9:00")
        at = [datetime.combine(day, time) for day in bare for time in clause.times]
        self._once += tuple(day for day in clause.once if isinstance(day, datetime)) + tuple(at)

    def _once_or_often(self, clause: Clause, begin: int) -> Invalid:
        said = self._tokens.said(begin)
        if clause.weekdays and all(nth == 0 for nth, _ in clause.weekdays):
            return refusal(f"{said!r} is ambiguous: every week, or once; say 'every {_bare(said)}', or name the date")
        if clause.names_days:
            return refusal(
                f"{said!r} is ambiguous: once, or again and again; add 'every year' or 'of every month', or name the year"
            )
        return refusal(f"{said!r} names no day; say 'every day' or 'today' with it")

    def _relative(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._tokens.place -= 1
        found = read_relative(self._tokens, self._now)
        if found is None:
            self._tokens.place += 1
            self._tokens.refuse("a weekday, or 'after tomorrow'")
        self._set(once=(found,))

    def _at_once(self, word: str) -> None:  # noqa: ARG002 - one of many alike
        self._set(once=(self._instant.astimezone(UTC),))

    phrases: ClassVar[dict[str, Callable[[Reader, str], None]]] = {
        "every": _every,
        **dict.fromkeys(ADVERBS, _adverb),
        **dict.fromkeys(TWICE_MEANT, _two_meanings),
        "biweekly": _biweekly,
        "on": _on,
        "at": _at,
        "from": _from,
        "between": _between,
        "in": _in,
        "of": _of,
        "until": _until,
        "for": _for,
        "once": _often,
        "twice": _often,
        "starting": _starting,
        "except": _except,
        "but": _except,
        "not": _except,
        "also": _also,
        "today": _relative,
        "tomorrow": _relative,
        "this": _relative,
        "next": _relative,
        "now": _at_once,
    }


def _bare(said: str) -> str:
    return said.lower().removeprefix("on ").removeprefix("the ")


def _is_aware(value: date) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None
