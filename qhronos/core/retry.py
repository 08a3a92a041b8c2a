"""When to try again, or never."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from qhronos.core.attempt import Delivered, Failed, Outcome

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


Pause = Annotated[float, Meta(ge=0, le=604_800)]
Cause = Annotated[str, Meta(pattern="^(network|[45]xx|[45][0-9][0-9])$")]


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_attempts` counts requests started, the first included. Spans are in seconds."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    # Or the pauses themselves, one after the other; after the last it stays the same.
    backoff: Backoff | Annotated[tuple[Pause, ...], Meta(min_length=1, max_length=100)] = Backoff()
    timeout: Annotated[float, Meta(gt=0, le=60)] = 15.0
    deadline: Annotated[float, Meta(gt=0, le=2_592_000)] | None = (
        None  # no attempt begins so long after the first could
    )
    # What is tried again: `network`, `5xx`, `429`. Left out: network faults, 408, 425, 429 and 5xx.
    retry_on: Annotated[tuple[Cause, ...], Meta(max_length=50)] | None = None


def next_pause(retry: Retry, outcome: Outcome, starts: int, jitter: float, spent: timedelta) -> timedelta | None:
    """The pause before the next attempt after `starts` requests, or None: this one was the last. `spent` is how long
    ago the first could begin.

    What the endpoint asks for in Retry-After is honoured within [our own pause, the greater of an hour and twice it].
    """
    if starts >= retry.max_attempts or not is_retried(retry, outcome):
        return None
    pause = _own_pause(retry, starts, jitter)
    asked = outcome.retry_after if isinstance(outcome, Failed) else None
    if asked is not None:
        pause = min(max(asked, pause), max(2 * pause, LONGEST_RETRY_AFTER))
    if retry.deadline is not None and (spent + pause).total_seconds() > retry.deadline:
        return None
    return pause


def is_retried(retry: Retry, outcome: Outcome) -> bool:
    """Whether trying again makes sense after this. What the event does not name itself is as its action judged it."""
    if isinstance(outcome, Delivered):
        return False
    if retry.retry_on is None:
        return isinstance(outcome, Failed)
    if outcome.status_code is None:
        return isinstance(outcome, Failed) and "network" in retry.retry_on
    return bool({str(outcome.status_code), f"{outcome.status_code // 100}xx"} & {*retry.retry_on})


def _own_pause(retry: Retry, starts: int, jitter: float) -> timedelta:
    if isinstance(retry.backoff, Backoff):
        return retry.backoff.pause(starts, jitter)
    return timedelta(seconds=retry.backoff[min(starts, len(retry.backoff)) - 1])
