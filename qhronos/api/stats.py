"""How many events and occurrences there are, counted at a bounded price."""

from __future__ import annotations

from litestar import get

from qhronos.api.access import needs
from qhronos.api.auth import Access, Caller
from qhronos.api.deps import Deps, Given
from qhronos.engine.stats import Stats, count


@get("/stats", opt=needs(Access.READ), tags=["stats"], summary="Count events and occurrences")
async def get_stats(deps: Given[Deps], caller: Given[Caller]) -> Stats:
    """Only what the token sees. Counting stops at 10,000."""
    return await count(deps.database, caller.visible, deps.clock.now(), deps.config.scheduler.grace_period)


HANDLERS = [get_stats]
