"""Scenarios in which clocks are wrong."""

from __future__ import annotations

import asyncio
import sys

from tests.chaos.trial import Row, Trial, judge

SKEWS = {"api": 5.0, "expander": -3600.0, "dispatcher": 3600.0, "janitor": -5.0}
SKEWED = (sys.executable, "-m", "tests.chaos.skewed")


async def clocks_are_wrong(trial: Trial) -> Row:
    """Every process by another clock, up to an hour off, beside a dispatcher whose clock is right: nothing early."""
    fleet = trial.fleet
    for name, skew in SKEWS.items():
        fleet.environment["CHAOS_SKEW"] = str(skew)
        await fleet.start(name, module=SKEWED)
    fleet.environment["CHAOS_SKEW"] = "-3600"
    await asyncio.gather(fleet.start("dispatcher", module=SKEWED), fleet.start("dispatcher"))
    await fleet.api_is_up()
    return judge(await trial.finish(await trial.ask()), most_doubled=0, says="clocks off by 5 s to 1 h")
