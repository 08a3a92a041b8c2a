"""Tell an endpoint that an event is due: a signed POST in JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from msgspec import Struct

from qhronos.actions import callback, endpoint, hidden
from qhronos.actions.base import Act, Means
from qhronos.actions.oauth2 import OAuth2, check
from qhronos.actions.payload import Payload, encode, payload_of
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
        body = encode(payload_of(delivery, Payload)) if self.params.envelope == "event" else None
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
