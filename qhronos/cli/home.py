"""The data directory of `qhronos up`: where it is, and the files in it by which the other commands find a running one.

    token         the master token, made once
    secrets.json  what signs tokens and deliveries, made once
    secrets.key   what seals the secrets of events, made once; without it they are lost
    env.json      while `up` runs: every variable that another process needs to join it
    url           while `up` runs: where its API listens

The first four are readable for their owner alone. `up` keeps env.json locked, so one that a killed `up` left behind is seen as such.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from qhronos.errors import ConfigError


class Secrets(NamedTuple):
    master_token: str
    jwt_secret: str
    hmac_secret: str
    key: str


def data_dir() -> Path:
    """Where the data are unless somebody says otherwise."""
    if chosen := os.environ.get("QHRONOS_DATA_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/qhronos")
    shared = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(shared) / "qhronos"


def kept_secrets(home: Path) -> Secrets:
    """The secrets of this data directory, made on first use."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = _kept(home / "token", lambda: secrets.token_urlsafe(32) + "\n")
        signing = json.loads(_kept(home / "secrets.json", _new_signing_secrets))
        key = _kept(home / "secrets.key", lambda: base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        return Secrets(token.strip(), signing["jwt_secret"], signing["hmac_secret"], key.strip())
    except OSError as error:
        raise ConfigError(f"cannot use {home} as data directory: {error.strerror}; choose one by --data-dir") from error
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{home / 'secrets.json'} is damaged; remove it and new secrets are made") from error


@contextmanager
def published(home: Path, url: str | None, environment: Mapping[str, str]) -> Iterator[None]:
    """Let other commands find this `up` as long as the context lasts."""
    with _locked(home / "env.json", json.dumps(environment, indent=2) + "\n"):
        try:
            if url:
                (home / "url").write_text(url + "\n", encoding="utf-8")
            yield
        finally:
            (home / "url").unlink(missing_ok=True)
            (home / "env.json").unlink(missing_ok=True)


def read_environment(home: Path) -> dict[str, str] | None:
    """What a running `up` has published; None if none runs on this data directory."""
    try:
        with (home / "env.json").open(encoding="utf-8") as file:
            environment: dict[str, str] = json.load(file)
            return None if _is_free(file.fileno()) else environment
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise ConfigError(f"{home} belongs to another user; run as that user") from error


def _new_signing_secrets() -> str:
    made = {
        "jwt_secret": secrets.token_urlsafe(48),
        "hmac_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    return json.dumps(made, indent=2) + "\n"


def _kept(path: Path, make: Callable[[], str]) -> str:
    """What the file holds; on first use, what `make` makes."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        os.close(_write(draft, make()))
        try:
            # Unlike a rename, a link never replaces what somebody else made meanwhile, and it is never half written.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8")


@contextmanager
def _locked(path: Path, text: str) -> Iterator[None]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = _write(draft, text)
    try:
        # The lock belongs to the open file, so it stays through the rename and ends with this process, however it ends.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        draft.replace(path)
        yield
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, text: str) -> int:
    """A new file that only its owner may read; it is left open."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, text.encode())
    return descriptor
