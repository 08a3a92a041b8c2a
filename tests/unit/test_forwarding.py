"""What a client forwards is, byte for byte, what a webhook sends."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qhronos.actions import webhook, websocket
from qhronos.actions.base import Means
from qhronos.actions.forwarded import forwarded
from qhronos.core.attempt import Delivery
from qhronos.errors import Invalid

NOW = datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC)
WHITE = b'{"a": [1,  2.50], "\\u00e9": "\xc3\xa9"}'  # its bytes stay as they are


def delivery(**said):
    usual = {
        "event_id": uuid.UUID("0190a5b0-0000-7000-8000-000000000001"),
        "occurrence_id": "occ_1",
        "name": 'tea "black"',
        "description": "é",
        "due_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "attempt": 2,
        "metadata": msgspec.Raw(WHITE),
        "tags": ("tea", "hot"),
        "secrets": ("newer", "whsec_c2VjcmV0"),
        "timeout": timedelta(seconds=30),
    }
    return Delivery(**usual | said)


def sent_by_webhook(given):
    """Headers and body on the wire, but for what belongs to the connection."""
    letter = webhook.Webhook.example("http://127.0.0.1:9/").prepare(given, Means(None, None))
    request = letter._write(NOW)
    lines = [tuple(line.split(": ", 1)) for line in request.lines.decode().splitlines()]
    return (*lines, *request.headers), request.body


def told_to_client(given):
    return websocket.Websocket.example("acme").prepare(given, Means(None, None)).handed.frame


@pytest.mark.parametrize(
    "said", [{}, {"metadata": msgspec.Raw(b"{}"), "tags": ()}, {"secrets": ("one",)}, {"attempt": 1}]
)
def test_what_is_forwarded_is_what_a_webhook_sends(said):
    given = delivery(**said)

    assert sent_by_webhook(given) == forwarded(told_to_client(given), given.secrets, NOW)


def test_what_a_listener_is_told_is_the_first_attempt_and_named_only():
    given = delivery(attempt=1, secrets=())
    told = msgspec.json.decode(told_to_client(given), type=dict[str, msgspec.Raw])
    frame = msgspec.json.encode({key: told[key] for key in told if key != "attempt"} | {"kind": "due", "offset": 7})

    assert sent_by_webhook(given) == forwarded(frame, (), NOW)


@pytest.mark.parametrize("more", [{"metadata": None, "metadata_omitted": True}, {"name": 7}])
def test_a_frame_that_does_not_say_it_all_cannot_be_forwarded(more):
    told = msgspec.json.decode(told_to_client(delivery())) | more

    with pytest.raises(Invalid, match=r"metadata are too long|cannot be forwarded: Expected `str`"):
        forwarded(msgspec.json.encode(told), (), NOW)
