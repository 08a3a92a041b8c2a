"""Scenarios in which clocks are wrong."""

from __future__ import annotations

import asyncio
import sys

from tests.chaos.trial import Row, Trial, judge

SKEWS = {"api": 5.0, "expander": -3600.0, "dispatcher": 3600.0, "janitor": -5.0}
SKEWED = (sys.executable, "-m", "tests.chaos.skewed")
JUMPS = (3600, -3600)  # seconds
ASTRAY = 12.0  # seconds; a clock is looked at every 10

# Whoever asks this Postgres for the time is told by ours, which can be put forward and back.
BENT = (
    "CREATE SCHEMA bent",
    "CREATE TABLE bent.by (ahead interval NOT NULL)",
    "INSERT INTO bent.by VALUES ('0')",
    """
    CREATE FUNCTION bent.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT pg_catalog.clock_timestamp() + ahead FROM bent.by $$""",
    "ALTER DATABASE qhronos SET search_path = public, bent, pg_catalog",
)


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


async def postgres_clock_jumps(trial: Trial) -> Row:
    """Postgres' clock an hour ahead for a while, then an hour behind: nothing early, lost or doubled, only late."""
    fleet = trial.fleet
    for text in BENT:
        await fleet.command(text)
    await fleet.start_all()
    asked = await trial.ask()
    for number, jump in enumerate(JUMPS):
        await trial.reach(asked, trial.size.seconds * (0.1 + 0.6 * number))
        await fleet.command("UPDATE bent.by SET ahead = make_interval(secs => %s)", jump)
        await fleet.rest(ASTRAY)
        if number == 0:
            await fleet.terminate(fleet.of("dispatcher")[0])
            await fleet.start("dispatcher")  # which has never known another time
        await fleet.command("UPDATE bent.by SET ahead = '0'")
    findings = await trial.finish(asked)
    disputed = sum(role.said("clock.disputed") for role in fleet.roles)
    wrong = "" if disputed >= len(fleet.roles) else f"only {disputed} disputes"
    says = f"an hour ahead and an hour behind for {ASTRAY:g} s each; {disputed} disputes in the logs"
    return judge(findings, wrong, most_doubled=0, says=says)
