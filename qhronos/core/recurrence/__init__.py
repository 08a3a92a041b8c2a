"""When an event is due: pure functions of a recurrence and a window.

    parse(schedule, now=…, start_time=…, timezone=…)   what a caller wrote → Recurrence, or Invalid
    check(recurrence, now)                             refuses what never happens
    settle(recurrence)                                 one pass at the effective UNTIL of rules with COUNT
    expand(recurrence, since, until, limit)            the instants of a window
    earliest(recurrence)                               where the first window begins
    spend(steps, …)                                    the same, with steps that several share
    at_wall(recurrence, wall)                          the instants that a local time means
    explain(recurrence, instant)                       why it is in the set, or not
    describe(recurrence)                               plain words, or the rule itself
    diff(old, new, since, until, limit)                what another rule would change
    split(recurrence, instant)                         what is before the instant, and what follows from it on
    refuse_crowded(recurrence, now, least)             refuses what fires too often

Nothing here runs long. Work is counted in steps, and what STEPS do not finish says how far it came and is resumed.

What RFC 5545 leaves open is decided so:
- Wall time that does not exist is read with the offset before the gap (§3.3.5) unless `dst.gap` is `skip`; wall time
  that comes twice means the first pass unless `dst.fold` says otherwise. What thereby becomes equal happens once, and
  COUNT counts what happens. EXDATE does not give back what it takes from COUNT.
- HOURLY and shorter step in real time; their BY parts ask the local clock (`subdaily: wall` steps the clock instead).
- UNTIL is compared as an instant; as wall time that comes twice it means the second pass, as a date the whole day.
- DTSTART happens only if a rule gives it, or if there is no rule. It is an instant even where its wall time is not.
- FREQ=YEARLY with BYMONTHDAY alone means the month of DTSTART. BYWEEKNO alone means the weekday of DTSTART, and counts
  INTERVAL in week-years. BYSETPOS chooses from the whole period, also from what lies before DTSTART in the first.
- BYSECOND=60 is read as 59.
- SKIP (RFC 7529, RSCALE=GREGORIAN) moves days that a month or year does not have, before BYDAY chooses among them; week
  53 is no such day. EXRULE takes away what it gives, COUNT included; only imported calendars may bring one.
- Business calendars come last: after EXDATE and COUNT, for rules, RDATE and a single DTSTART alike. Two instants that roll
  to one happen once; of two open days equally near the following is the nearest.
"""

from qhronos.core.recurrence.business import closed_days
from qhronos.core.recurrence.closures import Closures, closures
from qhronos.core.recurrence.diffs import Diff, diff
from qhronos.core.recurrence.expansion import (
    STEPS,
    earliest,
    expand,
    expand_far,
    is_settled,
    local,
    settle,
    spend,
    start,
)
from qhronos.core.recurrence.lines import to_text
from qhronos.core.recurrence.meanings import at_wall, is_elapsed, runs_in_real_time
from qhronos.core.recurrence.model import (
    Business,
    ClockChange,
    Counted,
    Dst,
    Expansion,
    Explanation,
    Fold,
    Gap,
    Instant,
    Mark,
    Recurrence,
    Roll,
    Subdaily,
)
from qhronos.core.recurrence.moments import Steps
from qhronos.core.recurrence.reasons import check, explain
from qhronos.core.recurrence.schedule import brings, parse, restated
from qhronos.core.recurrence.spacing import refuse_crowded
from qhronos.core.recurrence.splitting import split
from qhronos.core.recurrence.vtimezones import clock_changes
from qhronos.core.recurrence.words import describe
from qhronos.core.recurrence.zones import timezones, tzdata_version, zone

__all__ = [
    "STEPS",
    "Business",
    "ClockChange",
    "Closures",
    "Counted",
    "Diff",
    "Dst",
    "Expansion",
    "Explanation",
    "Fold",
    "Gap",
    "Instant",
    "Mark",
    "Recurrence",
    "Roll",
    "Steps",
    "Subdaily",
    "at_wall",
    "brings",
    "check",
    "clock_changes",
    "closed_days",
    "closures",
    "describe",
    "diff",
    "earliest",
    "expand",
    "expand_far",
    "explain",
    "is_elapsed",
    "is_settled",
    "local",
    "parse",
    "refuse_crowded",
    "restated",
    "runs_in_real_time",
    "settle",
    "spend",
    "split",
    "start",
    "timezones",
    "to_text",
    "tzdata_version",
    "zone",
]
