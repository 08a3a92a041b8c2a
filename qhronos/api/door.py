"""Who may come in by another way than HTTP: the same tokens, checked in the same way, but that here an end is an end.

A request is over before it matters whether clocks differ a little. A socket stays, and is closed when its token ends; let in
once more for the sake of such a difference, it would be closed again at once.
"""

from __future__ import annotations

from qhronos.api.auth import Access, Caller, Keyring
from qhronos.api.revocation import Revocations
from qhronos.clock import Clock
from qhronos.errors import Unauthenticated


class Door:
    def __init__(self, keyring: Keyring, revocations: Revocations, clock: Clock) -> None:
        self._keyring = keyring
        self._revocations = revocations
        self._clock = clock

    async def admit(self, token: str) -> Caller:
        """Raises Unauthenticated, Denied, and Unavailable when nobody knows."""
        if " " in token.strip():  # in a header it would be another scheme
            raise Unauthenticated("invalid token")
        now = self._clock.now()
        caller = self._keyring.authenticate(f"Bearer {token}", now)
        if caller.expires_at and caller.expires_at <= now:
            raise Unauthenticated("token has expired")
        if caller.token_id:
            await self._revocations.check(caller.token_id)
        caller.require(Access.READ)
        return caller
