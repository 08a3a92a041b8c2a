"""The receiver that verifies and prints."""

import hmac
import http.client
import json
import re
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from qhronos.cli import receive
from qhronos.clock import SystemClock
from qhronos.core.signing import sign


@pytest.fixture
def receiver():
    manner = receive.Manner("whsec_c2VjcmV0", 200, None, verbose=False)
    with receive.Receiver(("127.0.0.1", 0), manner) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def delivery(scheduled_at, secret="whsec_c2VjcmV0"):
    told = {"name": "hello", "occurrence_id": "occ_1", "attempt": 1, "scheduled_at": scheduled_at.isoformat()}
    body = json.dumps(told).encode()
    return dict(sign([secret], "occ_1", SystemClock().now(), body)), body


def send(server, headers, body, method="POST"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request(method, "/", body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_delivery_is_a_line_with_its_lateness_and_a_verdict(receiver, capsys):
    send(receiver, *delivery(SystemClock().now() - timedelta(milliseconds=1500)))
    line = capsys.readouterr().out

    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}Z  \+1[5-9]\d\d\.\d ms  hello  occ_1  attempt 1  signature ok\n", line)
    assert 0 == receiver.wrong


def test_a_wrong_secret_is_said_loudly(receiver, capsys):
    send(receiver, *delivery(SystemClock().now(), secret="another"))

    assert "WRONG SIGNATURE" in capsys.readouterr().out
    assert 1 == receiver.wrong


def test_a_secret_that_is_being_replaced_is_said_to_be(receiver, capsys):
    _, body = delivery(SystemClock().now())
    send(receiver, dict(sign(["newer", "whsec_c2VjcmV0"], "occ_1", SystemClock().now(), body)), body)
    send(receiver, dict(sign(["whsec_c2VjcmV0", "older"], "occ_1", SystemClock().now(), body)), body)

    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("signature ok (this secret is being replaced)")
    assert said[1].endswith("signature ok")
    assert 0 == receiver.wrong


def test_both_signatures_must_hold(receiver, capsys):
    headers, body = delivery(SystemClock().now())
    send(receiver, headers | {"x-qhronos-signature": "0" * 64}, body)

    assert "WRONG SIGNATURE (x-qhronos-signature does not match)" in capsys.readouterr().out


def test_plain_secrets_sign_both_headers_too():
    headers, body = delivery(SystemClock().now(), secret="plain")

    assert "signature ok" == receive.signature("plain", headers, body, SystemClock().now())
    assert headers["x-qhronos-signature"] == hmac.digest(b"plain", body, "sha256").hex()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_what_is_no_delivery_is_shown_all_the_same(receiver, capsys, method):
    status = send(receiver, {}, None, method=method)

    assert 200 == status
    assert re.search(r"Z  0 bytes  no id  not signed$", capsys.readouterr().out)


def test_the_receiver_ends_after_so_many_and_with_1_if_one_was_wrong(tmp_path):
    command = [
        sys.executable,
        "-m",
        "qhronos",
        "receive",
        "--port",
        "0",
        "--exit-after",
        "2",
        "--secret",
        "s",
        "--status",
    ]
    with subprocess.Popen([*command, "503", "-V"], stdout=-1, stderr=-1, text=True) as process:
        url = process.stderr.readline()
        port = int(re.search(r"Ready on http://127.0.0.1:(\d+)/", url)[1])
        server = type("Server", (), {"server_port": port})
        statuses = [send(server, *delivery(SystemClock().now(), secret=secret)) for secret in ("s", "t")]
        out, _ = process.communicate(timeout=10)

    assert ([503, 503], 1) == (statuses, process.returncode)
    assert ("signature ok" in out, "WRONG" in out, "webhook-id: occ_1" in out) == (True, True, True)


def test_a_taken_port_is_one_sentence_that_names_the_flag(qhronos, receiver):
    code, _, err = qhronos("receive", "--port", str(receiver.server_port))

    assert 1 == code
    assert f"cannot listen on 127.0.0.1:{receiver.server_port}" in err
    assert "choose another with --port" in err
