"""Why: what never happens and must be refused, and why an instant is in the set or not.

The deciding part is found by asking the engine again, with one part after the other taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from qhronos.core.recurrence import stamps
from qhronos.core.recurrence.business import days_of
from qhronos.core.recurrence.days import date_of, day_of, facts, tests
from qhronos.core.recurrence.expansion import HORIZON, MICROSECOND, STEPS, earliest, local, settle, spend, start
from qhronos.core.recurrence.model import Dst, Explanation, Fold, Gap, Instant, Mark, Recurrence
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.rule import BY_PARTS, FIELDS, Fault, Freq, Rule, from_text, shown, to_text
from qhronos.core.recurrence.series import completed
from qhronos.core.recurrence.zones import FIRST, LAST, SECOND, instant
from qhronos.errors import Invalid

EARLIEST, LATEST = instant(FIRST), instant(LAST)
SILENT = {"UNTIL": None, "COUNT": None, "INTERVAL": 1} | dict.fromkeys(BY_PARTS, ())
MARKED = {
    Mark.GAP_SHIFTED: "does not exist on that day and is read with the offset before the gap",
    Mark.FOLD_FIRST: "comes twice on that day, this is the first",
    Mark.FOLD_SECOND: "comes twice on that day, this is the second",
}
EVERY_PASS = Dst(gap=Gap.SHIFT, fold=Fold.BOTH)


def check(recurrence: Recurrence, now: datetime) -> None:
    """Refuse, as Invalid with the reason, what has no instant within ten years of its DTSTART nor of `now`."""
    steps = Steps(STEPS)
    for text in recurrence.rrule:
        alone = _alone(recurrence, text)
        if not _happens(alone, now, steps):
            raise Invalid(f"RRULE: {text}: {_in_vain(steps)}{_culprits(alone, now)}", field="schedule")
        if alone == recurrence:
            return  # there is nothing beside it
    if not _happens(recurrence, now, steps):
        if recurrence.business and _happens(_without_calendars(recurrence), now, Steps(STEPS)):
            raise Invalid(f"calendars: every instant is on a day that is closed{_in(recurrence)}", field="calendars")
        raise Invalid(
            f"schedule: {_in_vain(steps)}; EXDATE, EXRULE or a skipped clock change leaves nothing", field="schedule"
        )


def _alone(recurrence: Recurrence, text: str) -> Recurrence:
    silent = {"rdate": (), "exdate": (), "exrule": (), "counted": (), "business": None}
    return msgspec.structs.replace(recurrence, rrule=(text,), **silent)


def _happens(recurrence: Recurrence, now: datetime, steps: Steps) -> bool:
    first = spend(steps, recurrence, earliest(recurrence), None, 1)
    if first.instants:
        return True
    rest = spend(steps, recurrence, max(now, first.covered), now + HORIZON * SECOND, 1)
    return bool(rest.instants)


def _without_calendars(recurrence: Recurrence) -> Recurrence:
    return msgspec.structs.replace(recurrence, business=None) if recurrence.business else recurrence


def _in(recurrence: Recurrence) -> str:
    return f" in {', '.join(recurrence.business.calendars)}" if recurrence.business else ""


def _in_vain(steps: Steps) -> str:
    return "never happens within ten years" if steps.left > 0 else "happens too seldom to be found"


def _culprits(alone: Recurrence, now: datetime) -> str:
    """The parts without which it would happen."""
    rule = from_text(alone.rrule[0])
    parts = [part for part in SILENT if shown(rule, part) and _happens_without(part, rule, alone, now)]
    return f"; no instant fits {' and '.join(f'{part}={shown(rule, part)}' for part in parts)}" if parts else ""


def _happens_without(part: str, rule: Rule, alone: Recurrence, now: datetime) -> bool:
    try:
        return _happens(_alone(alone, to_text(_without(rule, part))), now, Steps(STEPS // 20))
    except Fault:  # BYSETPOS with nothing left to choose from
        return False


def _without(rule: Rule, *parts: str) -> Rule:
    return msgspec.structs.replace(rule, **{FIELDS[part]: SILENT[part] for part in parts})


def explain(recurrence: Recurrence, instant: datetime) -> Explanation:
    """Why the instant is in the set or not, as far as one pass can tell."""
    recurrence = settle(recurrence, STEPS // 4)
    steps = Steps(STEPS // 4)
    instant = min(max(instant, EARLIEST), LATEST)
    found = _at(recurrence, instant, steps)
    if found:
        reason = _why(recurrence, found)
    elif steps.left <= 0:
        reason = "not known: the search for it takes more than one pass"
    else:
        reason = _why_not(recurrence, instant)
    after = spend(Steps(STEPS // 4), recurrence, instant + MICROSECOND, None, 1).instants
    return Explanation(bool(found), reason, _before(recurrence, instant), after[0].at if after else None)


def _at(recurrence: Recurrence, instant: datetime, steps: Steps | None = None) -> Instant | None:
    found = spend(steps or Steps(STEPS // 20), recurrence, instant, instant + MICROSECOND, 1).instants
    return found[0] if found else None


def _before(recurrence: Recurrence, instant: datetime) -> datetime | None:
    """Looks back twice as far each time, and no further than ten years."""
    steps, reach = Steps(STEPS // 4), SECOND
    while steps.left > 0 and reach < 2 * HORIZON * SECOND:
        found = _last(recurrence, max(instant - min(reach, HORIZON * SECOND), EARLIEST), instant, steps)
        if found:
            return found
        reach *= 2
    return None


def _last(recurrence: Recurrence, since: datetime, until: datetime, steps: Steps) -> datetime | None:
    last = None
    while since < until and steps.left > 0:
        expansion = spend(steps, recurrence, since, until, 1000)
        last = expansion.instants[-1].at if expansion.instants else last
        since = expansion.covered
    return last if since >= until else None  # there may be a later one where the steps did not reach


def _why(recurrence: Recurrence, found: Instant) -> str:
    if found.rolled_from:
        day = found.rolled_from
        bare = _without_calendars(recurrence)
        given = _on_wall(bare, datetime.combine(day, found.wall.time()))
        return f"{_why(bare, given) if given else 'rolled'}; {day} is closed{_in(recurrence)}: rolled to {found.wall.date()}"
    begins = not recurrence.rrule and found.at == start(recurrence)
    rules = (f"RRULE: {text}" for text in recurrence.rrule if _at(_alone(recurrence, text), found.at))
    source = next(rules, "DTSTART, where it begins" if begins else "RDATE")
    return f"given by {source}{_marked(found)}"


def _on_wall(recurrence: Recurrence, wall: datetime) -> Instant | None:
    day = timedelta(days=1)
    near = wall.replace(tzinfo=UTC)
    given = spend(Steps(STEPS // 4), recurrence, max(near - day, EARLIEST), min(near + day, LATEST), 1000).instants
    return next((one for one in given if one.wall == wall), None)


def _marked(found: Instant) -> str:
    return f"; {found.wall.time()} {MARKED[found.mark]}" if found.mark in MARKED else ""


def _why_not(recurrence: Recurrence, instant: datetime) -> str:
    bare = _without_calendars(recurrence)
    closed = _at(bare, instant) if bare is not recurrence else None
    if closed:
        return f"{closed.wall.date()} is closed{_in(recurrence)}{_went_to(recurrence, closed)}"
    recurrence = bare
    if instant < start(recurrence):
        return f"DTSTART: it begins at {stamps.iso(start(recurrence))}"
    taken = _taken_away(recurrence, instant)
    if taken:
        return taken
    if not recurrence.rrule:
        return "there is no rule: DTSTART and RDATE are all there is"
    against = [_against(from_text(text), recurrence, instant) for text in recurrence.rrule]
    if len(against) == 1:
        return f"RRULE: {against[0]}"
    return "; ".join(f"RRULE: {text}: {why}" for text, why in zip(recurrence.rrule, against, strict=True))


def _went_to(recurrence: Recurrence, closed: Instant) -> str:
    day = days_of(recurrence.business).rolled(day_of(closed.wall)) if recurrence.business else None
    return ": left out" if day is None else f": rolled to {date_of(day)}"


def _taken_away(recurrence: Recurrence, instant: datetime) -> str | None:
    """What the set would hold but for EXDATE or a clock change."""
    excluded = _at(msgspec.structs.replace(recurrence, exdate=()), instant)
    if excluded:
        return f"EXDATE={_exdate(recurrence, excluded)} takes it away"
    spared = msgspec.structs.replace(recurrence, exrule=(), counted=())
    if recurrence.exrule and _at(spared, instant):
        return f"EXRULE: {next(text for text in recurrence.exrule if _at(_alone(recurrence, text), instant))} takes it away"
    passed = _at(msgspec.structs.replace(recurrence, dst=EVERY_PASS, counted=()), instant)
    if passed:
        policy = f"gap={recurrence.dst.gap}" if passed.mark is Mark.GAP_SHIFTED else f"fold={recurrence.dst.fold}"
        return f"dst.{policy}{_marked(passed)}"
    return None


def _exdate(recurrence: Recurrence, excluded: Instant) -> str:
    names = (stamps.iso(excluded.at), stamps.iso(excluded.wall), stamps.iso(excluded.wall.date()))
    return next((text for text in recurrence.exdate if text in names), names[0])


def _against(rule: Rule, recurrence: Recurrence, instant: datetime) -> str:
    """The part of the rule that speaks against the instant."""
    wall = local(recurrence, instant).replace(tzinfo=None)
    full = rule if rule.freq >= Freq.HOURLY else completed(rule, recurrence.dtstart)
    part = next(_failing(full, wall), None)
    if part:
        said = f"{part}={shown(rule, part)}" if shown(rule, part) else f"DTSTART, hence {part}={shown(full, part)}"
        return f"{said}: on the clock there it is {wall:%A}, {stamps.iso(wall)}"
    for parts in (("UNTIL", "COUNT"), ("UNTIL", "COUNT", "INTERVAL"), ("UNTIL", "COUNT", "INTERVAL", "BYSETPOS")):
        if _at(_alone(recurrence, to_text(_without(rule, *parts))), instant):
            part = next(part for part in reversed(parts) if shown(rule, part))
            return f"{part}={shown(rule, part)} {'passes it over' if len(parts) > 2 else 'has ended it by then'}"
    return f"FREQ={rule.freq.name}: counted from DTSTART, it does not come to this instant"


def _failing(full: Rule, wall: datetime) -> Iterator[str]:
    """The parts that do not allow the wall time."""
    for part, value in (("BYHOUR", wall.hour), ("BYMINUTE", wall.minute), ("BYSECOND", wall.second)):
        allowed = getattr(full, FIELDS[part])
        if allowed and value not in allowed:
            yield part
    day = facts(day_of(wall), full.week_start)
    yield from (part for part, test in tests(full).items() if not test(day))
