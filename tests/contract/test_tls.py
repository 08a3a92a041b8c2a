"""Certificates of ours: shown to the hosts they are for, read again when they are renewed, refused where they are no use."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import timedelta

import pytest
import uvloop
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from qhronos.clock import SystemClock
from qhronos.config import ClientCertificate
from qhronos.errors import ConfigError, Unreachable
from qhronos.http import Client, Egress, Request, Response, Tls
from tests.contract.servers import OK, Authority, Endpoint, Session, handshaking, says

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def lookup(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(SystemClock().now(), tmp_path)


async def call(tls: Tls, host: str, port: int) -> Response:
    client = Client(Egress(["127.0.0.0/8"]), SystemClock(), lookup=lookup, tls=tls)
    try:
        return await client.send(Request(method="POST", url=f"https://{host}:{port}/", body=b"{}", timeout=5))
    finally:
        await client.close()


def shown(seen: list[str]) -> Callable:
    """Answers, and notes whose certificate it was shown."""

    async def behave(session: Session) -> None:
        subject = session.peer_certificate()["subject"]
        seen.append(subject[0][0][1])
        await session.request()
        await session.send(OK)

    return behave


@pytest.mark.parametrize(
    ("pattern", "host"),
    [("hooks.test", "hooks.test"), ("HOOKS.test.", "hooks.test"), ("*.test", "a.b.test"), ("127.0.0.1", "127.0.0.1")],
)
async def test_a_host_that_asks_is_shown_the_certificate_that_is_for_it(authority, pattern, host):
    seen = []
    entry = ClientCertificate(hosts=(pattern,), certificate=str(authority.issue("ours")))
    tls = Tls.read([entry], authority.trusted)
    async with Endpoint(shown(seen), authority.server(host, asks=True)) as endpoint:
        response = await call(tls, host, endpoint.port)

    assert (200, ["ours"]) == (response.status, seen)


async def test_the_first_that_is_for_the_host_is_shown(authority):
    seen = []
    entries = [
        ClientCertificate(hosts=(host,), certificate=str(authority.issue(name)))
        for host, name in (("other.test", "no"), ("hooks.test", "first"), ("*.test", "second"))
    ]
    tls = Tls.read(entries, authority.trusted)
    async with Endpoint(shown(seen), authority.server("hooks.test", asks=True)) as endpoint:
        await call(tls, "hooks.test", endpoint.port)

    assert ["first"] == seen


@pytest.mark.parametrize("pattern", ["other.test", "*.hooks.test", "test"])
async def test_no_other_host_is_shown_it(authority, pattern):
    entry = ClientCertificate(hosts=(pattern,), certificate=str(authority.issue("ours")))
    tls = Tls.read([entry], authority.trusted)
    async with Endpoint(says(OK), authority.server("hooks.test", asks=True)) as endpoint:
        with pytest.raises(Unreachable):
            await call(tls, "hooks.test", endpoint.port)


@pytest.mark.parametrize(
    ("version", "whose", "reason"),
    [
        (ssl.TLSVersion.TLSv1_2, None, "TLS handshake failed: handshake failure"),
        (ssl.TLSVersion.TLSv1_2, "stranger", "TLS handshake failed: unknown ca"),
        (ssl.TLSVersion.TLSv1_3, None, "the endpoint ended TLS: certificate required"),
        (ssl.TLSVersion.TLSv1_3, "stranger", "the endpoint ended TLS: unknown ca"),
    ],
)
async def test_what_an_endpoint_has_against_our_certificate_is_said(authority, tmp_path, version, whose, reason):
    (tmp_path / "stranger").mkdir()
    stranger = Authority(SystemClock().now(), tmp_path / "stranger").issue("stranger")
    entries = [ClientCertificate(hosts=("hooks.test",), certificate=str(stranger))] if whose else []
    context = authority.server("hooks.test", asks=True)
    context.maximum_version = version
    with handshaking(context) as port, pytest.raises(Unreachable, match=f"^{reason}$") as error:
        await call(Tls.read(entries, authority.trusted), "hooks.test", port)

    assert "tls" == error.value.kind


async def test_a_certificate_that_is_renewed_in_place_is_read_again(authority, tmp_path):
    seen = []
    path = tmp_path / "current.pem"
    path.write_bytes(authority.issue("before").read_bytes())
    tls = Tls.read([ClientCertificate(hosts=("hooks.test",), certificate=str(path))], authority.trusted)
    async with Endpoint(shown(seen), authority.server("hooks.test", asks=True)) as endpoint:
        await call(tls, "hooks.test", endpoint.port)
        replace(path, authority.issue("after").read_bytes())
        with capture_logs() as lines:
            await call(tls, "hooks.test", endpoint.port)
            await call(tls, "hooks.test", endpoint.port)

    assert ["before", "after", "after"] == seen
    assert ["certificate.renewed"] == [line["event"] for line in lines]


@pytest.mark.parametrize("spoil", [lambda path: replace(path, b"half"), lambda path: path.unlink()])
async def test_a_renewal_that_is_of_no_use_is_said_once_and_the_old_one_goes_on(authority, tmp_path, spoil):
    seen = []
    path = tmp_path / "current.pem"
    path.write_bytes(authority.issue("before").read_bytes())
    tls = Tls.read([ClientCertificate(hosts=("hooks.test",), certificate=str(path))], authority.trusted)
    async with Endpoint(shown(seen), authority.server("hooks.test", asks=True)) as endpoint:
        spoil(path)
        with capture_logs() as lines:
            await call(tls, "hooks.test", endpoint.port)
            await call(tls, "hooks.test", endpoint.port)

    assert ["before", "before"] == seen
    assert ["certificate.refused"] == [line["event"] for line in lines]


def replace(path, content):
    """As whoever renews a certificate does it: at once, by another file."""
    other = path.with_suffix(".new")
    other.write_bytes(content)
    os.replace(other, path)  # noqa: PTH105 - both names are ours


def entry_of(certificate, key=None, hosts=("hooks.test",)) -> ClientCertificate:
    return ClientCertificate(hosts=hosts, certificate=str(certificate), key=None if key is None else str(key))


def test_a_file_that_is_missing_is_named(authority, tmp_path):
    with pytest.raises(ConfigError, match=r"^http.client_certificates\[0\].certificate: cannot read .*/none: No such"):
        Tls.read([entry_of(tmp_path / "none")], authority.trusted)
    with pytest.raises(ConfigError, match=r"^http.client_certificates\[1\].key: cannot read .*/none: No such"):
        Tls.read([entry_of(authority.issue("a")), entry_of(authority.issue("a"), tmp_path / "none")], authority.trusted)


def test_a_key_of_another_certificate_is_refused(authority):
    with pytest.raises(
        ConfigError, match=r"^http.client_certificates\[0\]: the key does not belong to the certificate"
    ):
        Tls.read([entry_of(authority.issue("a"), authority.issue("b"))], authority.trusted)


def test_a_file_that_is_something_else_is_refused(authority, tmp_path):
    (tmp_path / "text").write_text("no certificate")
    for entry in (entry_of(tmp_path / "text"), entry_of(authority.issue("a"), tmp_path / "text")):
        with pytest.raises(ConfigError, match="both are PEM"):
            Tls.read([entry], authority.trusted)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(authority, tmp_path):
    issued = authority.issue("a", timedelta(days=1))
    key = serialization.load_pem_private_key(issued.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "locked").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(ConfigError, match=r"\[0\].key: the key in .* is encrypted; write it without a passphrase"):
        Tls.read([entry_of(issued, tmp_path / "locked")], authority.trusted)


@pytest.mark.parametrize(
    "host", ["https://a.test", "a.test/x", "a.test:8443", "*", "*.127.0.0.1", "a*.test", "", "127.1"]
)
def test_a_host_that_is_none_is_refused(authority, host):
    with pytest.raises(ConfigError, match=r"\[0\].hosts: .* is no host; write api.example.com or \*.example.com"):
        Tls.read([entry_of(authority.issue("a"), hosts=(host,))], authority.trusted)


def test_without_certificates_of_ours_those_of_the_authorities_are_read_once():
    assert Tls.read([]).context_for("a.test") is Tls.read([]).context_for("b.test")
