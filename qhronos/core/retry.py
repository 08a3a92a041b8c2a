"""When to try again, or never."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from qhronos.core.attempt import Failed, Outcome

LONGEST_RETRY_AFTER = timedelta(hours=1)


class Backoff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base · factorⁿ, never above cap, moved by at most ±jitter of itself. Seconds."""

    base: Annotated[float, Meta(gt=0, le=86_400)] = 1.0
    factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    cap: Annotated[float, Meta(gt=0, le=86_400)] = 3_600.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1

    def pause(self, failures: int, jitter: float) -> timedelta:
        """The pause after the `failures`-th failure (from 1); `jitter` is in [-1, 1]."""
        steps = min(failures - 1, 64)
        delay = min(self.cap, self.base * min(self.factor**steps, 1e9))
        return timedelta(seconds=delay * (1 + self.jitter * jitter))


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_attempts` counts requests started, the first included."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    backoff: Backoff = Backoff()
    timeout: Annotated[float, Meta(gt=0, le=60)] = 15.0


def next_pause(retry: Retry, outcome: Outcome, starts: int, jitter: float) -> timedelta | None:
    """The pause before the next attempt after `starts` requests, or None: this one was the last.

    What the endpoint asks for in Retry-After is honoured within [our own pause, the greater of an hour and twice it].
    """
    if not isinstance(outcome, Failed) or starts >= retry.max_attempts:
        return None
    pause = retry.backoff.pause(starts, jitter)
    if outcome.retry_after is None:
        return pause
    return min(max(outcome.retry_after, pause), max(2 * pause, LONGEST_RETRY_AFTER))
