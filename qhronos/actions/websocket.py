"""Tell a client by name, over the gateway: kept for it until it has acknowledged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple, Self

from msgspec import Meta, Struct

from qhronos.actions import apicall, webhook
from qhronos.actions.base import Act, Means
from qhronos.actions.payload import Payload, encode, payload_of
from qhronos.core.attempt import Delivery, Handed
from qhronos.errors import Invalid
from qhronos.http import Egress

LEGACY_PREFIX = "q:"  # before the client's name, in the first Qhronos' `webhook` field
LONGEST_NAME = 128
LONGEST_TTL = 2_592_000  # seconds: 30 days


class Fallback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done instead once nobody has acknowledged it for so long. Not another client, who may not come either."""

    after: Annotated[float, Meta(ge=1, le=LONGEST_TTL)]  # seconds from when it was handed over
    action: webhook.Webhook | apicall.ApiCall


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Spans are in seconds."""

    client_name: str
    ttl: Annotated[float, Meta(ge=1, le=LONGEST_TTL)] = 604_800  # how long it is kept for a client that does not come
    max_backlog: Annotated[int, Meta(ge=1, le=1_000_000)] = (
        10_000  # how much may wait for that client, whatever the event
    )
    ack_timeout: Annotated[float, Meta(ge=1, le=3_600)] = 30  # from when it was sent
    # To whom of several connections: the newest alone, one of them, or all of them, of which the first word counts.
    mode: Literal["latest", "one_of", "fan_out"] = "latest"
    fallback: Fallback | None = None


class Frame(Payload, kw_only=True, tag_field="type", tag="event"):
    """What the client is sent, but for `seq` and `redelivered`, which belong to the sending."""


class Websocket(Struct, frozen=True, tag_field="type", tag="websocket", forbid_unknown_fields=True):
    params: Params

    @classmethod
    def example(cls, url: str) -> Self:
        """A client calls us, so there is no URL that it would need; the name says which is meant."""
        return cls(Params(client_name=url[-LONGEST_NAME:]))

    @property
    def legacy(self) -> str:
        return LEGACY_PREFIX + self.params.client_name

    def vet(self, egress: Egress, field: str) -> None:
        check_name(self.params.client_name, f"{field}.client_name")
        if fallback := self.params.fallback:
            if fallback.after >= self.params.ttl:
                message = f"it is kept for {self.params.ttl:g} s only; give less than that, or a longer ttl"
                raise Invalid(message, field=f"{field}.fallback.after")
            fallback.action.vet(egress, f"{field}.fallback.action.params")

    def prepare(self, delivery: Delivery, _means: Means) -> Act:
        params = self.params
        handed = Handed(
            client=params.client_name,
            frame=encode(payload_of(delivery, Frame)).decode(),
            ttl=timedelta(seconds=params.ttl),
            max_backlog=params.max_backlog,
            ack_timeout=params.ack_timeout,
            mode=params.mode,
            fallback_after=timedelta(seconds=params.fallback.after) if params.fallback else None,
        )
        return Kept(handed)


class Kept(NamedTuple):
    """To be kept for the client. Who settles does it, with the rest of what ends at that moment."""

    handed: Handed
    type: str = "websocket"
    place: None = None

    async def perform(self, _now: datetime) -> Handed:
        return self.handed


def check_name(name: str, field: str) -> None:
    """Refuse what no client can be called. Raises Invalid."""
    if not name:
        raise Invalid("client_name is required for websocket action params", field=field)
    if len(name) > LONGEST_NAME:
        raise Invalid(f"a client's name has at most {LONGEST_NAME} characters", field=field)
    if not name.isprintable() or name != name.strip():
        raise Invalid("a client's name is printable, without spaces before or after it", field=field)
