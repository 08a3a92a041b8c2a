"""One attempt: from a claimed row to what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from random import Random
from traceback import format_exc
from typing import NamedTuple

import msgspec
from msgspec import Struct
from prometheus_client import Counter, Histogram

from qhronos import actions, metrics
from qhronos.actions.base import Act, Acts, Done
from qhronos.clock import Clock
from qhronos.core.attempt import Delivered, Delivery, Failed, Handed, Outcome, Parked, Performed, Refused, Withdrawn
from qhronos.core.event import Policies
from qhronos.core.occurrence import Status, occurrence_id
from qhronos.core.retry import Retry, next_pause
from qhronos.core.scrub import scrub
from qhronos.core.vault import Vault
from qhronos.engine.parking import Parking
from qhronos.engine.secrets import header_values, signing, within
from qhronos.errors import Locked
from qhronos.log import get_logger
from qhronos.store.pending import Claimed, Settlement

OUTCOMES: dict[type, str] = {Delivered: "delivered", Failed: "failed", Refused: "refused"}


class Typed(Struct):
    """All that the engine itself reads of an action."""

    type: str


log = get_logger()
_typed = msgspec.json.Decoder(Typed).decode
read_policies = msgspec.json.Decoder(Policies).decode


class Defaults(NamedTuple):
    """What an event without its own gets."""

    retry: Retry
    secret: str
    vault: Vault = Vault()


class Work(Struct, frozen=True):
    """What is claimed, made ready ahead of its instant."""

    row: Claimed
    policies: Policies
    retry: Retry
    act: Act | None  # None: the callback that it is was removed from its event

    @property
    def place(self) -> str | None:
        """Where it goes, if that has a limit."""
        return self.act.place if self.act else None


def prepare(row: Claimed, acts: Acts, defaults: Defaults, now: datetime, is_ours: Callable[[], bool]) -> Work:
    """Never raises: a bug in an action is a failed attempt, so that it backs off and ends."""
    try:
        policies = read_policies(row.policies)
    except msgspec.MsgspecError as error:  # a newer version of us wrote them, and will act by them
        return Work(
            row, Policies(), defaults.retry, Done("unknown", Failed(reason=f"cannot read the policies: {error}"))
        )
    retry = policies.retry or defaults.retry
    chosen = _chosen(row, policies)
    return Work(row, policies, retry, _act(chosen, acts, row, retry, defaults, now, is_ours) if chosen else None)


class Chosen(NamedTuple):
    """Which of an event's actions it is that is done."""

    name: str  # where it stands
    stored: msgspec.Raw


def _chosen(row: Claimed, policies: Policies) -> Chosen | None:
    """What was taken back from a client is done by the fallback, as long as there is one."""
    stored = action_of(row, policies)
    if stored is None:
        return None
    name = row.callback or "action"
    fallback = actions.fallback_of(stored) if row.fallback else None
    return Chosen(name, stored) if fallback is None else Chosen(within(name), fallback)


def action_of(row: Claimed, policies: Policies) -> msgspec.Raw | None:
    """None: the callback that it is was removed from its event."""
    if row.callback is None:
        return row.action
    action = getattr(policies, row.callback)
    return None if action is None else msgspec.Raw(msgspec.json.encode(action))


def _act(
    chosen: Chosen,
    acts: Acts,
    row: Claimed,
    retry: Retry,
    defaults: Defaults,
    now: datetime,
    is_ours: Callable[[], bool],
) -> Act:
    delivery = None
    try:
        delivery = _delivery(row, is_ours, retry, defaults, now, chosen.name)
        return Guarded(acts.prepare(chosen.stored, delivery), delivery)
    except Locked as error:
        log.error("secrets.locked", event_id=str(row.event_id), error=str(error))  # noqa: TRY400 - no bug
        return Done(
            _type_of(chosen.stored), Failed(reason=f"the secrets of event {row.event_id} cannot be opened: {error}")
        )
    except Exception as error:  # noqa: BLE001 - the guard around a plug-in
        known = delivery.confidential if delivery else None
        return Done(_type_of(chosen.stored), _crashed(error, occurrence_id(row.identity), known))


def _type_of(stored: msgspec.Raw) -> str:
    try:
        return _typed(stored).type
    except msgspec.MsgspecError:
        return "unknown"


class Guarded:
    """An act of a plug-in, whose bugs are failed attempts."""

    __slots__ = ("_act", "_delivery", "place", "type")

    def __init__(self, act: Act, delivery: Delivery) -> None:
        self._act = act
        self._delivery = delivery
        self.type = act.type
        self.place = act.place

    async def perform(self, now: datetime) -> Performed:
        try:
            return await self._act.perform(now)
        except Exception as error:  # noqa: BLE001 - the guard
            return _crashed(error, self._delivery.occurrence_id, self._delivery.confidential)


def _crashed(error: Exception, occurrence: str, confidential: tuple[str, ...] | None) -> Failed:
    """Logged here once, with its traceback; without, where it is not known what must not be in it."""
    told = type(error).__name__ if confidential is None else scrub(format_exc(), confidential)
    log.error("action.crashed", occurrence_id=occurrence, exception=told)
    return Failed(reason=f"internal error: {type(error).__name__}")


async def attempt(work: Work, clock: Clock, random: Random, parking: Parking) -> Settlement | None:
    """Act once on what is held; None: it was not ours any more when it came to that. Never raises."""
    row = work.row
    if work.act is None:
        return dropped(row, Status.CANCELLED, f"{row.callback} was removed", clock.now())
    started_at = clock.now()
    outcome = await work.act.perform(started_at)
    finished_at = clock.now()
    if isinstance(outcome, Withdrawn):
        return None
    if isinstance(outcome, Parked):
        return parking.put_off(row, outcome, finished_at, random)
    if not row.attempt and not row.fallback:
        metrics.LATENESS_SECONDS.observe(max(0.0, (started_at - row.meant_at).total_seconds()))
    if isinstance(outcome, Handed):
        handed = msgspec.structs.replace(outcome, first_at=row.handed_first_at)
        return msgspec.structs.replace(dropped(row, Status.DISPATCHED, None, finished_at), handed=handed)
    count(work.act.type, outcome, started_at, finished_at)
    settled = settlement(row, outcome, work.retry, started_at, finished_at, random.uniform(-1, 1))
    return telling(row, work.policies, settled)


def count(action: str, outcome: Outcome, started_at: datetime, finished_at: datetime) -> None:
    """One attempt has ended."""
    attempts, duration = _counters(action, OUTCOMES[type(outcome)])
    attempts.inc()
    duration.observe(max(0.0, (finished_at - started_at).total_seconds()))


@cache
def _counters(action: str, outcome: str) -> tuple[Counter, Histogram]:
    """Looking a label up takes longer than counting."""
    labels = (action, outcome)
    return metrics.ATTEMPTS.labels(*labels), metrics.DELIVERY_DURATION_SECONDS.labels(*labels)


ENDS = {Status.COMPLETED: "on_success", Status.FAILED: "on_failure"}


def telling(row: Claimed, policies: Policies, settled: Settlement) -> Settlement:
    """With the callback that its end calls for. What tells of another is told of by none."""
    name = ENDS.get(settled.status)
    if name is None or row.callback or getattr(policies, name) is None:
        return settled
    told = {
        "callback": name,
        "occurrence": {
            "id": occurrence_id(row.identity),
            "scheduled_at": row.due_at,
            "status": settled.status,
            "reason": settled.reason,
            "attempt": row.attempt + (settled.outcome is not None),
            "status_code": settled.status_code,
            "response": settled.excerpt,
        },
        "metadata": row.metadata,
    }
    return msgspec.structs.replace(settled, callback=name, payload=msgspec.json.encode(told).decode())


def settlement(
    row: Claimed, outcome: Outcome, retry: Retry, started_at: datetime, finished_at: datetime, jitter: float
) -> Settlement:
    """What becomes of an occurrence after one attempt."""
    pause = next_pause(retry, outcome, row.starts + 1, jitter, finished_at - row.meant_at)
    return Settlement(
        event_id=row.event_id,
        due_at=row.due_at,
        fence=row.fence,
        status=_status(outcome, pause),
        reason=None if isinstance(outcome, Delivered) else outcome.reason,
        fire_at=None if pause is None else finished_at + pause,
        outcome=OUTCOMES[type(outcome)],
        status_code=outcome.status_code,
        excerpt=outcome.excerpt,
        started_at=started_at,
        finished_at=finished_at,
        lane=row.lane,
        row=row,
        gone=row.version if _is_gone(row, outcome) and pause is None else None,
    )


def _is_gone(row: Claimed, outcome: Outcome) -> bool:
    """A callback's endpoint is another than the event's, and so is that of a fallback."""
    return isinstance(outcome, Refused) and outcome.gone and row.callback is None and not row.fallback


def dropped(row: Claimed, status: Status, reason: str | None, now: datetime) -> Settlement:
    """It is not acted on at all, and the ledger says why."""
    return Settlement(
        event_id=row.event_id,
        due_at=row.due_at,
        fence=row.fence,
        status=status,
        reason=reason,
        finished_at=now,
        lane=row.lane,
        row=row,
    )


def _status(outcome: Outcome, pause: timedelta | None) -> Status:
    if isinstance(outcome, Delivered):
        return Status.COMPLETED
    return Status.FAILED if pause is None else Status.SCHEDULED


def _delivery(
    row: Claimed, is_ours: Callable[[], bool], retry: Retry, defaults: Defaults, now: datetime, action: str
) -> Delivery:
    header_secrets, others = header_values(defaults.vault, row, action)
    return Delivery(
        event_id=row.event_id,
        occurrence_id=occurrence_id(row.identity),
        name=row.name,
        description=row.description,
        due_at=row.due_at,
        attempt=row.attempt + 1,
        metadata=row.metadata,
        tags=tuple(row.tags),
        secrets=signing(defaults.vault, row, defaults.secret, now),
        header_secrets=header_secrets,
        other_secrets=(defaults.secret, *others),
        timeout=timedelta(seconds=retry.timeout),
        wanted=is_ours,
    )
