"""Going over what is stored of secrets: what is plain is sealed, what has an older key gets the newest, what no longer signs
is forgotten. A page at a time, so that it can be cut short anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from qhronos.core.vault import Vault
from qhronos.engine.secrets import is_outdated, renewed
from qhronos.errors import Locked
from qhronos.store import Database, secrets
from qhronos.store.secrets import FIRST, Sealed

AT_ONCE = 500


class Page(NamedTuple):
    """What became of one."""

    renewed: int = 0
    locked: tuple[tuple[UUID, str], ...] = ()  # events whose secrets cannot be opened, and why
    passed_over: int = 0  # events that somebody else was editing
    is_last: bool = True

    def joined(self, other: Page) -> Page:
        """Both in one, as far as the later has come."""
        return Page(
            self.renewed + other.renewed,
            self.locked + other.locked,
            self.passed_over + other.passed_over,
            other.is_last,
        )


class Sealing:
    """Passes over all events that have secrets, one after the other."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._after = FIRST

    async def proceed(self, now: datetime) -> Page:
        """A page further. After the last one the next call begins anew."""
        async with self._database.transaction() as conn:
            await secrets.end_overlaps(conn, now, AT_ONCE)
            if self._vault.is_empty:
                return Page()
            rows = await secrets.page(conn, self._after, AT_ONCE)
            outdated = [row.id for row in rows if is_outdated(self._vault, row)]
            held = await secrets.hold(conn, outdated)
            found, locked = await asyncio.to_thread(self._renew, held)
            await secrets.put(conn, found)
        self._after = rows[-1].id if len(rows) == AT_ONCE else FIRST
        return Page(len(found), tuple(locked), len(outdated) - len(held), self._after == FIRST)

    def _renew(self, rows: Sequence[Sealed]) -> tuple[list[Sealed], list[tuple[UUID, str]]]:
        found, locked = [], []
        for row in rows:
            try:
                found.append(renewed(self._vault, row))
            except Locked as error:
                locked.append((row.id, str(error)))
        return found, locked
