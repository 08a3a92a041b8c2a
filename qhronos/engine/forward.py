"""What a client forwards to an endpoint of its own: as a webhook would have been sent to it, signed here, where secrets stay."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from qhronos.actions.forwarded import forwarded
from qhronos.clock import Clock
from qhronos.engine.deliver import Defaults
from qhronos.engine.secrets import signing
from qhronos.errors import Locked
from qhronos.http.headers import Headers
from qhronos.log import get_logger
from qhronos.store import Database, secrets
from qhronos.store.pending import Claimed
from qhronos.store.secrets import Sealed

log = get_logger()


class Letter(NamedTuple):
    headers: Headers
    body: bytes


class Signer:
    """Signs with the secrets of the event; with the usual one where it has none."""

    def __init__(self, database: Database, defaults: Defaults, clock: Clock) -> None:
        self._database = database
        self._defaults = defaults
        self._clock = clock

    @property
    def can_sign(self) -> bool:
        return bool(self._defaults.secret)

    async def letter(self, row: Claimed, frame: str) -> Letter | str:
        """For a message that is sent now, with this frame; why there is none, if its secrets cannot be opened. Raises
        Unavailable."""
        async with self._database.connection() as conn:
            sealed = await secrets.get(conn, row.event_id)
        now = self._clock.now()
        try:
            signed_with = signing(self._defaults.vault, _with(row, sealed), self._defaults.secret, now)
        except Locked as error:
            log.error("secrets.locked", event_id=str(row.event_id), error=str(error))  # noqa: TRY400 - no bug
            return f"the secrets of event {row.event_id} cannot be opened: {error}"
        return Letter(*forwarded(frame, signed_with, now))


def _with(row: Claimed, sealed: Sealed) -> Claimed:
    """A message is read without the secrets of its event."""
    return msgspec.structs.replace(
        row,
        hmac_plain=sealed.hmac_plain,
        hmac_sealed=sealed.hmac_sealed,
        hmac_previous=sealed.hmac_previous,
        hmac_previous_until=sealed.hmac_previous_until,
    )
