"""Who asks for a change."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from qhronos.store import audit


class Actor(NamedTuple):
    """`scope`: only events with one of these tags exist for them; None is all."""

    subject: str
    token_id: UUID | None
    request_id: str
    scope: list[str] | None

    def did(self, action: str, object_id: object, at: datetime, details: dict[str, Any]) -> audit.Change:
        """The audit row; `details` never holds a secret."""
        return audit.Change(
            at=at,
            actor=self.subject,
            token_id=self.token_id,
            action=action,
            object=str(object_id),
            request_id=self.request_id,
            details=details,
        )
