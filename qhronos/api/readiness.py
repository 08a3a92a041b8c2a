"""May this process be sent work? Asked by probes often, so the stores are asked at most once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from qhronos.clock import MOST_SKEW, Clock
from qhronos.errors import ConfigError, Unavailable
from qhronos.log import get_logger
from qhronos.plan import Plan
from qhronos.store import Database
from qhronos.store.migrate import ensure_current

FRESH = 1.0  # seconds that an answer holds
PATIENCE = 2.0  # seconds a store may take
OK, AWAY, DISPUTED = "ok", "unavailable", "disputed"

log = get_logger()


class Checks(Struct, frozen=True, kw_only=True):
    """`ok` each, or in one word why not."""

    postgres: str
    redis: str
    clock: str
    draining: bool


class Readiness:
    def __init__(self, database: Database, plan: Plan, clock: Clock, *, claims: bool) -> None:
        """`claims`: whether the process does what a disputed clock forbids."""
        self._claims = claims
        self._database = database
        self._plan = plan
        self._clock = clock
        self._stores = (AWAY, AWAY)
        self._checked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._draining = False

    def drain(self) -> None:
        """No more work, please: this process is about to end."""
        self._draining = True

    async def check(self) -> Checks:
        async with self._lock:
            if self._clock.monotonic() - self._checked_at >= FRESH:
                postgres, redis = await asyncio.gather(_word(self._ask_postgres), _word(self._plan.ping))
                self._stores = (postgres, redis)
                self._checked_at = self._clock.monotonic()
        postgres, redis = self._stores
        clock = DISPUTED if self._clock.skew > MOST_SKEW else OK
        return Checks(postgres=postgres, redis=redis, clock=clock, draining=self._draining)

    def suffices(self, checks: Checks) -> bool:
        """Whether the process may be sent work."""
        is_timely = checks.clock == OK or not self._claims
        return checks.postgres == checks.redis == OK and is_timely and not checks.draining

    async def _ask_postgres(self) -> None:
        async with self._database.connection() as conn:
            await ensure_current(conn)


async def _word(ask: Callable[[], Awaitable[None]]) -> str:
    """The reason goes to the log: it may name hosts and users, and anybody may read the answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            await ask()
    except (Unavailable, TimeoutError) as error:
        log.warning("readiness.missed", error=str(error) or "took too long")
        return AWAY
    except ConfigError as error:
        log.warning("readiness.missed", error=str(error))
        return "wrong schema"
    return OK
