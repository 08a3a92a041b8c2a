"""Configuration: one frozen Struct that *is* the defaults, filled by file, then environment, then flags.

Environment: `QHRONOS_SECTION__KEY` for every key, `QHRONOS_SECTION__KEY_FILE` for a secret kept in a file, and the
well-known `DATABASE_URL`, `REDIS_URL` and `PORT`. Durations are `500ms`, `30s`, `5m`, `24h`, `7d`, `2w` or seconds;
lists are JSON or comma-separated; nothing between the quotes of an optional key means: not set. A key nobody knows stops
the start, with the nearest known one in the message. No message repeats a value: it may be a secret.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import quote

import msgspec
import yaml
from msgspec import Meta, Struct

from qhronos.core.duration import parse, spell
from qhronos.errors import ConfigError

Secret = Annotated[str | None, Meta(extra={"secret": True})]
Port = Annotated[int, Meta(ge=1, le=65_535)]
ListenPort = Annotated[int, Meta(ge=0, le=65_535)]
Positive = Annotated[int, Meta(ge=1)]
Interval = Annotated[timedelta, Meta(extra={"positive": True})]
Secrets = Annotated[tuple[str, ...], Meta(extra={"secret": True})]


ALIASES = {"DATABASE_URL": "database.url", "REDIS_URL": "redis.url", "PORT": "server.port"}
LEAST_LEASE = timedelta(seconds=65)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class Server(Section, frozen=True):
    host: str = "127.0.0.1"
    port: ListenPort = 8080  # 0: any that is free
    workers: Annotated[int, Meta(ge=1, le=256)] = 1  # processes of `qhronos api`; `up` has one
    timeout: Interval = timedelta(seconds=30)  # idle keep-alive connections are closed after this
    max_body: Positive = 10 * 1024 * 1024  # bytes of one request


class Gateway(Section, frozen=True):
    origins: tuple[str, ...] = ()  # of pages that may connect beside our own: https://app.example.com
    max_connections: Positive = 20_000  # sockets and streams of one process
    connections_per_token: Positive = 1_000  # of one subject, in one process; access admin has no limit


class Health(Section, frozen=True):
    host: str = "127.0.0.1"
    port: Port | None = None  # where a role without an API serves /healthz, /readyz and /metrics


class Database(Section, frozen=True):
    url: Secret = None  # beats the parts below
    host: str = "localhost"
    port: Port = 5432
    user: str = "qhronos"
    password: Secret = None
    dbname: str = "qhronos"
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    pool_size: Positive = 8


class Redis(Section, frozen=True):
    url: Secret = None  # beats the parts below
    host: str = "localhost"
    port: Port = 6379
    password: Secret = None
    db: Annotated[int, Meta(ge=0)] = 0
    prefix: Annotated[str, Meta(min_length=1, max_length=64)] = "qhronos"


class Auth(Section, frozen=True):
    master_token: Secret = None
    jwt_secret: Secret = None  # HS256; at least 32 bytes
    jwt_previous_secrets: Secrets = ()  # still accepted, never used to sign
    jwt_private_key: Secret = None  # Ed25519, PEM; when set new tokens are signed with it
    jwt_issuer: str = "qhronos"
    jwt_audience: str = "qhronos"
    max_lifetime: Interval = timedelta(days=365)  # of a token minted here


class Hmac(Section, frozen=True):
    default_secret: Secret = None  # signs the deliveries of events that bring no secret of their own


class AtRest(Section, frozen=True):
    keys: Secrets = ()  # seal what is stored of secrets: 32 random bytes in base64 each, the newest first


class Scheduler(Section, frozen=True):
    look_ahead_duration: Interval = timedelta(hours=1)  # how far ahead occurrences are written and planned
    expansion_interval: Interval = timedelta(seconds=5)  # the longest rest of the expander
    max_open: Positive = 1_000  # open occurrences per event
    min_period: timedelta = timedelta(seconds=1)  # an event that fires more often is refused
    # Of `qhronos dispatcher`, best one for each core; of `up`, which unless told takes half of the cores, 8 at most.
    dispatcher_processes: Annotated[int, Meta(ge=1, le=256)] = 1
    dispatch_worker_count: Positive = 500  # requests in flight per dispatcher
    grace_period: timedelta = timedelta(seconds=60)  # what is later than this when claimed counts as missed
    prefetch: timedelta = timedelta(seconds=1)  # how far ahead a dispatcher claims
    max_held: Positive = 20_000  # claimed and waiting for their instant, per dispatcher
    lease: Interval = timedelta(seconds=90)  # how long a claim holds; no request starts that could outlast it


class Retention(Section, frozen=True):
    events: Interval = timedelta(days=30)  # deleted and completed events, and names that no client uses
    occurrences: Interval = timedelta(days=30)  # closed occurrences and their attempts
    audit: Interval = timedelta(days=365)
    cleanup_interval: Interval = timedelta(hours=1)


class Archival(Section, frozen=True):
    check_period: Interval = timedelta(hours=1)  # how often partitions are made ahead and dropped


class Logging(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"  # auto: text on a terminal, JSON elsewhere
    file_path: str | None = None  # besides standard error
    max_size: Positive = 100  # MB, then the file is rotated
    max_backups: Annotated[int, Meta(ge=0)] = 5
    max_age: Annotated[int, Meta(ge=0)] = 30  # days


class RateLimit(Section, frozen=True):
    enabled: bool = True
    per_second: Annotated[float, Meta(gt=0)] = 100.0  # sustained, for each token subject
    burst: Positive = 200


class ClientCertificate(Section, frozen=True):
    hosts: Annotated[tuple[str, ...], Meta(min_length=1)]  # names, addresses, or *.example.com
    certificate: Annotated[str, Meta(min_length=1)]  # a file in PEM form, with what it was issued by
    key: str | None = None  # a file in PEM form; None: it is in the same


class Http(Section, frozen=True):
    # Networks that deliveries may reach although they are not public: 10.0.0.0/8:443.
    egress_allow: tuple[str, ...] = ()
    egress_deny: tuple[str, ...] = ()  # networks of this installation that look public
    https_only: bool = False  # nothing goes out in the clear
    connections_per_origin: Positive = 128
    rate_per_origin: Annotated[float, Meta(ge=0)] = 0.0  # requests a second, per dispatcher; 0: no limit
    proxy: Secret = None  # http://user:password@host:port, where that is the only way out
    no_proxy: tuple[str, ...] = ()  # names and networks that are reached without it
    client_certificates: tuple[ClientCertificate, ...] = ()  # of ours, by host; the first that is for it


class Config(Section, frozen=True):
    server: Server = Server()
    gateway: Gateway = Gateway()
    health: Health = Health()
    database: Database = Database()
    redis: Redis = Redis()
    auth: Auth = Auth()
    hmac: Hmac = Hmac()
    secrets: AtRest = AtRest()
    scheduler: Scheduler = Scheduler()
    retention: Retention = Retention()
    archival: Archival = Archival()
    logging: Logging = Logging()
    rate_limit: RateLimit = RateLimit()
    http: Http = Http()
    dispatch_max_retries: Positive = 3  # attempts in all, the first included, of an event without `retry`
    dispatch_retry_backoff: Interval = timedelta(seconds=1)  # the first pause; it doubles from there


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Config:
    """File, then environment, then `overrides` (dotted keys, from flags). Raises ConfigError naming key and remedy."""
    raw: dict[str, Any] = _read(path) if path else {}
    for key, value in [*_from_environment(environ), *(overrides or {}).items()]:
        if value is not None:
            _put(raw, key, value)
    return build(raw)


def build(raw: Mapping[str, object]) -> Config:
    shaped = _shape(Config, raw, "")
    try:
        config = msgspec.convert(shaped, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"config: {_place(str(error))}") from error
    if config.scheduler.lease < LEAST_LEASE:
        raise ConfigError(
            "config: scheduler.lease: at least 65s; a request may take 60s and has to end before its lease"
        )
    return config


def explicit_keys(path: Path | None, environ: Mapping[str, str]) -> frozenset[str]:
    """The dotted keys that file and environment set; `up` only fills in the others."""
    raw: dict[str, Any] = _read(path) if path else {}
    for key, value in _from_environment(environ):
        _put(raw, key, value)
    return frozenset(_leaves(raw))


def leaves(config: Config, *, masked: bool = True) -> dict[str, object]:
    """Every key with its value, for `config show` and the start-up log line; secrets are masked unless asked for."""
    shown: dict[str, object] = {}
    for key, (kind, secret) in _known(Config).items():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        if secret and masked and value:
            value = "********"
        shown[key] = spell(value) if kind is timedelta else _plain(value)
    return shown


def _plain(value: object) -> object:
    """What is made of Structs as dicts; all else as it is."""
    return tuple(msgspec.to_builtins(each) for each in value) if isinstance(value, tuple) else value


def environment_name(key: str) -> str:
    return "QHRONOS_" + key.upper().replace(".", "__")


def environment(config: Config) -> dict[str, str]:
    """What another process needs in its environment to have the same settings: all that differ from the defaults."""
    defaults = leaves(Config(), masked=False)
    settings = leaves(config, masked=False)
    return {environment_name(key): _spelled(value) for key, value in settings.items() if value != defaults[key]}


def redis_url(redis: Redis) -> str:
    if redis.url:
        return redis.url
    password = f":{quote(redis.password, safe='')}@" if redis.password else ""
    host = f"[{redis.host}]" if ":" in redis.host else redis.host
    return f"redis://{password}{host}:{redis.port}/{redis.db}"


def database_url(database: Database) -> str:
    if database.url:
        return database.url
    parts = {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "dbname": database.dbname,
        "sslmode": database.sslmode,
    }
    # libpq's own quoting: single quotes around, backslash before quote and backslash.
    quoted = {k: str(v).replace("\\", "\\\\").replace("'", "\\'") for k, v in parts.items() if v is not None}
    return " ".join(f"{key}='{value}'" for key, value in quoted.items())


def _spelled(value: object) -> str:
    """A value as it is written in the environment."""
    if isinstance(value, bool | tuple):
        return json.dumps(value)
    return str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ConfigError(f"config file {path} is not YAML: {error.problem}{line}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} is not a text in YAML") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"config file {path}: expected sections such as `server:`, found {type(raw).__name__}")
    return raw


def is_setting(name: str) -> bool:
    """Whether a variable of this name may say how this process is set."""
    return name in ALIASES or name.startswith("QHRONOS_")


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Dotted keys from the environment, the well-known names first so that QHRONOS_… beats them."""
    found = [(key, environ[name]) for name, key in ALIASES.items() if environ.get(name)]
    names = {environment_name(key): key for key in _known(Config)}
    for name, value in environ.items():
        if name in names:
            found.append((names[name], value))
        elif name.removesuffix("_FILE") in names:
            if name.removesuffix("_FILE") in environ:
                raise ConfigError(f"both {name} and {name.removesuffix('_FILE')} are set; set one of them")
            found.append((names[name.removesuffix("_FILE")], _read_secret(name, value)))
        elif name.startswith("QHRONOS_") and "__" in name:
            raise ConfigError(f"environment variable {name} is not a setting{_suggest(name, names)}")
    return found


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from error


def _put(raw: dict[str, Any], key: str, value: object) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        inner = raw.get(section)
        if not isinstance(inner, dict):
            inner = raw[section] = {}
        raw = inner
    raw[leaf] = value


def _leaves(raw: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in raw.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def _known(section: type[Struct], prefix: str = "") -> dict[str, tuple[Any, bool]]:
    """Every dotted key below `section`, with its type and whether it is a secret."""
    known: dict[str, tuple[Any, bool]] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        kind = _bare(hint)
        if isinstance(kind, type) and issubclass(kind, Section):
            known |= _known(kind, f"{prefix}{name}.")
        else:
            known[f"{prefix}{name}"] = (kind, _is(hint, "secret"))
    return known


def _is(hint: Any, mark: str) -> bool:
    metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]
    return any((meta.extra or {}).get(mark) for meta in metas)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _shape(section: type[Struct], raw: Mapping[str, object], prefix: str) -> dict[str, object]:
    """Turn what people write into what the Struct wants: durations and lists; refuse unknown keys by name."""
    hints = get_type_hints(section, include_extras=True)
    shaped: dict[str, object] = {}
    for key, value in raw.items():
        path = f"{prefix}{key}"
        if key not in hints:
            raise ConfigError(f"config: unknown key {path}{_suggest(path, _known(Config))}")
        kind = _bare(hints[key])
        if isinstance(kind, type) and issubclass(kind, Section):
            shaped[key] = _shape_section(kind, value, path)
        elif kind is timedelta:
            shaped[key] = _shape_duration(value, path, positive=_is(hints[key], "positive"))
        elif get_origin(kind) is tuple and isinstance(value, str):
            shaped[key] = _shape_list(value, path)
        elif get_origin(kind) is Literal:
            shaped[key] = _shape_choice(value, get_args(kind), path)
        elif value == "" and type(None) in get_args(kind):
            shaped[key] = None
        else:
            shaped[key] = value
    return shaped


def _shape_section(kind: type[Struct], value: object, path: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"config: {path} is a section with keys, not one value")
    return _shape(kind, value, f"{path}.")


def _shape_duration(value: object, path: str, *, positive: bool) -> timedelta:
    try:
        duration = parse(value)
    except ValueError as error:
        raise ConfigError(f"config: {path}: {error}") from error
    if positive and not duration:
        raise ConfigError(f"config: {path}: must be longer than nothing")
    return duration


def _shape_choice(value: object, choices: tuple[str, ...], path: str) -> str:
    if (spelled := str(value).lower()) in choices:
        return spelled
    raise ConfigError(f"config: {path}: must be one of {', '.join(choices)}")


def _shape_list(value: str, path: str) -> list[str]:
    if not value.lstrip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        items: list[str] = json.loads(value)
    except ValueError as error:
        raise ConfigError(f"config: {path}: starts like a JSON list and is none") from error
    return items


def _suggest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `qhronos config show` lists the known ones"


def _place(message: str) -> str:
    """msgspec says ``… - at `$.server.port` ``; we say `server.port: …`."""
    text, _, place = message.partition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if place else text
