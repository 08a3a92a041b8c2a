"""What handlers are given. Resources import this, so it imports none of them."""

from __future__ import annotations

from msgspec import Struct

from qhronos.api.auth import Keyring
from qhronos.api.revocation import Revocations
from qhronos.broadcast import Broadcast
from qhronos.clock import Clock
from qhronos.config import Config
from qhronos.plan import Plan
from qhronos.plan.ratelimit import Limiter
from qhronos.store import Database


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
