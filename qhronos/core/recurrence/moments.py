"""What streams of instants are made of, and what they may spend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

from qhronos.core.recurrence.model import Mark
from qhronos.core.recurrence.zones import Face

# An instant, its wall time and its mark, in seconds. Without a mark it is no instant, only the news that none comes
# before it any more: so a long search shows how far it came.
Moment: TypeAlias = tuple[int, int, Mark | None]

# After its last moment a stream that has no more, in no window, says so.
NEVER = 1 << 60
NO_MORE: Moment = (NEVER, 0, None)


class Steps:
    """Work that may still be done. A step is about a microsecond."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def take(self, steps: int = 1) -> None:
        self.left -= steps


class Stream(Protocol):
    def moments(self, since: int, until: int, face: Face, steps: Steps) -> Iterator[Moment]:
        """In order, those before `since` to be passed over; each after a bounded number of steps.

        A stream does not stop by itself when the steps are spent: who asks does.
        """
        ...
