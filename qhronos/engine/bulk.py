"""Many events at once, all or none."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from qhronos.engine.actor import Actor
from qhronos.engine.change import Change, Changes, begin_by_key
from qhronos.engine.create import Created, Creation, Result, distinct, tell_created, write
from qhronos.engine.draft import Fields
from qhronos.engine.notify import announce
from qhronos.errors import Conflict, Invalid, Refusal
from qhronos.store import Connection
from qhronos.store.events import Event
from qhronos.store.pending import Entry


async def create_together(
    machinery: Changes, actor: Actor, creations: Sequence[Creation], said: Sequence[Fields]
) -> list[Event | None]:
    """Create all in one transaction; one whose key is taken edits that event, which is then returned in its place.

    Raises Invalid with the place of the one that stops all.
    """
    edits: dict[int, Change] = {}
    async with machinery.stores.database.transaction() as conn:
        results, opened = await _write_new(conn, creations, machinery)
        for place, creation in enumerate(creations):
            if results.get(creation.id) is not Created.DONE:
                edits[place] = await _edit(conn, machinery, actor, said[place], place)
    tell_created(machinery.stores, creations, results)
    await announce(machinery.stores, opened, machinery.clock.now())
    for change in edits.values():
        await machinery.tell(change)
    return [edits[place].event if place in edits else None for place in range(len(creations))]


async def _write_new(
    conn: Connection, creations: Sequence[Creation], machinery: Changes
) -> tuple[dict[UUID, Result], list[Entry]]:
    """What became of them, and what was opened. Those whose key is taken, by an event or by one before them in the list, are
    not done."""
    first, _, _ = distinct(creations)  # none carries a request of its own
    return await write(conn, first, machinery.clock, machinery.stores.vault)


async def _edit(conn: Connection, machinery: Changes, actor: Actor, fields: Fields, place: int) -> Change:
    try:
        change = await begin_by_key(conn, actor, str(fields.key), machinery.clock)
        if change is None:
            raise Conflict("another request has just deleted the event with this key; try again", field="key")
        await machinery.apply(change, fields)
    except Refusal as error:
        field = f"events[{place}]" + (f".{error.field}" if error.field else "")
        raise Invalid(f"events[{place}]: {error}", field=field) from error
    return change
