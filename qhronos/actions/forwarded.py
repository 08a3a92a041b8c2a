"""What a socket was told of an occurrence, as a webhook would have told it: for whoever passes it on to an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from qhronos.actions import endpoint
from qhronos.actions.payload import Payload, encode
from qhronos.actions.webhook import OWN
from qhronos.core.signing import sign
from qhronos.errors import Invalid
from qhronos.http.headers import Headers


class Told(Payload):
    """As much of a frame as an endpoint is told."""

    metadata_omitted: bool = False
    attempt: int = 1  # whoever is told of each occurrence once is told of its first attempt


_told = msgspec.json.Decoder(Told).decode


def forwarded(frame: bytes | str, secrets: Sequence[str], now: datetime) -> tuple[Headers, bytes]:
    """What an endpoint would be sent now: the headers that are ours, and the body. Without secrets it is named and not
    signed. Raises Invalid for a frame that does not say it all."""
    try:
        told = _told(frame)
    except msgspec.ValidationError as error:
        raise Invalid(f"this frame cannot be forwarded: {error}") from error
    if told.metadata_omitted:
        raise Invalid("its metadata are too long for a listener; a client gets them")
    body = encode(Payload(**{name: getattr(told, name) for name in Payload.__struct_fields__}))
    ours = OWN + endpoint.named(told.event_id, told.attempt, told.scheduled_at)
    return ours + sign(secrets, told.occurrence_id, now, body), body
