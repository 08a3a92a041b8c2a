"""What a client says of an event, and the event that comes of it: everything that is computed before a row is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from qhronos.config import Scheduler
from qhronos.core.event import EventStatus, Policies, check_policies, in_catchup, most_caught_up
from qhronos.core.ids import time_ordered_id
from qhronos.core.recurrence import (
    Business,
    Dst,
    Recurrence,
    Roll,
    Subdaily,
    brings,
    check,
    is_settled,
    parse,
    refuse_crowded,
    restated,
    settle,
    start,
    tzdata_version,
)
from qhronos.core.recurrence.counting import with_most
from qhronos.core.window import Advance, advance, begin, is_once
from qhronos.engine.expand import open_rows
from qhronos.engine.secrets import Given, Values
from qhronos.errors import Invalid
from qhronos.store.events import Event
from qhronos.store.expansion import NewGap
from qhronos.store.pending import Open

T = TypeVar("T")

ROOM = 100  # occurrences made inside the transaction of a request; the expander makes the others
COUNTING = 50  # passes at counting out a rule with COUNT; the highest COUNT of an ordinary rule takes 20
PASSES = 3  # of an expansion inside a request, as long as they only pass over what is too old
USUAL = Policies()
APART = frozenset({"policies", "header_secrets"})  # fields whose own names nobody said

_encode = msgspec.json.Encoder().encode
_recurrences = msgspec.json.Decoder(Recurrence)
_policies_json = msgspec.json.Decoder(Policies)


class Fields(Struct, frozen=True, kw_only=True):
    """UNSET: nothing was said. None: as by default. JSON is encoded, `schedule` is as decoded."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    key: str | UnsetType | None = UNSET
    start_time: datetime | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    schedule: object = UNSET
    dst: Dst | UnsetType | None = UNSET
    subdaily: Subdaily | UnsetType | None = UNSET
    business: Business | UnsetType | None = UNSET  # what the calendars say that were named; how they roll is `roll`
    roll: Roll | UnsetType | None = UNSET
    action: msgspec.Raw | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    hmac_secret: str | UnsetType | None = UNSET
    hmac_secret_overlap: float | UnsetType | None = UNSET
    header_secrets: Values = {}  # of the actions that were given; None for a value that is to stay
    policies: Mapping[str, object] = {}  # by name, as they were said
    most: int | UnsetType | None = UNSET  # COUNT of the rule

    def given(self) -> list[str]:
        """The names of what was said."""
        names = [name for name in self.__struct_fields__ if name not in APART and getattr(self, name) is not UNSET]
        return [*("max_occurrences" if name == "most" else name for name in names), *self.policies]

    @property
    def secrets(self) -> Given:
        return Given(self.hmac_secret, self.hmac_secret_overlap, self.header_secrets)

    @property
    def says_when(self) -> bool:
        return any(
            value is not UNSET
            for value in (
                self.start_time,
                self.timezone,
                self.schedule,
                self.dst,
                self.subdaily,
                self.business,
                self.roll,
                self.most,
            )
        )


class Prepared(NamedTuple):
    """A new event with all the rows that come with it."""

    event: Event
    recurrence: Recurrence  # that of the event, as it was before it was encoded
    policies: Policies
    secrets: Given
    rows: list[Open]
    gap: NewGap | None


def prepare(fields: Fields, now: datetime, scheduler: Scheduler, randomness: bytes) -> Prepared:
    """The event to create; `name` and `action` are given, and RANDOM_BYTES that are fresh. Raises Invalid.

    May take as long as the recurrence's budget of steps: see `is_quick`.
    """
    recurrence = _recurrence(fields, now, scheduler.min_period)
    policies = _policies(USUAL, fields)
    began = start(recurrence)
    since = begin(recurrence, now, scheduler.grace_period)
    step = reach(recurrence, since, policies, ROOM, now, scheduler)
    identifier = time_ordered_id(now, randomness)
    event = _new_event(identifier, fields, recurrence, began, policies, step, now)
    gap = NewGap(identifier, *step.gap) if step.gap else None
    rows = open_rows(identifier, event.version, recurrence, policies, step)
    return Prepared(event, recurrence, policies, fields.secrets, rows, gap)


def reach(
    recurrence: Recurrence, since: datetime, policies: Policies, room: int, now: datetime, scheduler: Scheduler
) -> Advance:
    """Make what is near, behind a gap if much was missed."""

    def passed(since: datetime) -> Advance:
        catchup, most = in_catchup(policies.misfire, now), most_caught_up(policies.misfire)
        ahead = scheduler.look_ahead_duration
        return advance(recurrence, since, now=now, look_ahead=ahead, room=room, catchup=catchup, most=most)

    step = passed(since)
    for _ in range(PASSES - 1):
        if step.instants or step.next_expand_at is None or step.next_expand_at > now:
            break
        further = passed(step.expanded_until)
        gap = step.gap.joined(further.gap) if step.gap and further.gap else step.gap or further.gap
        step = further._replace(gap=gap)
    return step


def is_quick(fields: Fields) -> bool:
    """Whether `prepare` is done in no time: a rule may take a while, a single instant does not."""
    return or_none(fields.schedule) is None


def merge(event: Event, fields: Fields, now: datetime, min_period: timedelta) -> tuple[Event, Recurrence | None]:
    """The event as `fields` change it, in its next version; and its recurrence, if that is another, or moves otherwise
    than before. Raises Invalid."""
    changes = {name: getattr(fields, name) for name in PLAIN if getattr(fields, name) is not UNSET}
    usual = policies_of(event)
    policies = _policies(usual, fields)
    merged = msgspec.structs.replace(
        event,
        **changes,
        policies=encode(policies),
        has_hmac_secret=event.has_hmac_secret if fields.hmac_secret is UNSET else fields.hmac_secret is not None,
        version=event.version + 1,
        updated_at=now,
    )
    before, after = reschedule(event, fields, now, min_period)
    if fields.schedule is not UNSET:
        merged = msgspec.structs.replace(merged, schedule=_schedule(fields.schedule))
    if after == before:
        moves = (policies.flex_window, policies.jitter) != (usual.flex_window, usual.jitter)
        return merged, after if moves else None
    when = {"start_time": start(after), "timezone": after.timezone, "tzdata": tzdata_version()}
    return msgspec.structs.replace(merged, **when, recurrence=encode(after)), after


def reschedule(event: Event, fields: Fields, now: datetime, min_period: timedelta) -> tuple[Recurrence, Recurrence]:
    """The recurrence of the event, and the one that `fields` make of it. Raises Invalid."""
    before = recurrence_of(event)
    return before, _next_recurrence(event, before, fields, now, min_period) if fields.says_when else before


PLAIN = ("name", "description", "key", "action", "metadata", "tags")


def recurrence_of(event: Event) -> Recurrence:
    return _recurrences.decode(event.recurrence)


def policies_of(event: Event) -> Policies:
    return _policies_json.decode(event.policies)


def or_none(value: T | UnsetType | None) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _new_event(
    identifier: UUID,
    fields: Fields,
    recurrence: Recurrence,
    began: datetime,
    policies: Policies,
    step: Advance,
    now: datetime,
) -> Event:
    nothing_left = not step.instants and step.next_expand_at is None
    return Event(
        id=identifier,
        key=or_none(fields.key),
        name=_given(fields.name),
        description=or_none(fields.description) or "",
        start_time=began,
        timezone=recurrence.timezone,
        schedule=_schedule(or_none(fields.schedule)),
        recurrence=encode(recurrence),
        action=_given(fields.action),
        metadata=or_none(fields.metadata) or msgspec.Raw(b"{}"),
        tags=or_none(fields.tags) or (),
        policies=encode(policies),
        has_hmac_secret=or_none(fields.hmac_secret) is not None,
        hmac_overlap_until=None,
        status=EventStatus.COMPLETED if nothing_left else EventStatus.ACTIVE,
        reason=None,
        version=1,
        tzdata=tzdata_version(),
        expanded_until=step.expanded_until,
        next_due_at=step.next_due_at,
        next_expand_at=step.next_expand_at,
        created_at=now,
        updated_at=now,
        upcoming=step.instants[0].at if step.instants else step.next_due_at,
    )


def _recurrence(fields: Fields, now: datetime, min_period: timedelta) -> Recurrence:
    recurrence = parse(
        or_none(fields.schedule),
        now=now,
        start_time=or_none(fields.start_time),
        timezone=or_none(fields.timezone),
        dst=or_none(fields.dst) or Dst(),
        subdaily=or_none(fields.subdaily) or Subdaily.ELAPSED,
        business=rolling(or_none(fields.business), or_none(fields.roll)),
    )
    if isinstance(fields.most, int):
        recurrence = with_most(recurrence, fields.most)
    if not is_once(recurrence) or recurrence.business:
        check(recurrence, now)
        refuse_crowded(recurrence, now, min_period)
        for _ in range(COUNTING):
            if is_settled(recurrence):
                break
            recurrence = settle(recurrence)
        else:
            raise Invalid(
                "schedule: COUNT takes too long to count out, as the rule finds so little; say UNTIL instead",
                field="schedule",
            )
    return recurrence


def rolling(business: Business | None, roll: Roll | None) -> Business | None:
    """The calendars as they roll. Raises Invalid for a roll by none."""
    if business is None:
        if roll not in (None, Roll.SKIP):
            raise Invalid(f"roll: {roll} rolls by calendars; name one in calendars", field="roll")
        return None
    return msgspec.structs.replace(business, roll=roll or Roll.SKIP)


def _next_recurrence(
    event: Event, before: Recurrence, fields: Fields, now: datetime, min_period: timedelta
) -> Recurrence:
    """What was not said stays as it is: the instant of the start, the zone, the rule.

    The rule is not read anew as it was written: `in 90 minutes` would be another time by now.
    """
    uncounted = fields.most is None and fields.schedule is UNSET
    stays: dict[str, object] = {
        "schedule": restated(with_most(before, None) if uncounted else before),
        "dst": before.dst,
        "subdaily": before.subdaily,
        "business": before.business,
        "roll": before.business.roll if before.business and fields.business is not None else None,
        "start_time": event.start_time,
        "timezone": event.timezone,
    }
    if fields.schedule is not UNSET:
        brought = brings(fields.schedule, now=now, timezone=or_none(fields.timezone) or event.timezone)
        stays = {name: value for name, value in stays.items() if name not in brought}
    unsaid = {name: value for name, value in stays.items() if getattr(fields, name) is UNSET}
    return _recurrence(msgspec.structs.replace(fields, **unsaid), now, min_period)


def _policies(before: Policies, fields: Fields) -> Policies:
    """What was said in place of what was; null is the default. Raises Invalid for what cannot be together."""
    if not fields.policies:
        return before
    said = {name: getattr(USUAL, name) if value is None else value for name, value in fields.policies.items()}
    after = msgspec.structs.replace(before, **said)
    check_policies(after)
    return after


def _schedule(schedule: object) -> msgspec.Raw | None:
    return None if schedule is None else encode(schedule)


def encode(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))


def _given(value: T | UnsetType) -> T:
    if isinstance(value, UnsetType):
        raise TypeError("a new event has a name and an action")
    return value
