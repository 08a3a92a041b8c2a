"""Whose certificates are believed, and which of our own is shown to whom.

A certificate of ours is chosen by an operator for hosts, never by an event: it is the identity of the installation, and a
private key belongs in no database.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

from qhronos.config import ClientCertificate
from qhronos.errors import ConfigError, Invalid
from qhronos.http import url
from qhronos.log import get_logger

Make: TypeAlias = Callable[[], ssl.SSLContext]

log = get_logger()


def fresh_tls() -> ssl.SSLContext:
    """Certificates of the public authorities, names checked. Reading them takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


public_tls = cache(fresh_tls)


class Tls:
    def __init__(self, usual: ssl.SSLContext, own: Sequence[Own] = ()) -> None:
        self._usual = usual
        self._own = own

    @classmethod
    def read(cls, entries: Sequence[ClientCertificate], make: Make = fresh_tls) -> Tls:
        """Of `http.client_certificates`. Raises ConfigError, which names the entry and the remedy."""
        own = [Own(entry, f"http.client_certificates[{at}]", make) for at, entry in enumerate(entries)]
        return cls(make() if own or make is not fresh_tls else public_tls(), own)

    def context_for(self, host: str) -> ssl.SSLContext:
        """With the first certificate of ours that is for the host, if there is one."""
        return next((own.context() for own in self._own if own.is_for(host)), self._usual)


class Own:
    """A certificate of ours. Its files are read again when they have changed, so that it can be renewed in place."""

    def __init__(self, entry: ClientCertificate, where: str, make: Make) -> None:
        self._entry = entry
        self._where = where
        self._make = make
        self._hosts = [_host(pattern, f"{where}.hosts") for pattern in entry.hosts]
        self._looked_at = self._stamp()
        self._context = self._load()

    def is_for(self, host: str) -> bool:
        return any(host.endswith(each) if each.startswith(".") else host == each for each in self._hosts)

    def context(self) -> ssl.SSLContext:
        """Goes on with what it has if what is new is of no use."""
        if (stamp := self._stamp()) != self._looked_at:
            self._looked_at = stamp
            try:
                self._context = self._load()
            except ConfigError as error:
                log.warning("certificate.refused", error=str(error))
            else:
                log.info("certificate.renewed", certificate=self._entry.certificate)
        return self._context

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        stamps = []
        for path in (self._entry.certificate, self._entry.key or self._entry.certificate):
            try:
                found = Path(path).stat()
            except OSError:
                stamps.append((0, 0))
            else:
                stamps.append((found.st_ino, found.st_mtime_ns))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._entry.certificate, self._entry.key or self._entry.certificate
        _read(certificate, f"{self._where}.certificate")
        if b"ENCRYPTED" in _read(key, f"{self._where}.key"):
            raise ConfigError(f"{self._where}.key: the key in {key} is encrypted; write it without a passphrase")
        context = self._make()
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ConfigError(f"{self._where}: the key does not belong to the certificate") from error
            raise ConfigError(
                f"{self._where}: there is no certificate in {certificate} or no private key in {key}; both are PEM"
            ) from error
        return context


def alert(error: BaseException | None) -> str | None:
    """What the other side says is wrong, in the words of TLS, if it says anything: `certificate required`, `unknown ca`."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return reason.partition("_ALERT_")[2].lower().replace("_", " ") or None


def _read(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {error.strerror}") from error


def _host(pattern: str, where: str) -> str:
    """A name or an address as URLs have it; with a dot before it, where it stands for all names below."""
    wild = pattern.startswith("*.")
    name = pattern.removeprefix("*.")
    try:
        parsed = url.parse(f"https://{name}")
    except Invalid as error:
        raise ConfigError(f"{where}: {pattern!r} is no host; write api.example.com or *.example.com") from error
    if parsed.target != "/" or parsed.port != url.DEFAULT_PORTS["https"] or (wild and parsed.address):
        raise ConfigError(f"{where}: {pattern!r} is no host; write api.example.com or *.example.com")
    return f".{parsed.host}" if wild else parsed.host
