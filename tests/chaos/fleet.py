"""Everything that a scenario runs: stores of its own behind proxies, a receiver, and the roles as processes.

It signals only what it started, by pid.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import redis.asyncio

from qhronos.clock import SystemClock
from qhronos.embedded import Embedded
from qhronos.errors import Unreachable
from qhronos.http import Client, Egress, Limits, Request
from qhronos.store.migrate import migrate
from tests.chaos.proxy import Proxy
from tests.chaos.role import STARTED_WITHIN, Role
from tests.e2e.processes import QHRONOS, clean_environment, free_port

TOKEN = "the-master-token-of-the-chaos-suite-0123456789"
SETTINGS = {
    "QHRONOS_AUTH__MASTER_TOKEN": TOKEN,
    "QHRONOS_AUTH__JWT_SECRET": "the-jwt-secret-of-the-chaos-suite-0123456789",
    "QHRONOS_HMAC__DEFAULT_SECRET": "the-hmac-secret-of-the-chaos-suite-0123456789",
    "QHRONOS_HTTP__EGRESS_ALLOW": "127.0.0.0/8",
    "QHRONOS_RATE_LIMIT__ENABLED": "false",
    # Short, so that expanders are at work all the time.
    "QHRONOS_SCHEDULER__LOOK_AHEAD_DURATION": "10s",
    "QHRONOS_SCHEDULER__EXPANSION_INTERVAL": "1s",
}
STARTS = 5
FROZEN = 0.1  # seconds for the stores to finish what a frozen process had asked of them


class Size(NamedTuple):
    """How much of a scenario to run."""

    occurrences: int = 10_000
    seconds: int = 60
    share: float = 1.0  # of the faults


class Fleet:
    def __init__(self, home: Path, stack: AsyncExitStack, seed: int) -> None:
        self.home = home
        self.clock = SystemClock()
        self.log = home / "received.log"
        self.roles: list[Role] = []
        self._stack = stack
        self._never = asyncio.Event()
        self._started = 0
        # The truth survives its server's death, the index does not.
        self.truth = Embedded(home / "truth", valkey=False)
        self.index = Embedded(home / "index", postgres=False, durable=False)
        self.postgres = Proxy(str(home / "truth" / "run" / ".s.PGSQL.5432"), seed)
        self.redis = Proxy(str(home / "index" / "run" / "valkey.sock"), seed + 1)
        self.environment: dict[str, str] = {}
        self.receiver_port = 0
        self._receivers: list[asyncio.subprocess.Process] = []
        self._api_port = free_port()
        self._client = Client(Egress(("127.0.0.0/8",)), self.clock, limits=Limits(least_per_origin=128))

    async def open(self, settings: Mapping[str, str]) -> None:
        for embedded in (self.truth, self.index):
            await asyncio.to_thread(embedded.start)
            self._stack.callback(embedded.stop)
        await migrate(self.truth.database_url)
        for proxy in (self.postgres, self.redis):
            await self._stack.enter_async_context(proxy)
        self.environment = {
            **clean_environment(),
            **SETTINGS,
            "DATABASE_URL": f"postgresql://qhronos@127.0.0.1:{self.postgres.port}/qhronos?sslmode=disable",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
            "PORT": str(self._api_port),
            **settings,
        }
        self._stack.push_async_callback(self._end_all)
        self._stack.push_async_callback(self._client.close)
        self.receiver_port = await self.start_receiver(self.log)

    # processes

    async def start(self, name: str, count: int = 1, *, module: tuple[str, ...] = QHRONOS) -> list[Role]:
        """So many processes of a role, ready."""
        return await asyncio.gather(*(self._ready(name, (*module, name)) for _ in range(count)))

    async def start_gateway(self, port: int, *, module: tuple[str, ...] = QHRONOS) -> Role:
        """On a port of its own, so that it can be killed and come back there."""
        return await self._ready("gateway", (*module, "gateway", "--port", str(port)))

    async def _ready(self, name: str, command: tuple[str, ...]) -> Role:
        """One that finds a store away when it starts ends, and is started again, as whoever supervises it would."""
        for _ in range(STARTS):
            role = await self._spawn(name, command)
            if await role.says("process.started", self.clock):
                role.is_ready = True
                return role
            self.roles.remove(role)
        raise AssertionError(f"{name} ended {STARTS} times: {role.log.read_text()[-2000:]}")

    async def start_all(self, *, dispatchers: int = 3, expanders: int = 2) -> None:
        counts = {"api": 1, "janitor": 1, "expander": expanders, "dispatcher": dispatchers}
        await asyncio.gather(*(self.start(name, count) for name, count in counts.items()))
        await self.api_is_up()

    async def api_is_up(self) -> None:
        assert await self.until(self._api_answers, STARTED_WITHIN), "the API does not answer"

    def of(self, name: str) -> list[Role]:
        """Those of a role that are at work."""
        return [role for role in self.roles if role.name == name and role.is_ready]

    async def kill(self, role: Role) -> None:
        role.signal(signal.SIGKILL)
        await role.ended()
        self.roles.remove(role)

    async def terminate(self, role: Role) -> tuple[int, float]:
        """Ask it to end; its exit code, and how long it took."""
        began = self.clock.monotonic()
        role.signal(signal.SIGTERM)
        code = await role.ended()
        self.roles.remove(role)
        return code, self.clock.monotonic() - began

    async def freeze(self, role: Role) -> None:
        """It stands still; what it asked of the stores has been done."""
        role.signal(signal.SIGSTOP)
        await self.rest(FROZEN)

    async def _spawn(self, name: str, command: tuple[str, ...]) -> Role:
        self._started += 1
        log = self.home / f"{name}-{self._started}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        role = Role(name, process, log)
        self.roles.append(role)
        return role

    async def start_receiver(self, log: Path) -> int:
        """A process of its own, so that what one has to bear delays no other; its port."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.receiver", str(log), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        self._receivers.append(process)
        return int(await process.stdout.readline())

    async def _end_all(self) -> None:
        for role in self.roles:
            role.signal(signal.SIGKILL)
            await role.ended()
        for receiver in self._receivers:
            receiver.kill()
            await receiver.wait()

    # stores

    async def query(self, text: str, *params: object) -> list[tuple[Any, ...]]:
        """Past the proxy."""
        connection = await psycopg.AsyncConnection.connect(self.truth.database_url, autocommit=True)
        async with connection:
            return await (await connection.execute(text, params)).fetchall()  # type: ignore[arg-type]

    async def command(self, text: str, *params: object) -> None:
        """Past the proxy; answers nothing."""
        connection = await psycopg.AsyncConnection.connect(self.truth.database_url, autocommit=True)
        async with connection:
            await connection.execute(text, params or None)  # type: ignore[arg-type]

    async def flush(self) -> None:
        async with redis.asyncio.from_url(self.index.redis_url) as client:
            await client.flushall()

    def stop_store(self, embedded: Embedded, number: signal.Signals) -> None:
        (pid,) = embedded.pids.values()
        os.kill(pid, number)

    async def restart_store(self, embedded: Embedded) -> None:
        while not await asyncio.to_thread(embedded.check):
            await self.rest(0.05)

    # requests

    def hook(self, path: str, host: int = 1, port: int = 0) -> str:
        return f"http://127.0.0.{host}:{port or self.receiver_port}/{path}"

    async def open_later(self, name: str) -> None:
        await self._client.send(
            Request(method="POST", url=self.hook(f"open/{name}"), headers=(), body=b"", timeout=5.0)
        )

    async def call(self, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, Any]:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")]
        if key:
            headers.append(("Idempotency-Key", key))
        encoded = b"" if body is None else msgspec.json.encode(body)
        url = f"http://127.0.0.1:{self._api_port}{path}"
        response = await self._client.send(
            Request(method=method, url=url, headers=tuple(headers), body=encoded, timeout=60.0, most_body=64 << 20)
        )
        return response.status, msgspec.json.decode(response.body) if response.body else None

    async def must(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """As a client that tries again while the service is away."""
        for _ in range(100):
            try:
                status, answer = await self.call(method, path, body, key=key)
            except (Unreachable, OSError):
                status, answer = 503, None
            if status != 503:
                assert status < 300, (status, answer)
                return answer
            await self.rest(0.2)
        raise AssertionError(f"{method} {path}: away for too long")

    async def _api_answers(self) -> bool:
        try:
            return (await self.call("GET", "/readyz"))[0] == 200
        except Exception:  # noqa: BLE001 - not yet
            return False

    # time

    async def rest(self, seconds: float) -> None:
        await self.clock.wait(self._never, max(0.0, seconds))

    async def until(self, check: Any, within: float, every: float = 0.2) -> bool:
        """Whether it came true in time."""
        deadline = self.clock.monotonic() + within
        while not (held := await check()) and self.clock.monotonic() < deadline:
            await self.rest(every)
        return bool(held)


@asynccontextmanager
async def fleet(seed: int, keep: Path | None = None, settings: Mapping[str, str] | None = None) -> AsyncIterator[Fleet]:
    """Stores, proxies and receiver; the roles are the scenario's to start. `keep`: where its logs are copied."""
    home = _make_home()
    try:
        async with AsyncExitStack() as stack:
            running = Fleet(home, stack, seed)
            await running.open(settings or {})
            yield running
    finally:
        _leave_home(home, keep)


def _make_home() -> Path:
    """Such that the user who is Postgres when we are root can pass."""
    home = Path(tempfile.mkdtemp(prefix="qhronos-chaos-"))
    home.chmod(0o711)
    return home


def _leave_home(home: Path, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for log in home.glob("*.log"):
            shutil.copy(log, keep)
    shutil.rmtree(home, ignore_errors=True)
