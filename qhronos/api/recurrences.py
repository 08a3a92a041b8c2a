"""What a rule gives, before anybody stores it. Computed by the code that fires."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from qhronos.api.access import needs
from qhronos.api.auth import Access
from qhronos.api.deps import Deps, Given
from qhronos.api.reading import Moment
from qhronos.core import recurrence as rec
from qhronos.core.event import Delay
from qhronos.core.recurrence.model import ClockChange, Dst, Expansion, Instant, Mark, Recurrence, Roll, Subdaily
from qhronos.engine.calendars import Known, named, snapshot
from qhronos.engine.draft import rolling
from qhronos.errors import Invalid

CHANGES = 100  # clock changes listed at most


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of an event that says when."""

    schedule: Annotated[Any, Meta(description="As in an event. Left out: once, at `start_time`.")] = None
    start_time: (
        Annotated[datetime, Meta(description="Without an offset it is wall time in `timezone`. Now, if left out.")]
        | None
    ) = None
    timezone: Annotated[str, Meta(max_length=100, description="IANA name; UTC if left out.")] | None = None
    dst: Dst = Dst()
    subdaily: Subdaily = Subdaily.ELAPSED
    calendars: Annotated[tuple[str, ...], Meta(max_length=10, description="As in an event.")] | None = None
    roll: Roll | None = None


class PreviewRequest(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[Moment, Meta(description="Inclusive; may be long past. `start_time` if left out.")] | None = None
    until: Annotated[Moment, Meta(description="Exclusive.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    flex_window: Annotated[Delay, Meta(description="As in an event.")] = 0.0
    jitter: Annotated[Delay, Meta(description="As in an event.")] = 0.0


class ExplainRequest(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    instant: Moment


class RecurrenceView(Struct, frozen=True, kw_only=True):
    """The canonical form: `dtstart` and dates are wall time in `timezone` unless they end in Z."""

    dtstart: str
    timezone: str
    rrule: tuple[str, ...]
    rdate: tuple[str, ...]
    exdate: tuple[str, ...]


class OccurrenceView(Struct, frozen=True, kw_only=True):
    at: Moment
    local: Annotated[Moment, Meta(description="The same instant, as the clocks of the zone show it.")]
    mark: Mark
    note: str | None = None


class ChangeView(Struct, frozen=True, kw_only=True):
    """The clocks of the zone change."""

    at: Moment
    before: Annotated[str, Meta(description="Offset from UTC until then.")]
    after: str


class Preview(Struct, frozen=True, kw_only=True):
    recurrence: RecurrenceView
    words: str
    occurrences: list[OccurrenceView]
    complete: Annotated[bool, Meta(description="The window holds no other.")]
    warnings: list[str]
    clock_changes: list[ChangeView]


class Neighbour(Struct, frozen=True):
    at: Moment
    local: Moment


class ExplanationView(Struct, frozen=True, kw_only=True):
    recurrence: RecurrenceView
    words: str
    included: bool
    reason: str
    before: Neighbour | None
    after: Neighbour | None


class Timezones(Struct, frozen=True):
    data: list[str]
    tzdata: str


TAGS = ["recurrences"]
RULE = {
    "schedule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
    "start_time": "2027-03-13T02:30:00",
    "timezone": "America/New_York",
}
PREVIEW = needs(Access.READ, example=RULE)
EXPLAIN = needs(Access.READ, example={**RULE, "instant": "2027-03-14T07:30:00Z"})


@post("/recurrences/preview", opt=PREVIEW, tags=TAGS, status_code=200, summary="Show what a schedule gives")
async def preview_recurrence(deps: Given[Deps], data: JSONBody[PreviewRequest]) -> Preview:
    """What creating an event would refuse is answered with a warning, as long as the rule can be read at all."""
    # Apart from the event loop: hostile rules use up their whole budget of steps, and others are waiting.
    known = await named(deps.database, data.calendars or ())
    return await asyncio.to_thread(_preview, data, deps.clock.now(), known, deps.config.scheduler.min_period)


@post(
    "/recurrences/explain",
    opt=EXPLAIN,
    tags=TAGS,
    status_code=200,
    summary="Say why an instant is an occurrence, or is none",
)
async def explain_recurrence(deps: Given[Deps], data: JSONBody[ExplainRequest]) -> ExplanationView:
    return await asyncio.to_thread(_explain, data, deps.clock.now(), await named(deps.database, data.calendars or ()))


@get("/timezones", opt=needs(Access.READ), tags=TAGS, summary="List the time zones")
async def list_timezones() -> Timezones:
    return Timezones(list(rec.timezones()), rec.tzdata_version())


def _preview(data: PreviewRequest, now: datetime, known: Known, min_period: timedelta) -> Preview:
    recurrence = _read(data, now, known)
    warnings = _refusals(recurrence, now, min_period)
    since = data.since or rec.earliest(recurrence)
    if data.until is not None and data.until <= since:
        raise Invalid("until: must be later than since", field="until")
    found = rec.expand_far(recurrence, since, data.until, data.limit)
    if not found.complete and len(found.instants) < data.limit:
        warnings.append(f"looked as far as {found.covered:%Y-%m-%d} and found no more")
    warnings += _unknown(recurrence, data.until, found)
    return Preview(
        recurrence=canonical(recurrence),
        words=rec.describe(recurrence),
        occurrences=[
            _within(instant_view_of(recurrence, instant), data.flex_window + data.jitter) for instant in found.instants
        ],
        complete=found.complete,
        warnings=warnings,
        clock_changes=_clock_changes(recurrence, since, data.until, found),
    )


def _within(view: OccurrenceView, seconds: float) -> OccurrenceView:
    """Where within its window an event acts depends on its id, which it is yet to get."""
    if not seconds:
        return view
    last = view.local + timedelta(seconds=seconds)
    told = f"acts between {view.local:%H:%M:%S} and {last:%H:%M:%S}"
    return msgspec.structs.replace(view, note=f"{view.note}; {told}" if view.note else told)


def _explain(data: ExplainRequest, now: datetime, known: Known) -> ExplanationView:
    recurrence = _read(data, now, known)
    explanation = rec.explain(recurrence, data.instant)
    return ExplanationView(
        recurrence=canonical(recurrence),
        words=rec.describe(recurrence),
        included=explanation.included,
        reason=explanation.reason,
        before=_neighbour(recurrence, explanation.before),
        after=_neighbour(recurrence, explanation.after),
    )


def _read(rule: Rule, now: datetime, known: Known) -> Recurrence:
    return rec.parse(
        rule.schedule,
        now=now,
        start_time=rule.start_time,
        timezone=rule.timezone,
        dst=rule.dst,
        subdaily=rule.subdaily,
        business=rolling(snapshot(rule.calendars or (), known), rule.roll),
    )


def _refusals(recurrence: Recurrence, now: datetime, min_period: timedelta) -> list[str]:
    """Why an event would not be created with it."""
    try:
        rec.check(recurrence, now)
        rec.refuse_crowded(recurrence, now, min_period)
    except Invalid as refusal:
        return [str(refusal)]
    return []


def _clock_changes(
    recurrence: Recurrence, since: datetime, until: datetime | None, found: Expansion
) -> list[ChangeView]:
    """From the beginning of the window to the last occurrence shown, or to the end of a window shown whole."""
    shown = [instant.at for instant in found.instants]
    end = until if until is not None and found.complete else max(shown, default=since) + timedelta(microseconds=1)
    changes = rec.clock_changes(recurrence.timezone, since, end, CHANGES, recurrence.vtimezone)
    return [_change(change) for change in changes]


def _change(change: ClockChange) -> ChangeView:
    return ChangeView(at=change.at, before=_offset(change.before), after=_offset(change.after))


def instant_view_of(recurrence: Recurrence, instant: Instant) -> OccurrenceView:
    local = rec.local(recurrence, instant.at)
    return OccurrenceView(at=instant.at, local=local, mark=instant.mark, note=_notes(recurrence, instant, local))


def _unknown(recurrence: Recurrence, until: datetime | None, found: Expansion) -> list[str]:
    """That the window goes further than the calendars do."""
    business = recurrence.business
    last = until if until and found.complete else found.instants[-1].at if found.instants else None
    if business is None or last is None or rec.local(recurrence, last).date() <= business.known_until:
        return []
    names = ", ".join(business.calendars)
    return [f"nothing is known of days after {business.known_until} in {names}; there they count as open"]


def _notes(recurrence: Recurrence, instant: Instant, local: datetime) -> str | None:
    said = [_note(instant, local)]
    if instant.rolled_from and recurrence.business:
        said.append(f"rolled from {instant.rolled_from}, closed in {', '.join(recurrence.business.calendars)}")
    return "; ".join(text for text in said if text) or None


def _note(instant: Instant, local: datetime) -> str | None:
    match instant.mark:
        case Mark.GAP_SHIFTED:
            return f"{instant.wall:%H:%M} does not exist that day, so it happens at {local:%H:%M}"
        case Mark.FOLD_FIRST:
            return f"{instant.wall:%H:%M} comes twice that day; this is the first"
        case Mark.FOLD_SECOND:
            return f"{instant.wall:%H:%M} comes twice that day; this is the second"
        case Mark.NORMAL:
            return None


def _neighbour(recurrence: Recurrence, at: datetime | None) -> Neighbour | None:
    return Neighbour(at, rec.local(recurrence, at)) if at else None


def canonical(recurrence: Recurrence) -> RecurrenceView:
    return RecurrenceView(
        dtstart=recurrence.dtstart.isoformat(),
        timezone=recurrence.timezone,
        rrule=recurrence.rrule,
        rdate=recurrence.rdate,
        exdate=recurrence.exdate,
    )


def _offset(offset: timedelta) -> str:
    """`+05:30`; seconds only where a zone once had them."""
    minutes, seconds = divmod(abs(int(offset.total_seconds())), 60)
    text = f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


HANDLERS = [preview_recurrence, explain_recurrence, list_timezones]
