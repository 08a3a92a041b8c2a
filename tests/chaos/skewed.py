"""A process of ours whose own clock is wrong: `python -m tests.chaos.skewed ROLE`, by CHAOS_SKEW seconds."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta, tzinfo

from qhronos import clock

SKEW = timedelta(seconds=float(os.environ["CHAOS_SKEW"]))


class Skewed(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + SKEW  # noqa: TID251 - this is a clock


if __name__ == "__main__":
    clock.datetime = Skewed  # type: ignore[misc]
    from qhronos.cli import main

    sys.argv[0] = "qhronos"
    main()
