"""What a client forwards to an endpoint of its own: as a webhook would have been sent to it, signed here, where secrets stay."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from qhronos.actions import webhook
from qhronos.core.vault import Vault
from qhronos.engine.secrets import signing
from qhronos.http.headers import Headers
from qhronos.store.outbox import Sending
from qhronos.store.secrets import Sealed


class Letter(NamedTuple):
    headers: Headers
    body: bytes


class Signer:
    """Signs with the secrets of the event; with the usual one where it has none."""

    def __init__(self, vault: Vault, secret: str) -> None:
        self._vault = vault
        self._secret = secret

    @property
    def can_sign(self) -> bool:
        return bool(self._secret)

    def letter(self, message: Sending, sealed: Sealed, now: datetime) -> Letter:
        """A message that is sent now. Raises Locked."""
        row = msgspec.structs.replace(
            message,
            hmac_plain=sealed.hmac_plain,
            hmac_sealed=sealed.hmac_sealed,
            hmac_previous=sealed.hmac_previous,
            hmac_previous_until=sealed.hmac_previous_until,
        )
        return Letter(*webhook.forwarded(message.frame, signing(self._vault, row, self._secret, now), now))
