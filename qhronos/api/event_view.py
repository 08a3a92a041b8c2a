"""An event as everybody sees it: the same shape in every answer. It never holds the signing secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Meta, Struct

from qhronos import actions
from qhronos.api.event_body import Action
from qhronos.api.recurrences import RecurrenceView, canonical
from qhronos.core.event import EventStatus, Misfire, Overlap, Policies
from qhronos.core.occurrence import Identity, occurrence_id
from qhronos.core.recurrence import describe
from qhronos.core.recurrence.counting import most_of
from qhronos.core.recurrence.model import Dst, Recurrence, Roll, Subdaily
from qhronos.core.retry import Retry
from qhronos.engine.change import etag
from qhronos.engine.draft import Prepared, policies_of, recurrence_of
from qhronos.store.events import Event
from qhronos.store.idempotency import Answer


class EventView(Struct, frozen=True, kw_only=True):
    id: UUID
    key: str | None
    name: str
    description: str
    start_time: datetime
    timezone: str
    schedule: Annotated[msgspec.Raw, Meta(description="As it was written; null for once.")]
    recurrence: RecurrenceView
    words: Annotated[str, Meta(description="The recurrence in words.")]
    dst: Dst
    subdaily: Subdaily
    calendars: tuple[str, ...]
    roll: Annotated[Roll, Meta(description="What becomes of an occurrence on a closed day.")]
    action: Action
    webhook: Annotated[str | None, Meta(description="The URL of a webhook, as the first Qhronos showed it.")]
    metadata: msgspec.Raw
    tags: tuple[str, ...]
    has_hmac_secret: bool
    hmac_overlap_until: Annotated[datetime | None, Meta(description="Until then what signed before signs as well.")]
    retry: Annotated[Retry | None, Meta(description="Null: as the service is configured.")]
    misfire: Misfire
    overlap: Overlap
    priority: int
    expires_after: float | None
    flex_window: float
    jitter: float
    max_occurrences: Annotated[int | None, Meta(description="COUNT of its rule.")]
    concurrency_key: str | None
    concurrency_limit: int
    ordering_key: str | None
    on_success: Annotated[dict[str, Any] | None, Meta(description="The action that tells of a success.")]
    on_failure: Annotated[dict[str, Any] | None, Meta(description="The action that tells of a failure.")]
    status: EventStatus
    reason: Annotated[str | None, Meta(description="Why it is paused or in error.")]
    paused_until: Annotated[datetime | None, Meta(description="When it resumes by itself.")]
    version: int
    next_due_at: datetime | None
    created_at: datetime
    updated_at: datetime


class RunView(EventView, frozen=True, kw_only=True):
    occurrence_id: str


NULL = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder().encode


def view_of(event: Event) -> EventView:
    return _view(event, recurrence_of(event), policies_of(event))


def _view(event: Event, recurrence: Recurrence, policies: Policies) -> EventView:
    return EventView(
        id=event.id,
        key=event.key,
        name=event.name,
        description=event.description,
        start_time=event.start_time,
        timezone=event.timezone,
        schedule=event.schedule or NULL,
        recurrence=canonical(recurrence),
        words=describe(recurrence),
        dst=recurrence.dst,
        subdaily=recurrence.subdaily,
        calendars=recurrence.business.calendars if recurrence.business else (),
        roll=recurrence.business.roll if recurrence.business else Roll.SKIP,
        action=event.action,
        webhook=actions.decode(event.action).legacy,
        metadata=event.metadata,
        tags=tuple(event.tags),
        has_hmac_secret=event.has_hmac_secret,
        hmac_overlap_until=event.hmac_overlap_until,
        max_occurrences=most_of(recurrence),
        **{name: getattr(policies, name) for name in policies.__struct_fields__},
        status=EventStatus(event.status),
        reason=event.reason,
        paused_until=event.paused_until,
        version=event.version,
        next_due_at=event.upcoming,
        created_at=event.created_at,
        updated_at=event.updated_at,
    )


def run_view_of(event: Event, identity: Identity) -> RunView:
    return RunView(**msgspec.structs.asdict(view_of(event)), occurrence_id=occurrence_id(identity))


def answer_of(view: EventView, status: int, event: Event, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer as bytes: what is kept for a repeat of the request is what was sent."""
    return Answer(status, {"ETag": f'"{etag(event)}"', **(headers or {})}, _encode(view))


def created(prepared: Prepared) -> Answer:
    event = prepared.event
    view = _view(event, prepared.recurrence, prepared.policies)
    return answer_of(view, 201, event, {"Location": f"/events/{event.id}"})


def respond(answer: Answer) -> Response[bytes]:
    replayed = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return Response(
        answer.body, status_code=answer.status, headers={**answer.headers, **replayed}, media_type="application/json"
    )
