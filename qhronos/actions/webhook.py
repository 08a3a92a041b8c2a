"""Tell an endpoint that an event is due: a signed POST in JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

import msgspec
from msgspec import Struct

from qhronos.actions import callback, endpoint, hidden
from qhronos.actions.base import Act, Means
from qhronos.actions.oauth2 import OAuth2, check
from qhronos.core.attempt import Delivery
from qhronos.core.signing import sign, sign_callback
from qhronos.errors import Invalid
from qhronos.http import Egress, Request, headers
from qhronos.http.guard import vet_url

OWN = (endpoint.AGENT, ("content-type", "application/json"))


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    url: str
    headers: hidden.Given = {}
    auth: OAuth2 | None = None
    envelope: Literal["event", "callback"] = "event"  # what the body looks like, and which further headers sign it


class Payload(Struct):
    """The body."""

    event_id: str
    occurrence_id: str
    name: str
    description: str
    scheduled_at: str  # the occurrence's own instant, the same for every attempt
    attempt: int
    metadata: msgspec.Raw
    tags: tuple[str, ...]


_encode = msgspec.json.Encoder().encode


class Webhook(Struct, frozen=True, tag_field="type", tag="webhook", forbid_unknown_fields=True):
    params: Params

    @classmethod
    def example(cls, url: str) -> Self:
        return cls(Params(url=url))

    @property
    def legacy(self) -> str:
        return self.params.url

    def vet(self, egress: Egress, field: str) -> None:
        if not self.params.url:
            raise Invalid("URL is required for webhook action params", field=f"{field}.url")
        vet_url(self.params.url, egress, f"{field}.url")
        hidden.check(self.params.headers, f"{field}.headers")
        check(self.params.auth, self.params.headers, egress, field)
        if self.params.envelope == "callback":
            callback.check(self.params.headers, f"{field}.headers")

    def prepare(self, delivery: Delivery, means: Means) -> Act:
        given = hidden.reveal(self.params.headers, delivery.header_secrets)
        lines = headers.lines(endpoint.merge(OWN + endpoint.identity(delivery), given))
        body = _encode(_payload(delivery)) if self.params.envelope == "event" else None
        timeout = delivery.timeout.total_seconds()
        grant = self.params.auth.grant(delivery.header_secrets) if self.params.auth else None

        def write(now: datetime) -> Request:
            sent = callback.body_of(delivery, now) if body is None else body
            signed = sign(delivery.secrets, delivery.occurrence_id, now, sent)
            if body is None:
                signed += sign_callback(delivery.secrets, delivery.occurrence_id, now, sent)
            return Request(
                method="POST",
                url=self.params.url,
                lines=lines,
                headers=signed,
                body=sent,
                timeout=timeout,
                wanted=delivery.wanted,
            )

        return endpoint.Letter("webhook", means, delivery, self.params.url, write, takes, grant)


def takes(status: int) -> bool:
    return 200 <= status < 300


def _payload(delivery: Delivery) -> Payload:
    return Payload(
        event_id=str(delivery.event_id),
        occurrence_id=delivery.occurrence_id,
        name=delivery.name,
        description=delivery.description,
        scheduled_at=endpoint.rfc3339(delivery.due_at),
        attempt=delivery.attempt,
        metadata=delivery.metadata,
        tags=delivery.tags,
    )
