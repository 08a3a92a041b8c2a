"""A file of events taken apart: one piece for each, as the body that would create it, or with what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, UnsetType

from qhronos.api.event_body import LONGEST_KEY, LONGEST_NAME, LONGEST_TAG, MOST_TAGS, Action, Tag, Tags, Zone
from qhronos.api.reading import decode
from qhronos.core import crontab
from qhronos.core.recurrence import brings
from qhronos.core.recurrence.imported import Imported, split
from qhronos.errors import Invalid

LONGEST_DESCRIPTION = 10_000

Format = Literal["ics", "crontab", "json"]


class Import(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Format
    text: Annotated[str, Meta(description="The file, up to 1 MiB.")]
    action: Annotated[Action, Meta(description="What each is to do that names no action of its own.")] | UnsetType = (
        msgspec.UNSET
    )
    timezone: Annotated[Zone, Meta(description="Of times that name no zone of their own.")] | None = None
    tags: Annotated[Tags, Meta(description="Given to each, beside its own.")] = ()
    dry_run: Annotated[bool, Meta(description="Compute everything, write nothing.")] = False


class Listed(Struct, frozen=True, forbid_unknown_fields=True):
    """What an export holds."""

    events: list[dict[str, Any]]


class Piece(NamedTuple):
    """`problem`: why there is no body."""

    name: str
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()
    problem: str | None = None


class Pieces(NamedTuple):
    items: list[Piece]
    warnings: tuple[str, ...] = ()


def take_apart(data: Import, now: datetime) -> Pieces:
    """May take a moment. Raises Invalid and Malformed for a file that is not of its format."""
    match data.format:
        case "crontab":
            return _crontab(data)
        case "ics":
            return _ics(data, now)
        case "json":
            return _json(data, now)


def _crontab(data: Import) -> Pieces:
    read = crontab.read(data.text)
    return Pieces([_line_piece(line, data) for line in read.lines], read.warnings)


def _line_piece(line: crontab.Line, data: Import) -> Piece:
    if line.problem is not None:
        return Piece(_fitting(line.command or line.schedule, LONGEST_NAME), {}, (), line.problem)
    zone = line.timezone or data.timezone
    body = {
        "name": _fitting(line.command, LONGEST_NAME),
        "key": _digest("crontab", zone or "", line.schedule, line.command),
        "schedule": line.schedule,
        "metadata": {"command": line.command},
        "tags": list(data.tags),
        **_action(data),
        **({"timezone": zone} if zone else {}),
    }
    return Piece(body["name"], body)


def _ics(data: Import, now: datetime) -> Pieces:
    found = split(data.text)
    if not found and "BEGIN:VCALENDAR" not in data.text.upper():
        raise Invalid("text: no calendar; one begins with BEGIN:VCALENDAR", field="text")
    notes = [one for one in found if one.problem is None and not one.schedule]
    pieces = [_calendar_piece(one, data, now) for one in found if one not in notes]
    said = [f"{one.name}: {text}" if one.name else text for one in notes for text in one.warnings]
    return Pieces(pieces, tuple(said))


def _calendar_piece(one: Imported, data: Import, now: datetime) -> Piece:
    name = _fitting(one.name, LONGEST_NAME)
    if one.problem is not None:
        return Piece(name, {}, one.warnings, one.problem)
    tags, warnings = _tags(one.categories, data.tags)
    body = {
        "name": name,
        "key": _uid_key(one),
        "description": _fitting(one.description, LONGEST_DESCRIPTION),
        "schedule": one.schedule,
        "tags": tags,
        **_action(data),
    }
    return Piece(name, _placed(body, data, now), (*one.warnings, *warnings))


def _uid_key(one: Imported) -> str:
    if one.uid is None:
        return _digest("ics", one.name, one.schedule)
    return one.uid if len(one.uid) <= LONGEST_KEY else _digest("ics", one.uid)


def _json(data: Import, now: datetime) -> Pieces:
    """What an export holds, or the list in it alone."""
    kind = list[dict[str, Any]] if data.text.lstrip().startswith("[") else Listed
    read = decode(data.text.encode(), kind)
    return Pieces([_body_piece(body, data, now) for body in (read.events if isinstance(read, Listed) else read)])


def _body_piece(body: dict[str, Any], data: Import, now: datetime) -> Piece:
    own = body.get("tags")
    said = {**body}
    if data.tags:
        said["tags"] = list(dict.fromkeys([*own, *data.tags])) if isinstance(own, list) else list(data.tags)
    if body.get("action") is None and body.get("webhook") is None:
        said |= _action(data)
    return Piece(str(body.get("name", "")), _placed(said, data, now))


def _placed(body: dict[str, Any], data: Import, now: datetime) -> dict[str, Any]:
    """With the zone of the request, where neither the event nor its schedule names one."""
    if data.timezone is None or body.get("timezone") is not None:
        return body
    try:
        names_one = "timezone" in brings(body.get("schedule"), now=now, timezone=data.timezone)
    except Invalid:
        names_one = True  # refused when it is judged, with its reason
    return body if names_one else {**body, "timezone": data.timezone}


def _action(data: Import) -> dict[str, Any]:
    return {} if isinstance(data.action, UnsetType) else {"action": data.action}


def _tags(categories: Sequence[str], given: Sequence[Tag]) -> tuple[list[str], Iterator[str]]:
    """As many as an event may have, and what is said of the others."""
    wanted = list(dict.fromkeys([*given, *filter(None, categories)]))
    fit = [tag for tag in wanted if len(tag) <= LONGEST_TAG][:MOST_TAGS]
    return fit, (
        f"CATEGORIES: {tag[:40]!r} is passed over: too long, or one too many" for tag in wanted if tag not in fit
    )


def _fitting(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _digest(kind: str, *parts: str) -> str:
    """A key that stays the same as long as the parts do."""
    return f"{kind}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"
