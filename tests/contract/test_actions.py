"""What every type of action keeps to, and what is particular to each.

The first part runs over the registry: a new type brings its example and is held to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from standardwebhooks import Webhook

from qhronos import __version__, actions
from qhronos.clock import SystemClock
from qhronos.core.attempt import Delivered, Delivery, Failed, Outcome, Parked, Performed, Refused
from qhronos.core.signing import verify
from qhronos.errors import Invalid
from qhronos.http import Client, Egress, Limits
from qhronos.plan.breakers import Breakers
from qhronos.redis_link import connect
from tests.contract.servers import OK, Endpoint, blackhole, is_silent, says, says_once
from tests.fakes import Answer, FakeClock

LOOPBACK = Egress(["127.0.0.0/8"])
SECRET, OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "qhronos.io"
DUE_AT = datetime(2026, 3, 1, 12, 0, 0, 120, tzinfo=UTC)
NOW = DUE_AT + timedelta(seconds=2)
OCCURRENCE = "occ_aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4"
DELIVERY = Delivery(
    event_id=UUID("01020304-0506-0708-090a-0b0c0d0e0f10"),
    occurrence_id=OCCURRENCE,
    name="Péage",
    description="monthly",
    due_at=DUE_AT,
    attempt=3,
    metadata=msgspec.Raw(b'{"b": 1.0, "a": [null]}'),
    tags=("billing", "urgent"),
    secrets=(SECRET, OLD_SECRET),
    timeout=timedelta(seconds=2),
)


async def act(acts: actions.Performer, stored: bytes, delivery: Delivery = DELIVERY, now: datetime = NOW) -> Performed:
    """As the dispatcher does with what is stored."""
    return await acts.prepare(msgspec.Raw(stored), delivery).perform(now)


def example(kind: str, url: str) -> dict[str, object]:
    """The params of a type's own example, as a client would write them."""
    written: dict[str, object] = json.loads(actions.encode(actions.TYPES[kind].example(url)))["params"]
    return written


Perform = Callable[[dict[str, object]], Awaitable[Outcome]]


@pytest.fixture
async def perform() -> AsyncIterator[Callable[..., Awaitable[Outcome]]]:
    """Read an action as the API does, store it, and act as the dispatcher does."""
    client = Client(LOOPBACK, SystemClock())
    acts = actions.Performer(client)

    async def perform(kind: str, params: dict[str, object], *, now: datetime = NOW, **changed: object) -> Outcome:
        stored = actions.encode(actions.parse({"type": kind, "params": params}, LOOPBACK))
        return await act(acts, stored, msgspec.structs.replace(DELIVERY, **changed), now)

    yield perform
    await client.close()


@pytest.fixture(params=sorted(set(actions.TYPES) - {"websocket"}))  # which sends nothing itself
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_an_endpoint_that_takes_it_makes_it_delivered(perform, kind):
    async with Endpoint(says(OK)) as endpoint:
        outcome = await perform(kind, example(kind, endpoint.url))

    assert Delivered(status_code=200, excerpt="ok") == outcome


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_delivered(perform, kind, status, receiver):
    receiver.answer = lambda _: Answer(status)

    assert Delivered(status_code=status) == await perform(kind, example(kind, receiver.url))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_be_better_later_has_failed(perform, kind, status, receiver):
    receiver.answer = lambda _: Answer(status, {"retry-after": "7"}, b"busy")
    expected = Failed(reason=f"HTTP {status}", status_code=status, excerpt="busy", retry_after=timedelta(seconds=7))

    assert expected == await perform(kind, example(kind, receiver.url))


async def test_retry_after_may_be_a_date(perform, kind, receiver):
    receiver.answer = lambda _: Answer(503, {"retry-after": "Sun, 01 Mar 2026 12:01:02 GMT"})
    outcome = await perform(kind, example(kind, receiver.url))

    assert timedelta(seconds=60) == timedelta(seconds=round(outcome.retry_after.total_seconds()))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "HTTP 301: redirects are not followed"),
        (307, "HTTP 307: redirects are not followed"),
        (400, "HTTP 400"),
        (401, "HTTP 401"),
        (404, "HTTP 404"),
    ],
)
async def test_what_will_not_be_better_is_refused(perform, kind, status, reason, receiver):
    receiver.answer = lambda _: Answer(status, {"location": receiver.url}, b"no")

    assert Refused(reason=reason, status_code=status, excerpt="no") == await perform(kind, example(kind, receiver.url))
    assert len(receiver.requests) == 1


async def test_an_endpoint_that_is_gone_says_so(perform, kind, receiver):
    receiver.answer = lambda _: Answer(410)
    reason = "HTTP 410: the endpoint is gone for good"

    assert Refused(reason=reason, status_code=410, gone=True) == await perform(kind, example(kind, receiver.url))


async def test_an_endpoint_that_cannot_be_reached_has_failed(perform, kind):
    async with Endpoint(is_silent) as endpoint:
        gone = endpoint.url

    assert Failed(reason="connection refused") == await perform(kind, example(kind, gone))


async def test_an_endpoint_that_is_too_slow_has_failed(perform, kind):
    async with Endpoint(is_silent) as endpoint:
        outcome = await perform(kind, example(kind, endpoint.url), timeout=timedelta(seconds=0.1))

    assert Failed(reason="timeout after 0.1 s") == outcome
    with blackhole() as port:
        outcome = await perform(kind, example(kind, f"http://127.0.0.1:{port}"), timeout=timedelta(seconds=0.1))

    assert Failed(reason="timeout after 0.1 s") == outcome


async def test_an_endpoint_that_talks_nonsense_has_failed(perform, kind):
    async with Endpoint(says_once(b"\0\1\2")) as endpoint:
        outcome = await perform(kind, example(kind, endpoint.url))

    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("not valid HTTP")


@pytest.mark.parametrize(
    "params",
    [
        {"url": "http://10.0.0.1/"},
        {"url": "http://u:p@a/"},
        {"headers": {"Host": "a"}},
        {"headers": {"webhook-id": "a"}},
    ],
)
async def test_what_must_not_be_sent_is_refused_even_if_it_was_stored(kind, params, receiver):
    client = Client(LOOPBACK, SystemClock())
    stored = msgspec.json.encode({"type": kind, "params": example(kind, receiver.url) | params})
    outcome = await act(actions.Performer(client), stored)

    assert isinstance(outcome, Refused)
    assert receiver.connections == 0
    await client.close()


async def test_an_action_of_another_version_has_failed_here():
    client = Client(LOOPBACK, SystemClock())
    outcome = await act(actions.Performer(client), b'{"type": "telepathy", "params": {}}')

    assert isinstance(outcome, Failed)
    await client.close()


async def test_an_excerpt_is_kept_and_holds_no_secret(perform, kind, receiver):
    receiver.answer = lambda _: Answer(500, {}, f"<{SECRET}> <{OLD_SECRET}>\0".encode() + b"x" * 70_000)
    outcome = await perform(kind, example(kind, receiver.url))

    assert outcome.excerpt.startswith("<whsec_[secret]> <[secret]>xxx")
    assert len(outcome.excerpt.encode()) == 4096


async def test_what_comes_too_fast_for_its_origin_is_parked_for_a_while(kind, receiver):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(rate_per_origin=0.01))
    acts = actions.Performer(client)
    stored = msgspec.json.encode({"type": kind, "params": example(kind, receiver.url)})
    outcomes = [await act(acts, stored) for _ in range(2)]

    assert Delivered(status_code=200) == outcomes[0]
    assert ("rate", 60.0) == (outcomes[1].cause, outcomes[1].pause.total_seconds())
    await client.close()


@pytest.mark.parametrize(("status", "rests"), [(503, True), (429, True), (404, False), (410, False), (200, False)])
async def test_an_endpoint_that_fails_and_fails_is_given_a_rest(kind, status, rests, receiver, redis_url, redis_prefix):
    clock, redis = FakeClock(), connect(redis_url)
    client = Client(LOOPBACK, SystemClock())
    acts = actions.Performer(client, Breakers(redis, redis_prefix, clock))
    receiver.answer = lambda _: Answer(status)

    async def perform(path: str) -> Performed:
        stored = actions.parse({"type": kind, "params": example(kind, receiver.url + path)}, LOOPBACK)
        return await act(acts, actions.encode(stored))

    for number in range(10):
        await perform(f"/in?{number}")  # the query makes no other endpoint
    clock.advance(1.1)
    outcome = await perform("/in")
    other = await perform("/other")

    assert rests == (Parked(cause="breaker", place=receiver.url, pause=timedelta(seconds=30)) == outcome)
    assert (11 if rests else 12) == len(receiver.requests)
    assert not isinstance(other, Parked)
    await client.close()
    await redis.aclose()


async def test_a_delivery_says_which_it_is(perform, kind, receiver):
    await perform(kind, example(kind, receiver.url))
    headers = receiver.requests[0].headers

    assert OCCURRENCE == headers["webhook-id"]
    assert str(DELIVERY.event_id) == headers["x-qhronos-event-id"]
    assert headers["x-qhronos-attempt"] == "3"
    assert headers["x-qhronos-scheduled-at"] == "2026-03-01T12:00:00.000120Z"
    assert f"Qhronos/{__version__}" == headers["user-agent"]


async def test_a_user_may_name_headers_and_replace_ours(perform, kind, receiver):
    given = {"User-Agent": "mine", "Content-Type": "application/cloudevents+json", "Authorization": "Bearer ü"}
    await perform(kind, example(kind, receiver.url) | {"headers": given})
    headers = receiver.requests[0].headers

    assert headers["user-agent"] == "mine"
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["authorization"] == "Bearer ü".encode().decode("latin-1")


async def test_many_deliveries_at_once_share_their_connections(kind, receiver):
    client = Client(LOOPBACK, SystemClock(), limits=Limits(patience_seconds=10))
    acts = actions.Performer(client)
    stored = msgspec.json.encode({"type": kind, "params": example(kind, receiver.url)})
    outcomes = await asyncio.gather(*(act(acts, stored) for _ in range(100)))

    assert [Delivered(status_code=200)] * 100 == outcomes
    assert receiver.connections < 100
    await client.close()


async def test_what_there_is_no_room_for_is_parked(perform, kind):
    async with Endpoint(is_silent) as endpoint:
        sent = [perform(kind, example(kind, endpoint.url), timeout=timedelta(seconds=0.5)) for _ in range(12)]
        outcomes = await asyncio.gather(*sent)
        place = f"http://127.0.0.1:{endpoint.port}"

    assert [Failed(reason="timeout after 0.5 s")] * 10 + [Parked(cause="full", place=place)] * 2 == outcomes


async def test_a_webhook_carries_the_occurrence(perform, receiver):
    await perform("webhook", {"url": receiver.url + "/in?x=1"})
    [request] = receiver.requests

    assert ("POST", "/in?x=1") == (request.method, request.path)
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "event_id": "01020304-0506-0708-090a-0b0c0d0e0f10",
        "occurrence_id": OCCURRENCE,
        "name": "Péage",
        "description": "monthly",
        "scheduled_at": "2026-03-01T12:00:00.000120Z",
        "attempt": 3,
        "metadata": {"a": [None], "b": 1.0},
        "tags": ["billing", "urgent"],
    }


async def test_a_whole_second_has_no_fraction(perform, receiver):
    await perform("webhook", {"url": receiver.url}, due_at=DUE_AT.replace(microsecond=0))

    assert json.loads(receiver.requests[0].body)["scheduled_at"] == "2026-03-01T12:00:00Z"


async def test_a_webhook_is_signed_with_every_secret(perform, receiver):
    now = SystemClock().now()  # the library reads the clock itself
    await perform("webhook", {"url": receiver.url}, now=now)
    [request] = receiver.requests
    headers = dict(request.headers)

    Webhook(SECRET).verify(request.body, headers)
    Webhook(OLD_SECRET.encode()).verify(request.body, headers)
    verify(SECRET, headers, request.body, now)


async def test_the_signature_of_the_first_qhronos_is_there(perform, receiver):
    await perform("webhook", {"url": receiver.url}, secrets=("qhronos.io",), metadata=msgspec.Raw(b"{}"), tags=())
    [request] = receiver.requests

    assert request.headers["x-qhronos-signature"] == "9262b57124d80f14369c330ae75fde467f589efc8316d786ddaa277aff238f17"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_an_apicall_uses_the_method_it_is_given(perform, receiver, method):
    outcome = await perform("apicall", {"method": method, "url": receiver.url + "/x"})

    assert Delivered(status_code=200) == outcome
    assert [(method, "/x", b"")] == [(*request[:2], request.body) for request in receiver.requests]


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ('{"a": 1}\r\n\t"ü" \U0001f600', '{"a": 1}\r\n\t"ü" \U0001f600'.encode(), None),
        ({"a": [1, None]}, b'{"a":[1,null]}', "application/json"),
        (7, b"7", "application/json"),
    ],
)
async def test_an_apicall_sends_its_body_as_it_was_written(perform, receiver, body, sent, content_type):
    await perform("apicall", {"method": "POST", "url": receiver.url, "body": body})
    [request] = receiver.requests

    assert (sent, content_type) == (request.body, request.headers.get("content-type"))


async def test_an_apicall_is_not_signed(perform, receiver):
    await perform("apicall", {"method": "POST", "url": receiver.url})

    assert not {"webhook-signature", "webhook-timestamp", "x-qhronos-signature"} & set(receiver.requests[0].headers)


@pytest.mark.parametrize(
    ("success", "status", "expected"),
    [
        ([200], 200, Delivered),
        ([200, 404], 404, Delivered),
        (["3xx"], 302, Delivered),
        ([503], 503, Delivered),
        ([200], 202, Refused),
        (["4xx"], 200, Refused),
        ([200], 503, Failed),
    ],
)
async def test_an_apicall_may_say_what_success_is(perform, receiver, success, status, expected):
    receiver.answer = lambda _: Answer(status)
    outcome = await perform("apicall", {"method": "GET", "url": receiver.url, "success": success})

    assert expected is type(outcome)
    assert status == outcome.status_code


HIDDEN = {"Authorization": {"secret": True}, "Accept": "text/plain"}


@pytest.fixture
async def perform_hidden(receiver) -> AsyncIterator[Callable[..., Awaitable[Outcome]]]:
    """Act on what is stored of an action with a secret header, as the dispatcher does."""
    client = Client(LOOPBACK, SystemClock())

    async def perform(kind: str, **changed: object) -> Outcome:
        stored = msgspec.json.encode({"type": kind, "params": example(kind, receiver.url) | {"headers": HIDDEN}})
        return await act(actions.Performer(client), stored, msgspec.structs.replace(DELIVERY, **changed))

    yield perform
    await client.close()


async def test_a_secret_header_is_kept_apart_and_sent(perform_hidden, kind, receiver):
    given = {"Authorization": {"secret": "Bearer t0ken-t0ken"}, "Accept": "text/plain"}
    action = actions.parse({"type": kind, "params": example(kind, receiver.url) | {"headers": given}}, LOOPBACK)
    shown, secrets = actions.conceal(action, "action")
    values = secrets["action"]

    assert {"Authorization": "Bearer t0ken-t0ken"} == values
    assert HIDDEN == json.loads(actions.encode(shown))["params"]["headers"]
    await perform_hidden(kind, header_secrets={"authorization": "Bearer t0ken-t0ken"})
    headers = receiver.requests[0].headers
    assert ("Bearer t0ken-t0ken", "text/plain") == (headers["authorization"], headers["accept"])


async def test_an_action_whose_secret_header_is_missing_is_not_performed(perform_hidden, kind, receiver):
    outcome = await perform_hidden(kind)

    assert isinstance(outcome, Refused)
    assert "the value of header Authorization is missing; edit the event and give it" == outcome.reason
    assert receiver.connections == 0


async def test_a_secret_header_that_comes_back_is_masked(perform_hidden, kind, receiver):
    receiver.answer = lambda request: Answer(500, {}, json.dumps(dict(request.headers)).encode())
    outcome = await perform_hidden(kind, header_secrets={"authorization": 'Bearer t0k"en-t0ken'})

    assert '"authorization": "[secret]"' in outcome.excerpt.lower()


async def test_half_a_secret_at_the_end_of_what_was_cut_is_masked(perform_hidden, kind, receiver):
    value = "t0ken-" * 100
    receiver.answer = lambda _: Answer(500, {}, value.encode() * 200)
    outcome = await perform_hidden(kind, header_secrets={"authorization": value})

    assert "t0ken" not in outcome.excerpt
    assert outcome.excerpt.endswith("[secret]")


class TestCallback:
    async def test_it_carries_the_envelope_of_tasks(self, perform, receiver):
        await perform("webhook", {"url": receiver.url, "envelope": "callback"})

        assert json.loads(receiver.requests[0].body) == {
            "task_id": OCCURRENCE,
            "status": "completed",
            "original_payload": {"a": [None], "b": 1.0},
            "execution_metadata": {
                "scheduled_at": "2026-03-01T12:00:00.000120Z",
                "executed_at": "2026-03-01T12:00:02.000120Z",
                "completed_at": "2026-03-01T12:00:02.000120Z",
                "retry_count": 2,
                "callback_attempts": 3,
                "duration_ms": 0,
            },
        }

    async def test_it_is_signed_as_tasks_are_and_as_every_delivery_is(self, perform, receiver):
        now = SystemClock().now()  # the library reads the clock itself
        await perform("webhook", {"url": receiver.url, "envelope": "callback"}, now=now)
        [request] = receiver.requests
        headers = dict(request.headers)

        assert (OCCURRENCE, str(int(now.timestamp()))) == (headers["x-task-id"], headers["x-timestamp"])
        signed = headers["x-timestamp"].encode() + request.body
        assert "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == headers["x-signature"]
        for secret in (SECRET, OLD_SECRET.encode()):
            Webhook(secret).verify(request.body, headers)

    async def test_other_deliveries_are_not(self, perform, kind, receiver):
        await perform(kind, example(kind, receiver.url))

        assert not {"x-task-id", "x-timestamp", "x-signature"} & set(receiver.requests[0].headers)

    @pytest.mark.parametrize("name", ["X-Task-ID", "x-timestamp", "X-SIGNATURE"])
    async def test_its_headers_cannot_be_forged(self, name):
        params = {"url": "https://example.com/", "envelope": "callback", "headers": {name: "mine"}}

        with pytest.raises(Invalid, match=f"header `{name}` is set by Qhronos in a callback") as refusal:
            actions.parse({"type": "webhook", "params": params}, LOOPBACK)
        assert f"action.params.headers.{name}" == refusal.value.field

    async def test_there_is_no_other_envelope(self):
        with pytest.raises(Invalid, match="invalid params for webhook action") as refusal:
            actions.parse({"type": "webhook", "params": {"url": "https://example.com/", "envelope": "x"}}, LOOPBACK)
        assert "action.params.envelope" == refusal.value.field


async def test_an_apicall_follows_redirects_if_it_says_so(perform, receiver):
    receiver.answer = lambda request: Answer(302, {"location": "/there"}) if request.path == "/here" else Answer()
    params = {"method": "POST", "url": receiver.url + "/here", "body": "x", "headers": {"X-Note": "k"}}

    assert isinstance(await perform("apicall", params), Refused)
    outcome = await perform("apicall", params | {"follow_redirects": 1})

    assert Delivered(status_code=200) == outcome
    assert ["/here", "/here", "/there"] == [request.path for request in receiver.requests]


async def test_a_secret_header_does_not_go_to_another_origin(receiver):
    client = Client(LOOPBACK, SystemClock())
    there = receiver.url.replace("127.0.0.1", "localhost") + "/there"
    receiver.answer = lambda request: Answer(302, {"location": there}) if request.path == "/here" else Answer()
    params = {"method": "GET", "url": receiver.url + "/here", "headers": {"X-Key": {"secret": True}, "X-Note": "n"}}
    stored = msgspec.json.encode({"type": "apicall", "params": params | {"follow_redirects": 1}})
    delivery = msgspec.structs.replace(DELIVERY, header_secrets={"x-key": "t0ken-t0ken"})
    await act(actions.Performer(client), stored, delivery)

    assert [("t0ken-t0ken", "n"), (None, "n")] == [
        (request.headers.get("x-key"), request.headers["x-note"]) for request in receiver.requests
    ]
    await client.close()


async def test_a_redirect_that_goes_on_for_too_long_or_leads_nowhere_is_refused(perform, receiver):
    params = {"method": "GET", "url": receiver.url, "follow_redirects": 2}
    receiver.answer = lambda _: Answer(302, {"location": "/"})
    outcome = await perform("apicall", params)

    assert Refused(reason="HTTP 302: it leads nowhere, or on for too long", status_code=302) == outcome
    receiver.answer = lambda _: Answer(302, {"location": "http://10.0.0.1/"})
    assert Refused(reason="10.0.0.1 is not open to deliveries") == await perform("apicall", params)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"follow_redirects": 4}, "action.params.follow_redirects"),
        ({"follow_redirects": -1}, "action.params.follow_redirects"),
    ],
)
def test_what_an_apicall_may_say_of_redirects_has_limits(params, field):
    written = {"type": "apicall", "params": {"method": "GET", "url": "http://example.com/"} | params}
    with pytest.raises(Invalid) as refusal:
        actions.parse(written, LOOPBACK)

    assert refusal.value.field == field
