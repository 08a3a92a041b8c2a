"""Who may come in by another way than HTTP: the same tokens, checked in the same way."""

from __future__ import annotations

from qhronos.api.auth import Access, Caller, Keyring
from qhronos.api.revocation import Revocations
from qhronos.clock import Clock


class Door:
    def __init__(self, keyring: Keyring, revocations: Revocations, clock: Clock) -> None:
        self._keyring = keyring
        self._revocations = revocations
        self._clock = clock

    async def admit(self, token: str) -> Caller:
        """Raises Unauthenticated, Denied, and Unavailable when nobody knows."""
        caller = self._keyring.authenticate(f"Bearer {token}", self._clock.now())
        if caller.token_id:
            await self._revocations.check(caller.token_id)
        caller.require(Access.READ)
        return caller
