"""What a client writes down about an event: the bodies of POST, PUT and PATCH, and what they say to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from qhronos import actions
from qhronos.core.event import Delay, EventStatus, Expiry, LaneKey, LaneLimit, Misfire, Overlap, Policies, Priority
from qhronos.core.recurrence.model import Dst, Roll, Subdaily
from qhronos.core.recurrence.rule import MOST_COUNT
from qhronos.core.retry import Retry
from qhronos.core.signing import check_secret
from qhronos.engine.calendars import Known, snapshot
from qhronos.engine.draft import Fields
from qhronos.engine.secrets import CALLBACKS
from qhronos.errors import Invalid
from qhronos.http import Egress

Secrets: TypeAlias = dict[str, Mapping[str, str | None]]  # by action and header; None for a value that is to stay

LONGEST_JSON = 256 * 1024  # bytes, of metadata or a schedule
LONGEST_NAME, LONGEST_KEY, LONGEST_TAG, MOST_TAGS = 255, 255, 100, 50
YEARS = range(1900, 3000)
NO_ACTION = "either action object or a non-empty webhook string is required"

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Description = Annotated[str, Meta(max_length=10_000)]
Key = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_KEY, description="Chosen by the client; creating it again edits it.")
]
Start = Annotated[
    datetime, Meta(description="RFC 3339; without an offset it is wall time in `timezone`. Now, if left out.")
]
Zone = Annotated[str, Meta(min_length=1, max_length=100, description="IANA name; UTC if left out.")]
Schedule = Annotated[
    Any,
    Meta(description="RRULE text, an object with `frequency`, or with `rrule`, `rdate`, `exdate`. Null: once."),
]
Calendars = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=63)], ...],
    Meta(max_length=10, description="Names of calendars; what falls on a day that one of them closes is rolled."),
]
Action = Annotated[
    msgspec.Raw,
    Meta(
        description="What is to happen.",
        extra_json_schema={
            "type": "object",
            "required": ["type", "params"],
            "properties": {"type": {"enum": sorted(actions.TYPES)}, "params": {"type": "object"}},
        },
    ),
]
Webhook = Annotated[str, Meta(max_length=2048, description="The URL alone, as the first Qhronos took it.")]
Metadata = Annotated[Any, Meta(description="Any JSON; sent along with every delivery.")]
Tag = Annotated[str, Meta(min_length=1, max_length=LONGEST_TAG)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=MOST_TAGS)]
Secret = Annotated[str, Meta(min_length=1, max_length=512, description="Signs the deliveries. Never shown again.")]
SecretOverlap = Annotated[
    float,
    Meta(ge=0, le=604_800, description="Seconds for which what signed before signs as well; a day if left out."),
]
Urgent = Annotated[Priority, Meta(description="What is due goes before what has less, where hands are short.")]
Useful = Annotated[Expiry, Meta(description="Seconds after which an occurrence is of no use: then it is skipped.")]
Flex = Annotated[Delay, Meta(description="Seconds; each event acts always as much later, somewhere within them.")]
Jitter = Annotated[Delay, Meta(description="Seconds; each occurrence acts as much later, somewhere within them.")]
Most = Annotated[int, Meta(ge=1, le=MOST_COUNT, description="COUNT of the rule; null: without one.")]
ConcurrencyKey = Annotated[
    LaneKey, Meta(description="Of all events with this key, `concurrency_limit` occurrences are under way at once.")
]
ConcurrencyLimit = Annotated[
    LaneLimit, Meta(description="Beside `concurrency_key`. Of several events' limits the smallest holds.")
]
OrderingKey = Annotated[
    LaneKey, Meta(description="Of all events with this key one occurrence after the other, in the order of instants.")
]


class Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both new events and edits may say. Null brings back the default."""

    description: Description | UnsetType | None = UNSET
    key: Key | UnsetType | None = UNSET
    start_time: Start | UnsetType | None = UNSET
    timezone: Zone | UnsetType | None = UNSET
    schedule: Schedule | UnsetType = UNSET
    dst: Dst | UnsetType | None = UNSET
    subdaily: Subdaily | UnsetType | None = UNSET
    calendars: Calendars | UnsetType | None = UNSET
    roll: Roll | UnsetType | None = UNSET
    action: Action | UnsetType = UNSET
    webhook: Webhook | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    tags: Tags | UnsetType | None = UNSET
    hmac_secret: Secret | UnsetType | None = UNSET
    hmac_secret_overlap: SecretOverlap | UnsetType | None = UNSET
    retry: Retry | UnsetType | None = UNSET
    misfire: Misfire | UnsetType | None = UNSET
    overlap: Overlap | UnsetType | None = UNSET
    priority: Urgent | UnsetType | None = UNSET
    expires_after: Useful | UnsetType | None = UNSET
    flex_window: Flex | UnsetType | None = UNSET
    jitter: Jitter | UnsetType | None = UNSET
    max_occurrences: Most | UnsetType | None = UNSET
    concurrency_key: ConcurrencyKey | UnsetType | None = UNSET
    concurrency_limit: ConcurrencyLimit | UnsetType | None = UNSET
    ordering_key: OrderingKey | UnsetType | None = UNSET
    on_success: Action | UnsetType = UNSET
    on_failure: Action | UnsetType = UNSET


class NewEvent(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `action` or `webhook` says what is to happen; `action` wins."""

    name: Name


class EventEdit(Said, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    name: Name | UnsetType = UNSET
    status: (
        Annotated[Literal["active", "paused", "inactive"], Meta(description="Resumes or pauses, as PUT once did.")]
        | UnsetType
    ) = UNSET


def fields_of(body: Said, egress: Egress, known: Known) -> Fields:
    """The same, vetted, in the words of the engine; `known` are the calendars it may name. Raises Invalid with the field."""
    if isinstance(body.start_time, datetime) and body.start_time.year not in YEARS:
        raise Invalid(f"start_time: must lie between {YEARS[0]} and {YEARS[-1]}", field="start_time")
    if isinstance(body.hmac_secret, str):
        check_secret(body.hmac_secret)
    if not isinstance(body.schedule, UnsetType | None):
        encode_bounded(body.schedule, "schedule")
    header_secrets: Secrets = {}
    return Fields(
        name=getattr(body, "name", UNSET),
        description="" if body.description is None else body.description,
        key=body.key,
        start_time=body.start_time,
        timezone=body.timezone,
        schedule=body.schedule,
        dst=body.dst,
        subdaily=body.subdaily,
        business=UNSET if isinstance(body.calendars, UnsetType) else snapshot(body.calendars or (), known),
        roll=body.roll,
        action=_action(body, egress, header_secrets),
        header_secrets=header_secrets,
        metadata=_metadata(body.metadata),
        tags=_tags(body.tags),
        hmac_secret=body.hmac_secret,
        hmac_secret_overlap=body.hmac_secret_overlap,
        most=body.max_occurrences,
        policies=_policies(body, egress, header_secrets),
    )


POLICIES = [name for name in Policies.__struct_fields__ if name not in CALLBACKS]


def _policies(body: Said, egress: Egress, secrets: Secrets) -> dict[str, object]:
    """Those that were said, by name; the values of secret headers are kept apart, in `secrets`."""
    said: dict[str, object] = {name: value for name in POLICIES if (value := getattr(body, name)) is not UNSET}
    given = [name for name in CALLBACKS if getattr(body, name) is not UNSET]
    return said | {name: _callback(getattr(body, name), name, egress, secrets) for name in given}


def _callback(raw: msgspec.Raw, field: str, egress: Egress, secrets: Secrets) -> dict[str, Any] | None:
    if bytes(raw) == b"null":
        secrets[field] = {}
        return None
    action, values = actions.conceal(actions.parse(raw, egress, field), field)
    secrets |= values
    return msgspec.json.decode(actions.encode(action), type=dict[str, Any])


def new_fields_of(body: NewEvent, egress: Egress, known: Known) -> Fields:
    """Of an event that there is not yet, which needs an action."""
    fields = fields_of(body, egress, known)
    if fields.action is UNSET:
        raise Invalid(NO_ACTION, field="action")
    return fields


def calendars_of(body: Said) -> tuple[str, ...]:
    """The names of those that it names."""
    return () if isinstance(body.calendars, UnsetType) else body.calendars or ()


def status_of(edit: EventEdit) -> EventStatus | None:
    """The status that an edit asks for: the first Qhronos paused that way, and had two words for it."""
    if edit.status is UNSET:
        return None
    return EventStatus.ACTIVE if edit.status == "active" else EventStatus.PAUSED


def encode_bounded(value: object, field: str) -> msgspec.Raw:
    """As JSON, which must not be too long."""
    encoded = msgspec.json.encode(value)
    if len(encoded) > LONGEST_JSON:
        raise Invalid(f"{field}: longer than {LONGEST_JSON // 1024} KiB", field=field)
    return msgspec.Raw(encoded)


def _action(body: Said, egress: Egress, secrets: Secrets) -> msgspec.Raw | UnsetType:
    """As it is stored; the values of its secret headers are kept apart, in `secrets`."""
    if body.action is not UNSET and bytes(body.action) != b"null":
        action, values = actions.conceal(actions.parse(body.action, egress), "action")
        secrets |= values
        return msgspec.Raw(actions.encode(action))
    if isinstance(body.webhook, str):
        secrets["action"] = {}
        return msgspec.Raw(actions.encode(actions.from_legacy(body.webhook, egress)))
    if body.action is not UNSET:
        raise Invalid(NO_ACTION, field="action")
    return UNSET


def _metadata(metadata: object) -> msgspec.Raw | UnsetType:
    if metadata is UNSET:
        return UNSET
    return encode_bounded({} if metadata is None else metadata, "metadata")


def _tags(tags: tuple[str, ...] | UnsetType | None) -> tuple[str, ...] | UnsetType:
    return tags if isinstance(tags, UnsetType) else tuple(dict.fromkeys(tags or ()))
