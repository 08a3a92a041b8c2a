"""`qhronos receive`: a receiver to try things with."""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import click

from qhronos.cli import options
from qhronos.cli.home import kept_secrets, read_environment
from qhronos.clock import SystemClock
from qhronos.core.signing import FIRST_SIGNATURE, SIGNATURE, check_secret, verify
from qhronos.errors import ConfigError, Invalid

SECRET = "QHRONOS_HMAC__DEFAULT_SECRET"  # noqa: S105 - the name of a variable
LONGEST_BODY = 10 * 1024 * 1024


@click.command()
@click.option("--port", "-p", type=click.IntRange(0, 65_535), default=9000, show_default=True)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True)
@click.option("--secret", help=f"What deliveries are signed with.  [default: ${SECRET}, else that of `up`]")
@click.option("--status", type=click.IntRange(200, 599), default=200, show_default=True, help="What to answer.")
@click.option("--exit-after", type=click.IntRange(1), metavar="N", help="End after N deliveries.")
@click.option("--verbose", "-V", is_flag=True, help="Print headers and body as well.")
@options.home
def receive(
    *, port: int, host: str, secret: str | None, status: int, exit_after: int | None, verbose: bool, home: Path
) -> int:
    """Receive webhooks, verify their signatures and print them.

    With --exit-after it ends with 1 if a signature was wrong.
    """
    check_secret(found := secret or _secret_of(home), "--secret")
    manner = Manner(found, status, exit_after, verbose)
    try:
        server = Receiver((host, port), manner)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from error
    with server:
        click.echo(f"Ready on http://{host}:{server.server_port}/", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 1 if exit_after and server.wrong else 0


class Manner(NamedTuple):
    """How to receive."""

    secret: str
    status: int
    exit_after: int | None
    verbose: bool


class Receiver(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], manner: Manner) -> None:
        super().__init__(address, Handler)
        self.manner = manner
        self.clock = SystemClock()
        self.wrong = 0
        self._received = 0
        self._one_at_a_time = threading.Lock()

    def record(self, arrived: datetime, headers: Mapping[str, str], body: bytes) -> None:
        verdict = signature(self.manner.secret, headers, body, arrived)
        lines = [summary(arrived, headers, body, verdict)]
        if self.manner.verbose:
            lines += [*(f"  {name}: {value}" for name, value in headers.items()), f"  {body.decode(errors='replace')}"]
        with self._one_at_a_time:
            self.wrong += verdict.startswith("WRONG")
            self._received += 1
            click.echo("\n".join(lines))

    def end_if_enough(self) -> None:
        with self._one_at_a_time:
            enough = self.manner.exit_after is not None and self._received >= self.manner.exit_after
        if enough:
            self.shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Receiver

    def receive(self) -> None:
        arrived = self.server.clock.now()
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LONGEST_BODY))
        self.server.record(arrived, dict(self.headers.items()), body)
        self.send_response(self.server.manner.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        self.server.end_if_enough()

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = receive  # noqa: N815 - http.server says so

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - signature of http.server
        """Said by `record`, better."""


def signature(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """What the two signatures of a delivery are worth, in words."""
    given = {name.lower(): value for name, value in headers.items()}
    if SIGNATURE not in given and FIRST_SIGNATURE not in given:
        return "not signed"
    if refusal := _refusal(secret, given, body, now):
        return f"WRONG SIGNATURE ({refusal})"
    newest, *others = given[SIGNATURE].split(" ")
    if others and _refusal(secret, given | {SIGNATURE: newest}, body, now):
        return "signature ok (this secret is being replaced)"  # the one header of the first Qhronos is the newest's
    first = hmac.digest(secret.encode(), body, "sha256").hex()
    if not hmac.compare_digest(first.encode(), given.get(FIRST_SIGNATURE, "").encode()):
        return f"WRONG SIGNATURE ({FIRST_SIGNATURE} does not match)"
    return "signature ok"


def _refusal(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str | None:
    try:
        verify(secret, headers, body, now)
    except Invalid as refusal:
        return str(refusal)
    return None


def summary(arrived: datetime, headers: Mapping[str, str], body: bytes, verdict: str) -> str:
    """`08:00:00.001Z  +1.2 ms  hello  occ_…  attempt 1  signature ok`."""
    clock = f"{arrived:%H:%M:%S}.{arrived.microsecond // 1000:03}Z"
    try:
        told = json.loads(body)
        late = (arrived - datetime.fromisoformat(told["scheduled_at"])).total_seconds() * 1000
        parts = [f"{late:+.1f} ms", told["name"], told["occurrence_id"], f"attempt {told['attempt']}"]
    except (ValueError, KeyError, TypeError):
        parts = [f"{len(body)} bytes", headers.get("webhook-id", "no id")]
    return "  ".join([clock, *map(str, parts), verdict])


def _secret_of(home: Path) -> str:
    if told := os.environ.get(SECRET):
        return told
    running = read_environment(home) or {}
    return running.get(SECRET) or kept_secrets(home).hmac_secret
