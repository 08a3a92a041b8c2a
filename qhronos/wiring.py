"""The composition root: from configuration to running services. The only place that knows them all."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from msgspec import Struct

from qhronos import __version__, actions, log, metrics
from qhronos.almanac import Almanac
from qhronos.api.app import GATEWAY_HANDLERS, create_app
from qhronos.api.auth import Keyring
from qhronos.api.deps import Deps
from qhronos.api.door import Door
from qhronos.api.health import create_health_app
from qhronos.api.readiness import Readiness
from qhronos.api.revocation import Revocations
from qhronos.api.server import ApiServer
from qhronos.background import Background
from qhronos.broadcast import Broadcast
from qhronos.clock import Clock, SystemClock
from qhronos.companions import Companions, cores, dispatchers_for
from qhronos.config import Config, database_url, environment, explicit_keys, leaves, load, redis_url
from qhronos.copies import Copies, Place
from qhronos.core.ratelimit import limit_of
from qhronos.core.recurrence import tzdata_version
from qhronos.core.retry import Backoff, Retry
from qhronos.core.signing import check_secret
from qhronos.core.vault import MAKE_ONE, Vault
from qhronos.dispatcher import Dispatcher
from qhronos.embedded import Embedded
from qhronos.embedded.supervisor import Supervisor
from qhronos.engine.anchor import Anchor
from qhronos.engine.announce import Announcer
from qhronos.engine.change import Changes
from qhronos.engine.create import Creator
from qhronos.engine.deliver import Defaults
from qhronos.engine.fsck import Report, check_all
from qhronos.engine.outbox import Keeper
from qhronos.engine.recover import Reaper, Rebuilder, Standby, Sweeper
from qhronos.engine.replay import Replays
from qhronos.engine.stores import Stores
from qhronos.engine.worker import Heartbeat, Worker
from qhronos.errors import ConfigError
from qhronos.expander import Expander
from qhronos.gateway.outlet import Pipe
from qhronos.gateway.service import Gateway, beside
from qhronos.gateway.wire import Wire
from qhronos.http import Client, Egress, Limits, Proxy, Tls
from qhronos.janitor import Janitor
from qhronos.plan import Plan
from qhronos.plan.breakers import Breakers
from qhronos.plan.ratelimit import Limiter
from qhronos.redis_link import connect
from qhronos.resumer import Resumer
from qhronos.service import Service, run
from qhronos.store import Database, installation, secrets
from qhronos.store.migrate import ensure_current, migrate

ROLES = ("api", "expander", "dispatcher", "janitor", "gateway")
LISTENING = frozenset({"api", "gateway"})  # on server.port
KEEPERS = frozenset({"api", "dispatcher", "janitor"})  # of secrets
KEYLESS = (
    "events have secrets, and secrets.keys is not set; set it to the keys that they were sealed with, "
    f"or after an upgrade, when none is sealed yet, to a new one ({MAKE_ONE})"
)
COLLECT_AFTER = 20_000  # objects more than were freed
# A terminal or systemd tells all of a group, and one of them tells the others: one signal, that comes twice.
ECHO_SECONDS = 1.0
LOOPBACK = ("127.0.0.0/8", "::1/128")

logger = log.get_logger()


class UpOptions(Struct, frozen=True, kw_only=True):
    """What `qhronos up` was asked for; the secrets are those kept in the data directory."""

    data_dir: Path
    master_token: str
    jwt_secret: str
    default_secret: str
    secrets_key: str  # seals what is stored of secrets
    weak_master: bool = False  # typed on the command line, for a try
    roles: tuple[str, ...] = ROLES
    config_path: Path | None = None
    flags: Mapping[str, object] = {}  # dotted keys; None: not given


class Started(NamedTuple):
    """Everything is ready. `environment` lets a further process join."""

    url: str | None
    environment: dict[str, str]


def up(options: UpOptions, announce: Callable[[Started], None]) -> None:
    """Run the stores and every role here until a signal; returns after an orderly end."""
    _check_roles(options.roles)
    explicit = explicit_keys(options.config_path, os.environ) | {k for k, v in options.flags.items() if v is not None}
    defaults: dict[str, object] = {
        "auth.master_token": options.master_token,
        "auth.jwt_secret": options.jwt_secret,
        "hmac.default_secret": options.default_secret,
        "secrets.keys": [options.secrets_key],
        "http.egress_allow": list(LOOPBACK),
        "scheduler.dispatcher_processes": dispatchers_for(cores()),
    }
    with ExitStack() as stack:
        config = _up_config(options, explicit, defaults)
        listener = stack.enter_context(_listen(config)) if LISTENING.intersection(options.roles) else None
        embedded = Embedded(
            options.data_dir,
            postgres=not any(key.startswith("database.") for key in explicit),
            valkey=not any(key.startswith("redis.") for key in explicit),
        )
        stack.enter_context(embedded)
        defaults |= {"database.url": embedded.database_url, "redis.url": embedded.redis_url}
        config = _up_config(options, explicit, defaults)
        program = Program(
            config, options.roles, listener, embedded=embedded, weak_master=options.weak_master, announce=announce
        )
        _run_loop(program.run_migrated())


def run_roles(config: Config, roles: Sequence[str], *, lifeline: int | None = None) -> None:
    """Run roles against stores that others keep, until a signal, or until the file `lifeline` ends; returns after an
    orderly end."""
    _check_roles(roles)
    _configure_log(config)
    with ExitStack() as stack:
        listener = probes = None
        if LISTENING.intersection(roles):
            listener = stack.enter_context(_listen(config))
        elif config.health.port:
            probes = stack.enter_context(_bind(config.health.host, config.health.port, "health.port"))
        _run_loop(Program(config, roles, listener, probes=probes, lifeline=lifeline).run())


def run_copies(config: Config, role: str, count: int) -> None:
    """So many processes of a role, until a signal. Those of the API share a port. Each has its own probes and metrics, on
    `health.port` and the ports after it."""
    _check_roles([role])
    _configure_log(config)
    port = None
    if role == "api":
        with _listen(config) as probe:
            port = probe.getsockname()[1]

    def work(place: Place) -> None:
        with ExitStack() as stack:
            listener = probes = None
            if port is not None:
                listener = stack.enter_context(_bind(config.server.host, port, "--port", is_shared=True))
            if config.health.port:
                number = config.health.port + place.number
                probes = stack.enter_context(_bind(config.health.host, number, "health.port"))
            lifeline, announce = place.lifeline, lambda _: place.ready()
            _run_loop(Program(config, [role], listener, probes=probes, lifeline=lifeline, announce=announce).run())

    Copies(work).run(count)


class Program:
    """One process: its stores, its services and, for some, a port."""

    def __init__(
        self,
        config: Config,
        roles: Sequence[str],
        listener: socket.socket | None,
        *,
        probes: socket.socket | None = None,
        lifeline: int | None = None,
        embedded: Embedded | None = None,
        weak_master: bool = False,
        announce: Callable[[Started], None] | None = None,
    ) -> None:
        self._config = config
        self._roles = roles
        self._listener = listener
        self._probes = probes
        self._lifeline = lifeline
        self._embedded = embedded
        self._weak_master = weak_master
        self._announce = announce
        self._clock = SystemClock()
        self._http: Client | None = None
        self._known_revoked: Revocations | None = None
        self._stop = asyncio.Event()
        self._ending_at = 0.0
        self._drained = asyncio.Event()
        self._hurries: list[Callable[[], None]] = []

    async def run_migrated(self) -> None:
        applied = await migrate(database_url(self._config.database))
        if applied:
            logger.info("schema.migrated", migrations=applied)
        await self.run()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            stores = await _open_stores(self._config, self._roles, stack, self._clock)
            telling = Background("announcer", stores.announcer.run)
            telling.start()
            stack.push_async_callback(telling.end)
            services = [Anchor(stores.database, stores.plan, self._clock), *self._services(stack, stores)]
            await services[0].tick()
            claims = "dispatcher" in self._roles
            readiness = Readiness(stores.database, stores.plan, self._clock, claims=claims)
            gateway = next((service for service in services if isinstance(service, Gateway)), None)
            servers = list(self._servers(stack, stores, readiness, gateway))
            self._heed_signals()
            metrics.set_build_info(__version__, tzdata_version())
            _calm_collector()
            if self._listener is not None:
                _raise_file_limit()
            logger.info("process.started", roles=list(self._roles), config=leaves(self._config))
            await self._serve(services, servers, readiness)
            logger.info("process.stopped")

    async def _serve(self, services: list[Service], servers: list[ApiServer], readiness: Readiness) -> None:
        async with asyncio.TaskGroup() as group:
            beating = [service for service in services if isinstance(service, Heartbeat)]
            working = [service for service in services if service not in beating]
            tasks = [group.create_task(run(each, self._clock, self._stop), name=each.name) for each in working]
            for heartbeat in beating:
                group.create_task(run(heartbeat, self._clock, self._drained), name=heartbeat.name)
            for server in servers:
                group.create_task(server.serve(), name="server")
                await server.ready.wait()
            if self._announce is not None:
                self._announce(Started(self._url(), environment(self._config)))
            await self._stop.wait()
            logger.info("process.draining")
            readiness.drain()
            for server in servers:
                server.should_exit = True
            for each in working:
                each.wake.set()
            await asyncio.wait(tasks)
            self._drained.set()
            for heartbeat in beating:
                heartbeat.wake.set()

    def _services(self, stack: AsyncExitStack, stores: Stores) -> Iterator[Service]:
        config, clock = self._config, self._clock
        if self._embedded is not None:
            yield Supervisor(self._embedded)
            if "dispatcher" in self._roles and (further := config.scheduler.dispatcher_processes - 1):
                companions = Companions(config, further, clock)
                stack.callback(companions.close)
                self._hurries.append(companions.hurry)
                yield companions
        if "expander" in self._roles:
            yield Expander(stores, clock, config.scheduler)
            yield Resumer(Changes(stores, clock, config.scheduler), clock)
        if "dispatcher" in self._roles:
            worker = Worker(f"{platform.node()}:{os.getpid()}", stores.database, clock)
            client = self._client(stack)
            acts = actions.Performer(client, Breakers(stores.plan.redis, stores.plan.prefix, clock))
            dispatcher = Dispatcher(stores, worker, acts, _defaults(config, stores.vault), clock, config.scheduler)
            client.on_room = dispatcher.parking.room
            self._hurries.append(dispatcher.hurry)
            yield dispatcher
            yield Heartbeat(worker)
            yield Reaper(stores, clock)
            yield Rebuilder(stores, clock)
            yield Sweeper(stores, clock)
            yield Standby(stores, clock, config.scheduler)
            yield Keeper(stores, dispatcher.settler, clock)
        if "janitor" in self._roles:
            yield Janitor(stores, clock, config.retention, config.archival)
            yield Almanac(Changes(stores, clock, config.scheduler), self._client(stack), clock)
        if "gateway" in self._roles:
            yield self._gateway(stack, stores)

    def _gateway(self, stack: AsyncExitStack, stores: Stores) -> Gateway:
        config, clock = self._config, self._clock
        door = Door(self._keyring(), self._revocations(stack, stores), clock)
        changes = Changes(stores, clock, config.scheduler)
        defaults = Defaults(_retry(config), config.hmac.default_secret or "", stores.vault)
        return Gateway(stores, defaults, door, clock, config.gateway, changes)

    def _keyring(self) -> Keyring:
        return Keyring.from_config(self._config.auth, allow_weak_master=self._weak_master)

    def _revocations(self, stack: AsyncExitStack, stores: Stores) -> Revocations:
        """One for all of a process."""
        if self._known_revoked is None:
            self._known_revoked = Revocations(stores.database, self._clock)
            following = asyncio.create_task(self._known_revoked.follow(stores.broadcast, stores.announcer.heed))
            stack.callback(following.cancel)
        return self._known_revoked

    def _client(self, stack: AsyncExitStack) -> Client:
        """One for all of a process: it brings the certificates of the authorities, and keeps connections."""
        if self._http is None:
            http = self._config.http
            limits = Limits(connections_per_origin=http.connections_per_origin, rate_per_origin=http.rate_per_origin)
            tls, proxy = (
                Tls.read(http.client_certificates),
                Proxy.read(http.proxy, http.no_proxy) if http.proxy else None,
            )
            self._http = Client(_egress(self._config), self._clock, limits=limits, tls=tls, proxy=proxy)
            stack.push_async_callback(self._http.close)
        return self._http

    def _servers(
        self, stack: AsyncExitStack, stores: Stores, readiness: Readiness, gateway: Gateway | None
    ) -> Iterator[ApiServer]:
        if self._probes is not None:
            yield ApiServer(create_health_app(readiness, self._clock), self._config.server, self._probes)
        if self._listener is None:
            return
        handlers = None if "api" in self._roles else GATEWAY_HANDLERS
        app = create_app(self._deps(stack, stores, readiness, gateway), handlers)
        if gateway is None:
            yield ApiServer(app, self._config.server, self._listener)
        else:
            yield ApiServer(beside(app, gateway), self._config.server, self._listener, Wire, Pipe)

    def _deps(self, stack: AsyncExitStack, stores: Stores, readiness: Readiness, streams: Gateway | None) -> Deps:
        config, clock = self._config, self._clock
        limit = limit_of(config.rate_limit.per_second, config.rate_limit.burst)
        return Deps(
            config=config,
            clock=clock,
            database=stores.database,
            plan=stores.plan,
            broadcast=stores.broadcast,
            keyring=self._keyring(),
            revocations=self._revocations(stack, stores),
            limiter=Limiter(stores.plan.redis, stores.plan.prefix, clock, limit),
            readiness=readiness,
            egress=_egress(config),
            http=self._client(stack),
            creator=Creator(stores, clock),
            changes=Changes(stores, clock, config.scheduler),
            replays=Replays(stores, clock),
            started_at=clock.monotonic(),
            streams=streams,
        )

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        if self._lifeline is not None:
            loop.add_reader(self._lifeline, self._orphaned, loop, self._lifeline)

    def _orphaned(self, loop: asyncio.AbstractEventLoop, lifeline: int) -> None:
        loop.remove_reader(lifeline)
        self._end()

    def _end(self) -> None:
        """At the first signal in good order; at another, later one at once, without waiting for what is under way."""
        now = self._clock.monotonic()
        if not self._stop.is_set():
            self._ending_at = now
            self._stop.set()
        elif now - self._ending_at >= ECHO_SECONDS:
            for hurry in self._hurries:
                hurry()

    def _url(self) -> str | None:
        if self._listener is None:
            return None
        host, port, *_ = self._listener.getsockname()
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{shown}:{port}"


async def check(config: Config, events: int) -> Report:
    """What `qhronos fsck` finds; see `check_all`."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        stores = await _open_stores(config, (), stack, clock)
        await Anchor(stores.database, stores.plan, clock).tick()
        return await check_all(stores, clock, config, events)


async def _open_stores(config: Config, roles: Sequence[str], stack: AsyncExitStack, clock: Clock) -> Stores:
    vault = Vault.read(config.secrets.keys)
    database = Database(database_url(config.database), config.database.pool_size)
    await database.open()
    stack.push_async_callback(database.close)
    async with database.connection() as conn:
        await ensure_current(conn)
        if vault.is_empty and KEEPERS.intersection(roles) and await secrets.are_there(conn):
            raise ConfigError(KEYLESS)
        shards = await installation.plan_shards(conn)
    redis = connect(redis_url(config.redis))
    stack.push_async_callback(redis.aclose)
    plan, broadcast = Plan(redis, config.redis.prefix, shards), Broadcast(redis, config.redis.prefix)
    return Stores(database, plan, broadcast, Announcer(broadcast, clock), vault)


def _up_config(options: UpOptions, explicit: set[str] | frozenset[str], defaults: Mapping[str, object]) -> Config:
    """What is set explicitly beats what `up` would choose."""
    chosen = {key: value for key, value in defaults.items() if key not in explicit}
    config = load(
        options.config_path,
        os.environ,
        chosen | {key: value for key, value in options.flags.items() if value is not None},
    )
    _configure_log(config)
    return config


def _configure_log(config: Config) -> None:
    settings = config.logging
    log.configure(**{name: getattr(settings, name) for name in settings.__struct_fields__})


def _defaults(config: Config, vault: Vault) -> Defaults:
    secret = config.hmac.default_secret
    if not secret:
        raise ConfigError(
            "hmac.default_secret is not set; deliveries are signed with it (make one: openssl rand -hex 32)"
        )
    check_secret(secret)
    return Defaults(_retry(config), secret, vault)


def _retry(config: Config) -> Retry:
    base = config.dispatch_retry_backoff / timedelta(seconds=1)
    return Retry(max_attempts=config.dispatch_max_retries, backoff=Backoff(base=base))


def _egress(config: Config) -> Egress:
    return Egress(config.http.egress_allow, config.http.egress_deny, https_only=config.http.https_only)


def _check_roles(roles: Sequence[str]) -> None:
    for role in roles:
        if role not in ROLES:
            raise ConfigError(f"there is no role {role!r}; the roles are {', '.join(ROLES)}")


def _listen(config: Config) -> socket.socket:
    return _bind(config.server.host, config.server.port, "--port")


def _bind(host: str, port: int, setting: str, *, is_shared: bool = False) -> socket.socket:
    """Taken before anything starts, so that a taken port costs nothing. What is shared, the kernel deals out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with {setting}"
        ) from error
    return listener


def _raise_file_limit() -> None:
    """Each socket is an open file, and the usual 1,024 are for programs that must not have more by mistake."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # some systems promise more than they give
        logger.warning("files.limited", limit=soft, error=str(error))


def _calm_collector() -> None:
    """What is there now stays, so the garbage collector need not look at it again; and what a batch makes and drops holds
    no cycles, so it need not look so often: by its own measure that takes a seventh of the time of a busy process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


def _run_loop(main: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
