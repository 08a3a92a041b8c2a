"""Messages forwarded to a port of the user's own, judged as the webhook action judges endpoints."""

from __future__ import annotations

from typing import Any, NamedTuple

from qhronos.actions import endpoint, webhook
from qhronos.clock import Clock
from qhronos.core.attempt import Delivered, Failed, Outcome, Refused
from qhronos.errors import Invalid, Unreachable
from qhronos.http import Client, Egress, Request, Response, url
from qhronos.http.headers import Headers

TIMEOUT = 10.0
LONGEST_DELAY = 604_800.0  # seconds; more is not taken for a pause


class Answer(NamedTuple):
    """What the port said, and what follows from that."""

    status: int | None  # None: it did not answer
    outcome: Outcome
    took_ms: float

    @property
    def reason(self) -> str | None:
        return None if isinstance(self.outcome, Delivered) else self.outcome.reason

    def word(self, frame: dict[str, Any]) -> dict[str, Any]:
        """To the gateway. The yes is about the occurrence, and holds for a later attempt as well; the no is about this one."""
        if isinstance(self.outcome, Delivered):
            return {"type": "ack", "occurrence_id": frame["occurrence_id"]}
        word = {"type": "nack", "seq": frame["seq"], "reason": self.outcome.reason}
        if isinstance(self.outcome, Refused):
            return word | {"final": True}
        if self.outcome.retry_after is None:
            return word
        return word | {"delay": min(LONGEST_DELAY, self.outcome.retry_after.total_seconds())}


class Forwarder:
    """It goes wherever the user says: the port is theirs, and so is the machine. What it costs is bounded all the same."""

    def __init__(self, address: str, clock: Clock) -> None:
        """Raises Invalid for an address that is none."""
        try:
            target = url.parse(address if "://" in address else f"http://{address}")
        except Invalid as error:
            raise Invalid(f"--forward-to: {error}", field="--forward-to") from error
        self.address = target.origin + target.target
        self._place = target.authority
        self._clock = clock
        self._client = Client(Egress([f"0.0.0.0/0:{target.port}", f"[::]/0:{target.port}"]), clock)

    async def post(self, headers: Headers, body: bytes) -> Answer:
        began, now = self._clock.monotonic(), self._clock.now()
        request = Request(method="POST", url=self.address, headers=headers, body=body, timeout=TIMEOUT)
        status: int | None = None
        outcome: Outcome
        try:
            response = await self._client.send(request)
        except Unreachable as error:
            outcome = Failed(reason=f"nobody answers at {self._place}: {error}")
        else:
            status = response.status
            outcome = _judged(response, endpoint.judge(response, (), webhook.takes, now))
        return Answer(status, outcome, (self._clock.monotonic() - began) * 1000)

    def cannot(self, reason: str) -> Answer:
        """It is not even sent."""
        return Answer(None, Failed(reason=reason), 0.0)

    async def close(self) -> None:
        await self._client.close()


def _judged(response: Response, outcome: Outcome) -> Outcome:
    """In words that say where it was: not at an endpoint of the event."""
    reason = f"local port answered {response.status}"
    match outcome:
        case Delivered():
            return outcome
        case Failed(retry_after=pause):
            return Failed(reason=reason, status_code=response.status, retry_after=pause)
        case Refused():
            return Refused(reason=reason, status_code=response.status)
