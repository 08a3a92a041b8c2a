"""A real nginx, on two ports of 127.0.0.1, with a name for each of its moods."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
IS_REQUIRED = os.environ.get("QHRONOS_TEST_NGINX") == "required"
WHY = "there is no nginx here (Debian: nginx-light); QHRONOS_TEST_NGINX=required makes that a failure"
BIG = 1_000_000  # bytes of a file

CONFIGURATION = """
daemon off;
worker_processes 1;
error_log stderr notice;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
    root {folder}/root;

    server {{
        listen 127.0.0.1:{port} default_server;
        server_name usual.test;
        client_max_body_size 1m;
        location = /ok {{ return 200 ok; }}
        location = /empty {{ return 204; }}
        location = /gone {{ return 410; }}
        location = /moved {{ return 301 /ok; }}
        location = /closed {{ return 444; }}
        location = /said {{ return 200 "$request_method $http_host [$http_accept_encoding] $content_length"; }}
        location = /which {{ return 200 "$pid $connection $connection_requests"; }}
        location = /chunked {{ ssi on; ssi_types *; try_files /small =404; }}
        location = /drip {{ limit_rate 400; try_files /big =404; }}
        location = /upstream {{ proxy_pass http://127.0.0.1:{port}/said; }}
        location = /unreachable {{ proxy_pass http://127.0.0.1:{unused}/; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name twice.test;
        keepalive_requests 2;
        location = /which {{ return 200 "$pid $connection $connection_requests"; }}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name hasty.test;
        keepalive_timeout 1s;
        location = /which {{ return 200 "$pid $connection $connection_requests"; }}
    }}
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    server {{
        listen 127.0.0.1:{tls} ssl http2 default_server;
        server_name tls.nginx.test;
        location = /said {{ return 200 "$ssl_protocol $ssl_server_name $server_protocol"; }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        server_name mutual.nginx.test;
        ssl_client_certificate {authority};
        ssl_verify_client on;
        location = /said {{ return 200 "$ssl_client_s_dn"; }}
    }}
}}
"""


class Nginx:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int, tls: int) -> None:
        self.port = port
        self.tls = tls
        self._process = process
        self._folder = folder

    def url(self, path: str, host: str = "usual.test") -> str:
        secure = host in ("tls.nginx.test", "mutual.nginx.test", "wrong.nginx.test")
        return f"https://{host}:{self.tls}/{path}" if secure else f"http://{host}:{self.port}/{path}"

    def reload(self) -> None:
        """Its workers answer what is under way, close what is idle, and others take their place."""
        self._process.send_signal(signal.SIGHUP)


@contextmanager
def running(folder: Path, certificate: Path, authority: Path) -> Iterator[Nginx]:
    assert PROGRAM, WHY
    (folder / "root").mkdir()
    (folder / "root" / "big").write_bytes(b"x" * BIG)
    (folder / "root" / "small").write_bytes(b"in pieces")
    port, tls, unused = _free_ports(3)
    user = "user root;\n" if os.getuid() == 0 else ""
    text = CONFIGURATION.format(
        folder=folder, port=port, tls=tls, unused=unused, certificate=certificate, authority=authority
    )
    (folder / "nginx.conf").write_text(user + text)
    command = [PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            _wait_until_it_works(process)
            yield Nginx(folder, process, port, tls)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)


def _wait_until_it_works(process: subprocess.Popen[bytes]) -> None:
    said = b""
    for line in process.stderr:
        said += line
        if b"start worker process " in line:
            return
    raise RuntimeError(f"nginx did not start: {said.decode()}")


def _free_ports(count: int) -> list[int]:
    """Nobody has them now; nginx cannot be asked which one it took."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
