"""What a listener does with words that may have been lost, with a wrong wish, and with Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket

import pytest

from qhronos.cli.forward import Answer as ForwardAnswer
from qhronos.cli.forward import Forwarder
from qhronos.cli.heard import Printer
from qhronos.cli.hearers import ByName, ByTags
from qhronos.cli.listen import Interruption, Wanted, _until_interrupted
from qhronos.core.attempt import Delivered, Failed, Refused
from tests.fakes import Answer, FakeClock, Receiver


class Said(list):
    """What was said to the gateway."""

    async def __call__(self, frame):
        self.append(frame)


def event(seq, *, again=False, attempt=1):
    frame = {
        "type": "event",
        "seq": seq,
        "redelivered": again,
        "occurrence_id": f"occ_{seq}",
        "name": "tea",
        "scheduled_at": "2026-03-01T12:00:00Z",
        "attempt": attempt,
        "metadata": {},
    }
    return frame | {"headers": {"webhook-id": f"occ_{seq}"}, "body": "{}"}


ACK = {"type": "ack", "occurrence_id": "occ_1"}


def by_name(most=None, forwarder=None):
    clock = FakeClock()
    return ByName("acme", Printer("json", clock), forwarder, clock, most)


async def tell(hearer, said, *frames):
    return [await hearer.heed(frame, json.dumps(frame), said) for frame in frames]


async def registered(hearer, said, epoch="e"):
    await hearer.registered({"type": "ack", "epoch": epoch, "seq": 9}, said)


async def test_a_yes_that_may_have_been_lost_is_said_again_and_nothing_is_done_again(capsys):
    hearer, said = by_name(most=1), Said()
    await registered(hearer, said)
    await tell(hearer, said, event(1))
    await registered(hearer, said)
    ends = await tell(hearer, said, event(1, again=True), {"type": "ack", "message": "acknowledged", **ACK})

    assert [ACK, ACK, ACK] == said
    assert [False, True] == ends
    assert 1 == len(capsys.readouterr().out.splitlines())


async def test_a_word_that_did_not_count_is_said_again_after_a_while(capsys):
    hearer, said = by_name(), Said()
    await tell(hearer, said, event(1), {"type": "error", "message": "unavailable"})

    assert [ACK, ACK] == said
    assert 1.0 == hearer._clock.monotonic()


async def test_a_no_that_may_have_been_lost_is_said_again_and_a_new_attempt_is_a_new_one(capsys):
    async with Receiver() as port:
        port.answer = lambda _: Answer(503)
        forwarder = Forwarder(port.url, FakeClock())
        hearer, said = by_name(forwarder=forwarder), Said()
        await registered(hearer, said)
        await tell(hearer, said, event(1))
        await registered(hearer, said)
        await tell(hearer, said, event(1, again=True))
        (once,) = port.requests
        await tell(hearer, said, {"type": "ack", "message": "acknowledged", "seq": 1}, event(1, again=True))
        await forwarder.close()

    no = {"type": "nack", "seq": 1, "reason": "local port answered 503"}
    assert [no, no, no] == said
    assert (b"{}", 2) == (once.body, len(port.requests))


LATE = {"type": "ack", "message": "acknowledged", "occurrence_id": "occ_1", "counted": False}


async def test_a_yes_that_came_too_late_is_kept_for_the_next_attempt_and_is_none_until_then(capsys):
    hearer, said = by_name(most=2), Said()
    await registered(hearer, said)
    ends = await tell(
        hearer, said, event(1), LATE | {"status": "scheduled"}, event(2), {**ACK, "occurrence_id": "occ_2"}
    )
    await registered(hearer, said)
    again = event(3, attempt=2) | {"occurrence_id": "occ_1"}
    ends += await tell(hearer, said, again, ACK)

    assert [ACK, {**ACK, "occurrence_id": "occ_2"}, ACK] == said
    assert [False, False, False, False, False, True] == ends
    assert [("event", 1), ("ack", None), ("event", 2)] == [
        (told["type"], told.get("seq")) for told in map(json.loads, capsys.readouterr().out.splitlines())
    ]


@pytest.mark.parametrize("end", [{"status": "failed"}, {}])
async def test_a_yes_to_what_has_ended_is_not_kept(capsys, end):
    hearer, said = by_name(most=1), Said()
    await tell(hearer, said, event(1), LATE | end)
    ends = await tell(hearer, said, event(2, attempt=2) | {"occurrence_id": "occ_1"}, ACK)

    assert [False, True] == ends
    assert ["event", "ack", "event"] == [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]


def test_what_came_too_late_is_a_line_for_people(capsys):
    printer = Printer("text", FakeClock())
    for more in ({"status": "scheduled"}, {"status": "dispatched"}, {"status": "failed"}, {}):
        printer.late(LATE | more)

    start = "12:00:00.000Z  occ_1  too late"
    assert [start + ": it comes again"] * 2 + [start + ": it is failed", start] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("word", [{"type": "error", "message": "no such message"}, None])
async def test_a_no_that_means_nothing_any_more_is_forgotten(capsys, word):
    async with Receiver() as port:
        port.answer = lambda _: Answer(404)
        forwarder = Forwarder(port.url, FakeClock())
        hearer, said = by_name(forwarder=forwarder), Said()
        await registered(hearer, said)
        await tell(hearer, said, event(1))
        await (tell(hearer, said, word) if word else registered(hearer, said, epoch="another"))
        await tell(hearer, said, event(1, again=True))
        await forwarder.close()

    assert 2 == len(port.requests)
    assert {"type": "nack", "seq": 1, "reason": "local port answered 404", "final": True} == said[0]


async def test_a_pause_longer_than_any_is_the_longest(capsys):
    async with Receiver() as port:
        port.answer = lambda _: Answer(429, {"retry-after": "9999999999"})
        forwarder = Forwarder(port.url, FakeClock())
        said = Said()
        await tell(by_name(forwarder=forwarder), said, event(1))
        await forwarder.close()

    assert 604_800.0 == said[0]["delay"]


async def test_a_listener_goes_on_after_what_it_was_told_and_not_after_what_the_answer_says():
    hearer = ByTags({"tags": ["tea"]}, Printer("json", FakeClock()), None, FakeClock(), None)
    await hearer.registered({"epoch": "e", "offset": 4}, Said())
    first = hearer.hello()["resume"]
    await tell(hearer, Said(), {"type": "gap", "epoch": "e", "offset": 7, "missed": 3, "reason": "lost"})
    await hearer.registered({"epoch": "e", "offset": 40}, Said())
    await tell(hearer, Said(), {"type": "ping"})

    assert ({"epoch": "e", "offset": 4}, {"epoch": "e", "offset": 7}) == (first, hearer.hello()["resume"])


@pytest.mark.parametrize("address", ["localhost:3000", "127.0.0.1:25", "http://[::1]:5432/hook", "https://example.com"])
def test_any_port_may_be_forwarded_to(address):
    forwarder = Forwarder(address, FakeClock())

    assert re.match("https?://", forwarder.address)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say either --client or --tag"),
        (["--client", "a", "--tag", "b"], "say either --client or --tag"),
        (["--client", "a", "--kind", "failed"], "--tags-match and --kind go with --tag"),
        (["--client", "a", "--tags-match", "all"], "--tags-match and --kind go with --tag"),
        (["--tag", "a", "--kind", "failed", "--forward-to", "localhost:1"], "--forward-to is for what is due"),
        (["--tag", "a", "--kind", "late"], "is not one of"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(qhronos, arguments, words):
    code, _, err = qhronos("listen", *arguments, "--api", "http://127.0.0.1:9", "--token", "t")

    assert (2, True) == (code, words in err)


def test_an_address_that_is_none_is_said_before_anything_is_done(qhronos):
    code, _, err = qhronos(
        *(
            "listen",
            "--client",
            "a",
            "--forward-to",
            "http://user@localhost/",
            "--api",
            "http://127.0.0.1:9",
            "--token",
            "t",
        )
    )

    assert 1 == code
    assert err.startswith("qhronos: --forward-to: ")


def test_nobody_there_is_unreachable(qhronos):
    code, out, err = qhronos("listen", "--client", "a", "--api", "http://127.0.0.1:9", "--token", "t")

    assert (9, "") == (code, out)
    assert err.startswith("qhronos: cannot reach http://127.0.0.1:9")


def test_an_interruption_ends_it_and_one_that_comes_before_or_after_does_no_harm():
    before = signal.getsignal(signal.SIGINT)
    went_on = []

    async def wait():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        went_on.append("")

    try:
        _until_interrupted(wait())
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    assert [] == went_on


async def test_an_interruption_before_the_beginning_counts():
    interruption = Interruption(asyncio.get_running_loop())
    interruption(signal.SIGINT, None)

    with pytest.raises(asyncio.CancelledError):
        await interruption.guard(asyncio.Event().wait())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"tags": ("a",)}, "Waiting for what is due and has the tag a. Ctrl-C ends this."),
        ({"tags": ("a", "b")}, "Waiting for what is due and has any of the tags a, b. Ctrl-C ends this."),
        (
            {"tags": ("a", "b"), "kinds": ("completed", "failed")},
            "what is completed or failed and has any of the tags a, b.",
        ),
    ],
)
def test_it_says_what_it_waits_for(wanted, words):
    usual = {
        "client": None,
        "tags": (),
        "tags_match": None,
        "kinds": (),
        "forward_to": None,
        "form": "text",
        "most": None,
    }

    assert words in Wanted(**usual | wanted).sentence(None)


def lines_of(capsys, *frames):
    printer = Printer("text", FakeClock())
    for frame, answer in frames:
        if frame["type"] == "gap":
            printer.gap(frame)
        else:
            printer.event(frame, answer)
    return capsys.readouterr().out.splitlines()


def test_lines_for_people(capsys):
    given = event(1, again=True, attempt=2) | {"scheduled_at": "2026-03-01T11:59:58.5Z"}
    failed = {name: given[name] for name in ("type", "occurrence_id", "name", "scheduled_at", "attempt")}
    failed |= {"kind": "failed", "reason": "HTTP\n404"}
    gap = {"type": "gap", "missed": None, "reason": "not everything reached this gateway"}
    refused = ForwardAnswer(404, Refused(reason="local port answered 404"), 1.25)
    away = ForwardAnswer(None, Failed(reason="nobody answers at localhost:1: refused"), 1.25)
    taken = ForwardAnswer(204, Delivered(status_code=204), 12.34)

    lines = lines_of(
        capsys, (given, None), (failed, None), (gap, None), (given, refused), (given, away), (given, taken)
    )

    start = "12:00:00.000Z  +1500.0 ms  tea  occ_1  "
    assert [
        start + "attempt 2  sent before",
        start + "failed  attempt 2  HTTP 404",
        "12:00:00.000Z  missed something: not everything reached this gateway",
        start + "attempt 2  sent before  -> not taken, for good: local port answered 404",
        start + "attempt 2  sent before  -> not taken: nobody answers at localhost:1: refused",
        start + "attempt 2  sent before  -> 204 in 12.3 ms",
    ] == lines


def test_long_metadata_are_cut_on_a_line_for_people_and_whole_for_programs(capsys):
    given = event(1) | {"metadata": {"long": "x" * 1000}}

    (line,) = lines_of(capsys, (given, None))
    Printer("json", FakeClock()).event(given)

    assert line.endswith("x…")
    assert len(line) < 300
    assert given["metadata"] == json.loads(capsys.readouterr().out)["metadata"]


def test_a_server_that_says_nothing_has_a_timeout_of_its_own(qhronos, monkeypatch):
    monkeypatch.setattr("qhronos.cli.link.OPENING", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = qhronos("listen", "--client", "a", "--api", url, "--token", "t")

    assert (8, f"qhronos: {url} does not answer within 0.2 s\n") == (code, err)


def test_a_server_without_tls_is_told_apart(qhronos, api):
    code, _, err = qhronos("listen", "--client", "a", "--api", api.url.replace("http", "https"), "--token", "t")

    assert 9 == code
    assert err.startswith(f"qhronos: {api.url.replace('http', 'https')}: ")
