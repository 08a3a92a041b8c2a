"""A calendar file, taken apart into schedules that `parse` takes one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from qhronos.core.recurrence import contentlines, thisandfuture
from qhronos.core.recurrence.contentlines import Component
from qhronos.core.recurrence.lines import to_event
from qhronos.core.recurrence.schedule import parse
from qhronos.core.recurrence.vevents import Calendar, Group, groups, read_event
from qhronos.errors import Invalid

MOST_BYTES = 1024 * 1024
UNTITLED = "Untitled"
OTHERS = ("VTODO", "VJOURNAL")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Parts(NamedTuple):
    master: Component
    overrides: tuple[Component, ...]
    calendar: Calendar


class Imported(NamedTuple):
    """One event of a file. `schedule` is iCalendar text, self-contained, the changed instances in it as EXDATE and RDATE.

    With a `problem` it cannot be taken, and `schedule` is empty. An empty `schedule` without one is only a note: its
    `warnings` say what of the file is no event to create.
    """

    uid: str | None
    name: str
    description: str
    categories: tuple[str, ...]
    schedule: str
    warnings: tuple[str, ...]
    problem: str | None
    parts: Parts | None = None  # of which it was made


def split(text: str | bytes) -> tuple[Imported, ...]:
    """The events of a file. What is wrong with one of them is its `problem`; Invalid, if the file cannot be read at all."""
    if len(text.encode() if isinstance(text, str) else text) > MOST_BYTES:
        raise Invalid(f"file: longer than {MOST_BYTES} bytes; split it", field="file")
    root = contentlines.read(text if isinstance(text, str) else _decoded(text))
    found = [item for group in groups(root) for item in _items(group)]
    return (*found, *_notes(root))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # as old programs write it; takes any bytes


def _notes(root: Component) -> Iterator[Imported]:
    holders = (root, *root.each("VCALENDAR"))
    count = Counter(part.name for holder in holders for part in holder.inside if part.name in OTHERS)
    if count:
        listed = ", ".join(f"{count[name]} {name}" for name in OTHERS if count[name])
        yield Imported(None, "", "", (), "", (f"not events, so not taken: {listed}",), None)


def _items(group: Group) -> Iterator[Imported]:
    if group.master is None:
        for override in group.overrides:
            yield _item(override, (), group.calendar, suffix=_suffix(override))
        return
    try:
        parts = thisandfuture.parts(group.master, group.overrides, group.calendar, LONG_AGO)
    except Invalid as refusal:
        yield _described(group.master, "", (), str(refusal))
        return
    for number, (master, overrides) in enumerate(parts):
        yield _item(master, overrides, group.calendar, suffix=f"#{number + 1}" if number else "")


def _suffix(override: Component) -> str:
    return f"#{override.value('RECURRENCE-ID')}"


def _item(master: Component, overrides: tuple[Component, ...], calendar: Calendar, suffix: str) -> Imported:
    if master.value("STATUS").upper() == "CANCELLED":
        return _described(master, "", ("cancelled, so not taken",), None, suffix)
    try:
        reading = read_event(master, overrides, calendar, LONG_AGO)
        recurrence = parse(reading.said, now=LONG_AGO)
        schedule = to_event(recurrence, floating=reading.said.timezone is None)
    except Invalid as refusal:
        return _described(master, "", (), str(refusal), suffix)
    warnings = (*reading.warnings, *_changed(master, overrides))
    return _described(master, schedule, warnings, None, suffix)._replace(parts=Parts(master, overrides, calendar))


def _changed(master: Component, overrides: tuple[Component, ...]) -> Iterator[str]:
    """Instances that say something else than the series does."""
    for override in overrides:
        names = [name for name in ("SUMMARY", "DESCRIPTION") if override.text(name) not in {"", master.text(name)}]
        if names and override.value("STATUS").upper() != "CANCELLED":
            yield f"{override.value('RECURRENCE-ID')}: of this instance only the time is kept, not its {' and '.join(names)}"


def _described(
    component: Component, schedule: str, warnings: tuple[str, ...], problem: str | None, suffix: str = ""
) -> Imported:
    uid = component.text("UID")
    return Imported(
        uid=uid + suffix if uid else None,
        name=component.text("SUMMARY") or UNTITLED,
        description=component.text("DESCRIPTION"),
        categories=tuple(
            dict.fromkeys(word for value in component.values("CATEGORIES") for word in contentlines.texts(value))
        ),
        schedule=schedule,
        warnings=warnings,
        problem=problem,
    )
