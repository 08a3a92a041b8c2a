"""The command in this process, away from whatever runs on this machine, and an API that only listens."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qhronos import cli


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No variable and no running `up` of this machine reaches a test."""
    for name in [name for name in os.environ if name.startswith("QHRONOS_")] + ["DATABASE_URL", "REDIS_URL", "PORT"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QHRONOS_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def qhronos(monkeypatch, capsys):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["qhronos", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


class Api(ThreadingHTTPServer):
    """Answers every request with the same and keeps what came."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.answer, self.seen = 200, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, json.loads(body) if body else None, self.headers))
        content = b"" if self.server.status == 204 else json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815 - names of http.server

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def api(monkeypatch):
    with Api() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("QHRONOS_URL", server.url)
        monkeypatch.setenv("QHRONOS_TOKEN", "t0ken")
        yield server
        server.shutdown()
