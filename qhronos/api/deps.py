"""What handlers are given. Resources import this, so it imports none of them."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from litestar.di import NamedDependency
from msgspec import Struct

from qhronos.api.auth import Keyring
from qhronos.api.live import Streams
from qhronos.api.readiness import Readiness
from qhronos.api.revocation import Revocations
from qhronos.broadcast import Broadcast
from qhronos.clock import Clock
from qhronos.config import Config
from qhronos.engine.change import Changes
from qhronos.engine.create import Creator
from qhronos.engine.replay import Replays
from qhronos.http import Client, Egress
from qhronos.plan import Plan
from qhronos.plan.ratelimit import Limiter
from qhronos.store import Database

T = TypeVar("T")
Given: TypeAlias = NamedDependency[T]  # marks what a handler is handed: `deps: Given[Deps]`, `caller: Given[Caller]`


class Deps(Struct, frozen=True, kw_only=True):
    """Built by wiring, which also opens and closes what needs it."""

    config: Config
    clock: Clock
    database: Database
    plan: Plan
    broadcast: Broadcast
    keyring: Keyring
    revocations: Revocations
    limiter: Limiter
    readiness: Readiness
    egress: Egress  # what actions may reach
    http: Client
    creator: Creator
    changes: Changes
    replays: Replays
    started_at: float  # by the monotonic clock
    streams: Streams | None = None  # the gateway of this process, if it has one
