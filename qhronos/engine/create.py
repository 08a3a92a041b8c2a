"""Creating events: whatever arrives while a transaction is in flight shares the next one.

A group writes the events with their versions and first occurrences, the audit rows and what was answered to each
Idempotency-Key, and commits once. One that fails is tried again in halves, so that a bad item fails alone.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

from qhronos.clock import Clock
from qhronos.core.vault import Vault
from qhronos.engine.draft import Prepared
from qhronos.engine.group import GroupCommit
from qhronos.engine.notify import announce
from qhronos.engine.secrets import seal_new
from qhronos.engine.stores import Stores
from qhronos.errors import Contended, Invalid, QhronosError
from qhronos.store import Connection, audit, events, expansion, idempotency, pending, secrets
from qhronos.store.idempotency import MISUSED, Answer, Request
from qhronos.store.pending import Entry


class Creation(NamedTuple):
    prepared: Prepared
    change: audit.Change
    request: Request | None
    answer: Answer | None  # to keep for a repeat of `request`

    @property
    def id(self) -> UUID:
        return self.prepared.event.id


class Created(enum.Enum):
    DONE = "done"
    KEY_TAKEN = "key taken"  # a live event has the key; nothing was written


# An Answer was given before, to the same request. An error is of this item alone.
Result: TypeAlias = Created | Answer | QhronosError


class Creator:
    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock
        self._group = GroupCommit(self.create_many)

    async def create(self, creation: Creation) -> Created | Answer:
        """Returns after the commit that holds it. Raises what concerns it alone."""
        result = await self._group.submit(creation)
        if isinstance(result, QhronosError):
            raise result
        return result

    async def create_many(self, creations: Sequence[Creation]) -> list[Result]:
        """In as few transactions as it takes; a result for each, in order."""
        try:
            results = await self._create_all(creations)
        except (Invalid, Contended) as error:
            if len(creations) == 1:
                return [error]
            half = len(creations) // 2
            return [*await self.create_many(creations[:half]), *await self.create_many(creations[half:])]
        return [results[creation.id] for creation in creations]

    async def _create_all(self, creations: Sequence[Creation]) -> dict[UUID, Result]:
        results: dict[UUID, Result] = {}
        left = list(creations)
        while left:
            first, again, taken = distinct(left)
            async with self._stores.database.transaction() as conn:
                written, opened = await write(conn, first, self._clock, self._stores.vault)
            tell_created(self._stores, first, written)
            await announce(self._stores, opened, self._clock.now())
            results |= written | dict.fromkeys((creation.id for creation in taken), Created.KEY_TAKEN)
            left = again
        return results


def tell_created(stores: Stores, creations: Sequence[Creation], results: Mapping[UUID, Result]) -> None:
    """After the commit."""
    made = [one.prepared.event for one in creations if results.get(one.id) is Created.DONE]
    stores.announcer.changed("created", made)


async def write(
    conn: Connection, creations: Sequence[Creation], clock: Clock, vault: Vault
) -> tuple[dict[UUID, Result], list[Entry]]:
    """All of them in the caller's transaction: the result for each, and the occurrences opened. See `distinct`.

    Raises Invalid for what no secret can be sealed or found of."""
    results: dict[UUID, Result] = {}
    fresh = await _claim_keys(conn, creations, results, clock)
    made = await events.insert(conn, [creation.prepared.event for creation in fresh])
    taken = [creation for creation in fresh if creation.id not in made]
    await idempotency.release(conn, [creation.request for creation in taken if creation.request])
    fresh = [creation for creation in fresh if creation.id in made]
    sealed = [seal_new(vault, creation.id, creation.prepared.secrets) for creation in fresh]
    await secrets.put(conn, [row for row in sealed if row])
    opened = await pending.insert(conn, [row for creation in fresh for row in creation.prepared.rows])
    await expansion.record_gaps(conn, [creation.prepared.gap for creation in fresh if creation.prepared.gap])
    await audit.record(conn, *(creation.change for creation in fresh))
    results |= dict.fromkeys((creation.id for creation in taken), Created.KEY_TAKEN)
    results |= dict.fromkeys(made, Created.DONE)
    return results, opened


async def _claim_keys(
    conn: Connection, creations: Sequence[Creation], results: dict[UUID, Result], clock: Clock
) -> list[Creation]:
    """Those that were not asked for before; the others have their result."""
    asked = [creation for creation in creations if creation.request]
    requests = [(creation.request, creation.answer) for creation in asked if creation.request]
    new = await idempotency.claim_many(conn, requests, clock.now())
    known = await idempotency.find(conn, [request for request, _ in requests if request[:2] not in new])
    for creation in asked:
        if creation.request and creation.request[:2] not in new:
            misused = Invalid(MISUSED, field="Idempotency-Key")
            results[creation.id] = known.get(creation.request, misused)
    return [creation for creation in creations if creation.id not in results]


def distinct(creations: Sequence[Creation]) -> tuple[list[Creation], list[Creation], list[Creation]]:
    """Those that may share a transaction; those that repeat a request of them, to be asked again after it; and those
    that want a key that one of them takes."""
    requests: set[tuple[str, str]] = set()
    keys: set[str] = set()
    first: list[Creation] = []
    again: list[Creation] = []
    taken: list[Creation] = []
    for creation in creations:
        key = creation.prepared.event.key
        if creation.request and creation.request[:2] in requests:
            again.append(creation)
        elif key and key in keys:
            taken.append(creation)
        else:
            first.append(creation)
            requests |= {creation.request[:2]} if creation.request else set()
            keys |= {key} if key else set()
    return first, again, taken
