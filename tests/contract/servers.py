"""Endpoints that behave as badly as a test asks them to, and certificates to go with them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Session:
    """One connection, as the endpoint sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """The head of the next request; ends the session when the client has gone."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self.head()
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        return head + await self._reader.readexactly(int(length))

    def peer_certificate(self) -> dict[str, Any]:
        return self._writer.get_extra_info("peercert")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def finish(self) -> None:
        """Send no more, but go on reading."""
        self._writer.write_eof()
        await self.gone()

    async def gone(self) -> None:
        """Read and ignore until the client has gone."""
        while await self._reader.read(65536):
            pass

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes from either side until one of them ends."""
        ways = [asyncio.create_task(_pass_on(*way)) for way in ((self._reader, writer), (reader, self._writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


Behaviour = Callable[[Session], Awaitable[None]]


class Endpoint:
    """A server on 127.0.0.1 whose every connection runs `behave`, after which it is closed."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.accepted = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._behave = behave
        self._tls = tls
        self._changed = asyncio.Condition()
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hook"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.open == count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        self._sessions.add(session)
        self.accepted += 1
        await self._count(1)
        try:
            await self._behave(Session(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()
            self._sessions.discard(session)
            await self._count(-1)

    async def _count(self, step: int) -> None:
        async with self._changed:
            self.open += step
            self.most_open = max(self.most_open, self.open)
            self._changed.notify_all()


def says(*parts: bytes) -> Behaviour:
    """Answer every request with these bytes."""

    async def behave(session: Session) -> None:
        while True:
            await session.request()
            for part in parts:
                await session.send(part)

    return behave


def says_once(*parts: bytes) -> Behaviour:
    """Answer one request with these bytes, and close."""

    async def behave(session: Session) -> None:
        await session.request()
        for part in parts:
            await session.send(part)

    return behave


async def is_silent(session: Session) -> None:
    """Take everything and never answer."""
    await session.gone()


class ForwardProxy(Endpoint):
    """Makes a tunnel to wherever it is asked, if that answers."""

    def __init__(self) -> None:
        super().__init__(self._tunnel)
        self.heads: list[bytes] = []

    async def _tunnel(self, session: Session) -> None:
        self.heads.append(head := await session.head())
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        try:
            there = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            await session.send(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        await session.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await session.join(*there)


@contextmanager
def handshaking(tls: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that does one handshake and says by an alert what is wrong; loops do not send theirs."""

    def shake() -> None:
        sock, _ = listening.accept()
        with tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as wrapped:
            with suppress(ssl.SSLError):
                wrapped.do_handshake()
            # Closed with something unread it would be a reset, which may overtake the alert.
            plain = wrapped.detach()
        with socket.socket(fileno=plain) as still:
            still.shutdown(socket.SHUT_WR)
            while still.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=shake)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@contextmanager
def blackhole(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The port of a socket that answers no more SYNs: its backlog is full."""
    with socket.socket() as listening:
        listening.bind((host, port))
        listening.listen(0)
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield address[1]
        finally:
            for each in waiting:
                each.close()


class Authority:
    """Issues certificates to servers, and contexts to those that trust it."""

    def __init__(self, now: datetime, folder: Path) -> None:
        self._now = now
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = (
            self._build(self._name, self._key, now + timedelta(days=1))
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_authority_usage(), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.pem)

    def server(self, name: str, ends: timedelta = timedelta(days=1), *, asks: bool = False) -> ssl.SSLContext:
        """For a host name or an address. `asks`: for a certificate of this authority, as it does itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(name, ends))
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.pem)
        return context

    def issue(self, name: str, ends: timedelta = timedelta(days=1)) -> Path:
        """A file with a certificate for that name, and its key before it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._build(subject, key, self._now + ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return self._write(name, certificate, key)

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self._now - timedelta(days=2),
            not_valid_after=ends,
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self._folder / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _authority_usage() -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        **dict.fromkeys(names, False), key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
