"""`qhronos listen` against gateways as they run: what it prints, what it forwards, and what it says of it."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.server import serve

from qhronos.api.auth import Access
from qhronos.cli import link, listen
from qhronos.cli.client import Api
from qhronos.clock import SystemClock
from qhronos.config import Gateway as Settings
from qhronos.core.signing import verify
from qhronos.errors import Conflict, Denied, Invalid, Unauthenticated, Unreachable
from tests.fakes import Answer, Receiver
from tests.service.events import HOOK, create, execute, occurrences_of, query
from tests.service.mail import create_for
from tests.service.sockets import MASTER, WITHIN, as_client, as_listener, at_port, open_house

USUAL = {"client": None, "tags": (), "tags_match": None, "kinds": (), "forward_to": None, "form": "json", "most": None}


@pytest.fixture
async def house(database, redis_url, redis_prefix):
    async with open_house(database, redis_url, redis_prefix) as opened:
        yield opened


@pytest.fixture
async def port():
    async with Receiver() as receiver:
        yield receiver


def http(url):
    return url.replace("ws", "http", 1).removesuffix("/ws")


async def listened(house, *, url=None, token=MASTER, **wanted):
    """Until it ends by itself."""
    async with asyncio.timeout(WITHIN):
        await listen._listen(Api(http(url or house.url), token), listen.Wanted(**USUAL | wanted))


@asynccontextmanager
async def listening(house, **wanted):
    """Until the test has seen enough."""
    running = asyncio.create_task(listened(house, **wanted))
    yield running
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


class Heard:
    """What it has printed so far."""

    def __init__(self, capsys):
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def look(self):
        out, err = self._capsys.readouterr()
        # What the services log goes the same way.
        self.out += "".join(line + "\n" for line in out.splitlines() if not re.match(r"\d{4}-\d\d-\d\d \d\d:", line))
        self.err += err
        return self

    async def says(self, text):
        async with asyncio.timeout(WITHIN):
            while text not in self.look().err + self.out:  # noqa: ASYNC110 - nobody says so
                await asyncio.sleep(0)  # noqa: TID251 - the others have their turn

    @property
    def objects(self):
        return [json.loads(line) for line in self.look().out.splitlines()]


@pytest.fixture
def heard(capsys):
    return Heard(capsys)


async def status_of(api, event, wanted, attempt=None):
    async with asyncio.timeout(WITHIN):
        while True:
            found = await occurrences_of(api, event)
            if found and found[0]["status"] == wanted and attempt in (None, found[0]["attempt"]):
                return found[0]
            await asyncio.sleep(0)  # noqa: TID251 - the others have their turn


async def deliver(api, url, **said):
    """By a webhook, due now, to an address that the API would not take: it is on this machine."""
    event = await create(api, **said, start_time="2099-01-01T00:00:00Z")
    moved = "UPDATE events SET action = replace(action::text, %s, %s)::json WHERE id = %s"
    await execute(api, moved, HOOK, url, event["id"])
    await api.post(f"/events/{event['id']}/run")


# by name


async def test_a_message_is_printed_and_then_taken(house, heard):
    events = [await create_for(house.api, name=f"tea {n}", metadata={"n": n}) for n in range(2)]
    await listened(house, client="acme", most=2)
    statuses = [(await occurrences_of(house.api, event))[0]["status"] for event in events]

    assert ["completed", "completed"] == statuses
    assert [("event", 0, "tea 0"), ("event", 1, "tea 1")] == [
        (each["type"], each["metadata"]["n"], each["name"]) for each in heard.objects
    ]
    assert "Ready at http://127.0.0.1:" in heard.err
    assert "Waiting for messages to client acme" in heard.err


async def test_a_line_for_people_says_what_and_how_late(house, heard):
    await create_for(house.api, name="tea\x1b[2J", metadata={"n": 1})
    await listened(house, client="acme", most=1, form="text")

    line = r"\d\d:\d\d:\d\d\.\d{3}Z  \+\d+\.\d ms  tea \[2J  occ_\w+  attempt 1  \{\"n\": 1\}\n"
    assert re.fullmatch(line, heard.look().out)


async def test_no_more_is_taken_than_was_asked_for(house, heard):
    for n in range(3):
        await create_for(house.api, name=f"tea {n}")
    await listened(house, client="acme", most=1)
    waiting = await query(house.api, "SELECT count(*) FROM outbox")

    assert (1, [(2,)]) == (len(heard.objects), waiting)


# forwarding


async def test_what_is_forwarded_is_what_a_webhook_delivery_is(house, port, heard):
    said = {
        "name": "tea",
        "metadata": {"a": [1, 2.5], "é": "\u20ac"},
        "tags": ["x"],
        "hmac_secret": "own",
        "description": "d",
    }
    await deliver(house.api, port.url + "/hook", **said)
    (delivered,) = await port.wait_for(1)
    await create_for(house.api, **said)
    await listened(house, client="acme", forward_to=port.url + "/hook", most=1)
    forwarded = port.requests[1]
    verify("own", forwarded.headers, forwarded.body, SystemClock().now())
    told = heard.objects[0]

    def shape(request):
        """But for what is of this one alone."""
        body = re.sub(rb"(occ_\w+|[0-9a-f-]{36}|\d{4}-[^\"]*Z)", b"_", request.body)
        own = {"webhook-id", "webhook-timestamp", "webhook-signature", "x-qhronos-signature", "content-length"}
        own |= {"x-qhronos-event-id", "x-qhronos-scheduled-at"}
        headers = [(name, "_" if name in own else value) for name, value in request.headers.items()]
        return request.method, request.path, headers, body

    assert shape(delivered) == shape(forwarded)
    assert ({"status": 200, "reason": None}, True) == (
        {name: told["forwarded"][name] for name in ("status", "reason")},
        told["forwarded"]["took_ms"] > 0,
    )
    assert not {"headers", "body"} & told.keys()


@pytest.mark.parametrize("status", [404, 410, 301, 400])
async def test_what_the_port_refuses_is_a_dead_letter(house, port, heard, status):
    port.answer = lambda _: Answer(status)
    async with listening(house, client="acme", forward_to=port.url):
        event = await create_for(house.api)
        failed = await status_of(house.api, event, "failed")

    assert (f"not acknowledged: local port answered {status}", 1) == (failed["reason"], failed["attempt"])


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_the_port_cannot_take_now_comes_again(house, port, heard, status):
    port.answer = lambda request: Answer(200 if request.headers["x-qhronos-attempt"] == "2" else status)
    event = await create_for(house.api, retry={"max_attempts": 2, "backoff": [0]})
    await listened(house, client="acme", forward_to=port.url, most=1)
    (occurrence,) = await occurrences_of(house.api, event)
    attempts = (await house.api.get(f"/occurrences/{occurrence['id']}/attempts")).json()["data"]
    first, second = port.requests

    assert "completed" == occurrence["status"]
    assert f"not acknowledged: local port answered {status}" == attempts[0]["reason"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert ["1", "2"] == [each.headers["x-qhronos-attempt"] for each in (first, second)]


async def test_a_port_that_takes_it_too_late_is_not_asked_twice_and_its_yes_counts_for_the_next_attempt(
    house, port, heard
):
    port.answer = lambda _: Answer(200, delay=1.5)
    event = await create_for(house.api, params={"ack_timeout": 1}, retry={"max_attempts": 2, "backoff": [2]})
    await listened(house, client="acme", forward_to=port.url, most=1, form="text")
    (occurrence,) = await occurrences_of(house.api, event)

    assert ("completed", 2) == (occurrence["status"], occurrence["attempt"])
    assert 1 == len(port.requests)
    assert "too late: it comes again" in heard.look().out


async def test_a_pause_that_the_port_asks_for_is_kept(house, port, heard):
    port.answer = lambda _: Answer(503, {"retry-after": "3600"})
    async with listening(house, client="acme", forward_to=port.url):
        event = await create_for(house.api, retry={"max_attempts": 2, "backoff": [0], "deadline": 90000})
        await status_of(house.api, event, "scheduled", attempt=1)
        ((pause,),) = await query(house.api, "SELECT extract(epoch FROM fire_at - due_at)::float FROM pending")

    assert 3590 < pause < 3700


async def test_nobody_at_the_port_is_said_plainly_and_nothing_is_lost(house, heard):
    async with Receiver() as gone:
        address = gone.url
    async with listening(house, client="acme", forward_to=address, form="text"):
        event = await create_for(house.api, retry={"max_attempts": 1})
        failed = await status_of(house.api, event, "failed")
        await heard.says("not taken")

    assert f"not acknowledged: nobody answers at {address.removeprefix('http://')}: " in failed["reason"]
    assert "refused" in failed["reason"]


async def test_a_port_that_never_answers_is_given_up(house, port, heard, monkeypatch):
    monkeypatch.setattr("qhronos.cli.forward.TIMEOUT", 0.2)
    port.answer = lambda _: Answer(delay=60)
    async with listening(house, client="acme", forward_to=port.url):
        event = await create_for(house.api, retry={"max_attempts": 1})
        failed = await status_of(house.api, event, "failed")

    assert "timeout after 0.2 s" in failed["reason"]


async def test_an_endless_answer_is_cut(house, port, heard):
    port.answer = lambda _: Answer(200, {"content-length": str(1 << 30)}, b"x" * (1 << 20))
    await create_for(house.api)
    await listened(house, client="acme", forward_to=port.url, most=1)

    assert 200 == heard.objects[0]["forwarded"]["status"]


# by tags


async def test_what_has_the_tag_is_printed(house, heard):
    async with listening(house, tags=("tea", "hot"), tags_match="all", most=1) as running:
        await heard.says("Ready")
        await create_for(house.api, name="cold", tags=["tea"])
        await create_for(house.api, name="hot", tags=["tea", "hot"], metadata={"n": 1})
        await running

    assert [("hot", "due", {"n": 1})] == [(each["name"], each["kind"], each["metadata"]) for each in heard.objects]
    assert "Waiting for what is due and has all of the tags tea, hot." in heard.err


async def test_ends_are_printed_with_their_reason(house, heard):
    async with listening(house, tags=("tea",), kinds=("failed",), most=1, form="text") as running:
        await heard.says("Ready")
        async with as_client(house.url) as (client, _):
            await create_for(house.api, tags=["tea"])
            await client.say(type="nack", seq=(await client.hear())["seq"], final=True, reason="no paper")
            await running

    assert "failed  attempt 1  not acknowledged: no paper" in heard.look().out


async def test_by_tags_the_port_gets_the_body_of_a_webhook_without_a_signature(house, port, heard):
    async with Receiver() as endpoint:
        async with listening(house, tags=("tea",), forward_to=port.url, most=1) as running:
            await heard.says("Ready")
            await deliver(house.api, endpoint.url, tags=["tea"], metadata={"a": 2.50})
            await running
        (delivered,), (forwarded,) = await endpoint.wait_for(1), port.requests

    assert delivered.body == forwarded.body
    assert {"webhook-signature", "x-qhronos-signature"} == delivered.headers.keys() - forwarded.headers.keys()
    assert delivered.headers["webhook-id"] == forwarded.headers["webhook-id"]
    assert "unsigned: only a --client gets signatures" in heard.err


async def test_what_a_listener_is_not_told_in_full_is_not_forwarded(house, port, heard):
    async with listening(house, tags=("tea",), forward_to=port.url, most=1) as running:
        await heard.says("Ready")
        await create_for(house.api, tags=["tea"], metadata={"long": "x" * 70_000})
        await running

    assert [] == port.requests
    assert "its metadata are too long for a listener; a client gets them" == heard.objects[0]["forwarded"]["reason"]


async def test_what_was_missed_is_a_line_of_its_own(house, heard):
    async with listening(house, tags=("tea",), most=1) as running:
        await heard.says("Ready")
        await house.api.deps.broadcast.tell([], 2)
        await create_for(house.api, tags=["tea"])
        await running

    assert [("gap", 2), ("event", None)] == [(each["type"], each.get("missed")) for each in heard.objects]


# the connection


async def test_a_server_that_starts_anew_is_waited_for_and_said_once(house, heard, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.crowd.SPREAD_MS", 1)
    async with at_port(house.api) as (url, start, end):
        await start()
        async with listening(house, url=url, client="acme", most=2) as running:
            await heard.says("Ready")
            await end()
            await heard.says("The connection is lost (this gateway ends)")
            await create_for(house.api, name="meanwhile")
            await start()
            await create_for(house.api, name="after")
            await running

    assert ["meanwhile", "after"] == [each["name"] for each in heard.objects]
    assert 1 == heard.err.count("The connection is lost")
    assert 1 == heard.err.count("Back after")
    assert 1 == heard.err.count("Ready at")


async def test_a_listener_comes_back_where_it_was_and_shows_the_gap(house, heard, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.crowd.SPREAD_MS", 1)
    async with at_port(house.api) as (url, start, end), as_listener(house.url, "tea"):
        await start()
        async with listening(house, url=url, tags=("tea",), most=1) as running:
            await heard.says("Ready")
            await end()
            await heard.says("The connection is lost")
            await house.api.deps.broadcast.tell([], 3)
            await start()
            await heard.says('"gap"')
            await create_for(house.api, tags=["tea"])
            await running

    gap, event = heard.objects
    assert ("gap", 3, "event") == (gap["type"], gap["missed"], event["type"])


async def test_a_second_listener_of_that_name_ends_the_first_without_a_fight(house, heard):
    running = asyncio.create_task(listened(house, client="acme"))
    await heard.says("Ready")
    async with as_client(house.url) as (newer, _):
        with pytest.raises(Conflict, match="another connection of client acme is served now"):
            await running

        await newer.say(type="ping")

        assert {"type": "pong"} == await newer.hear()


@pytest.mark.parametrize(
    ("wanted", "given", "kind", "words"),
    [
        ({"client": "acme"}, "nonsense", Unauthenticated, "the gateway does not take the token: invalid token"),
        ({"client": "acme"}, None, Unauthenticated, "the gateway does not take the token: authentication required"),
        (
            {"client": "acme"},
            ("client:other",),
            Denied,
            "this token may not be client acme; it needs client:acme in its scope (insufficient scope)",
        ),
        (
            {"tags": ("tea",)},
            ("coffee",),
            Denied,
            "this token may not hear of these tags; each has to be in its scope (insufficient scope)",
        ),
        ({"tags": ("x" * 101,)}, MASTER, Invalid, "the gateway does not take this: invalid handshake message: "),
        (
            {"client": "acme", "forward_to": "http://127.0.0.1:9/"},
            ("client:acme",),
            Denied,
            "it needs client:acme in its scope, and access write to forward (insufficient access level)",
        ),
    ],
)
async def test_what_is_refused_ends_it_with_a_sentence(house, heard, wanted, given, kind, words):
    token = house.api.token(Access.READ, *given) if isinstance(given, tuple) else given
    with pytest.raises(kind, match=re.escape(words)):
        await listened(house, token=token, **wanted)

    assert "Ready" not in heard.look().err


async def test_a_token_that_expires_ends_it(house, heard):
    token = house.api.token(Access.READ, "client:acme", lifetime=4)
    with pytest.raises(Unauthenticated, match="token has expired"):
        await listened(house, token=token, client="acme")

    assert "Ready" in heard.look().err


async def test_where_no_gateway_is_it_says_so_at_once(house, heard):
    async with Receiver() as other:
        other.answer = lambda _: Answer(404)
        with pytest.raises(Unreachable, match=r"no gateway answers at ws://127.0.0.1:.*HTTP 404"):
            await listened(house, url=other.url.replace("http", "ws"), client="acme")

    with pytest.raises(Unreachable, match=r"cannot reach http://127.0.0.1:9"):
        await listened(house, url="ws://127.0.0.1:9/ws", client="acme")


async def test_what_is_no_gateway_is_said_to_be_none(house, heard):
    async def speak(connection):
        await connection.recv()
        await connection.send("[hello")
        await connection.wait_closed()

    async with serve(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match="does not speak as a gateway does"):
            await listened(house, url=f"ws://127.0.0.1:{port}/ws", client="acme")


async def test_a_gateway_that_is_full_is_waited_for(database, redis_url, redis_prefix, heard):
    async with open_house(database, redis_url, redis_prefix, Settings(max_connections=1)) as house:
        async with as_client(house.url, "other") as (_, _):
            running = asyncio.create_task(listened(house, client="acme", most=1))
            await heard.says("Not ready yet (too many connections); trying again until it is there.")
        await create_for(house.api)
        await running

    assert 1 == heard.look().err.count("Not ready yet")
    assert 1 == heard.err.count("Ready at")


async def test_a_gateway_that_is_busy_or_about_to_end_is_waited_for(house, heard, monkeypatch):
    monkeypatch.setattr("qhronos.gateway.service.MOST_STRANGERS", 0)
    await create_for(house.api)
    async with listening(house, client="acme", most=1) as running:
        await heard.says("Not ready yet (the gateway at")
        monkeypatch.undo()
        await running

    address = re.escape(house.url)
    assert re.search(
        rf"\(the gateway at {address} is busy or about to end \(HTTP 403\)\); trying again", heard.look().err
    )


@pytest.mark.parametrize("status", [403, 429, 502, 503, 504])
async def test_so_is_what_stands_before_a_gateway_and_has_none_just_now(house, port, heard, status):
    port.answer = lambda _: Answer(status)
    async with listening(house, url=port.url.replace("http", "ws"), client="acme"):
        await port.wait_for(2)

    assert f"is busy or about to end (HTTP {status})" in heard.look().err


async def test_a_connection_on_which_nobody_answers_is_left(house, heard, monkeypatch):
    """As after a sleep: nothing says that it is gone."""
    monkeypatch.setattr("qhronos.cli.link.PINGING", 0.2)
    async with Frozen(house) as way, listening(house, url=way.url, client="acme", most=1) as running:
        await heard.says("Ready")
        way.freeze()
        await heard.says("The connection is lost (nobody answers there any more)")
        way.thaw()
        await create_for(house.api)
        await running

    assert 1 == heard.look().err.count("Back after")


class Frozen:
    """A way to the gateway on which nothing comes or goes while it is frozen."""

    def __init__(self, house):
        self._port = int(house.url.split(":")[2].split("/")[0])
        self._goes = asyncio.Event()
        self._goes.set()
        self._tasks = set()
        self.freeze, self.thaw = self._goes.clear, self._goes.set

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, reader, writer):
        there = await asyncio.open_connection("127.0.0.1", self._port)
        for way in ((reader, there[1]), (there[0], writer)):
            self._tasks.add(asyncio.create_task(self._pass_on(*way)))

    async def _pass_on(self, reader, writer):
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._goes.wait()
                writer.write(data)
        writer.close()


async def test_the_token_does_not_follow_where_an_answer_leads(house, port, heard):
    port.answer = lambda _: Answer(302, {"location": house.url})
    with pytest.raises(Unreachable, match="HTTP 302"):
        await listened(house, url=port.url.replace("http", "ws"), client="acme")


async def test_pauses_grow_and_differ_and_what_the_gateway_asks_for_is_kept():
    tried = link.Link("http://127.0.0.1:9", None, SystemClock(), lambda _: None)
    pauses = [tried._pause(link.Lost("away")) for _ in range(12)]
    again = link.Link("http://127.0.0.1:9", None, SystemClock(), lambda _: None)

    assert all(
        0.5 * step <= pause <= step for pause, step in zip(pauses, [0.5, 1, 2, 4, 8, 16] + [30] * 6, strict=True)
    )
    assert pauses != [again._pause(link.Lost("away")) for _ in range(12)]
    assert [0.73, 60.0] == [tried._pause(link.Lost("ending", after)) for after in (0.73, 3600)]
