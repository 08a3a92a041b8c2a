"""Scenarios in which our own processes are killed, stopped and restarted."""

from __future__ import annotations

import asyncio
import signal

from qhronos.core.occurrence import Identity
from tests.chaos import load, oracle
from tests.chaos.callers import Callers
from tests.chaos.role import Role
from tests.chaos.trial import Row, Trial, judge

PAUSE = 8.0  # seconds; a worker without a heartbeat is believed to live for 5
DRAINED_WITHIN = 25.0
STOOD_IN_WITHIN = 30.0
PILL = 10_000  # milliseconds that it takes to be answered: enough to find who asks
DEADLY = 3  # deaths: two beside others, one alone
ROUNDS = 10
ROLES = ("api", "expander", "janitor", "dispatcher")


async def dispatchers_are_killed(trial: Trial) -> Row:
    """20 SIGKILLs among three dispatchers: nothing lost, doubled only what was under way at a kill."""
    fleet, started, kills = trial.fleet, set[Identity](), trial.count(20, least=2)
    await fleet.start_all()
    asked = await trial.ask()
    for moment in trial.moments(kills):
        await trial.reach(asked, moment)
        victim = await _one_of(trial, "dispatcher")
        await fleet.freeze(victim)
        started |= await oracle.under_way(fleet, victim)
        await fleet.kill(victim)
        trial.aside(fleet.start("dispatcher"))
    findings = await trial.finish(asked, started)
    return judge(findings, most_doubled=len(started), says=f"{kills} kills with {len(started)} under way")


async def dispatchers_are_frozen(trial: Trial) -> Row:
    """12 SIGSTOPs for longer than a dispatcher is believed to live: it sends nothing afterwards that others have taken."""
    fleet, started, stops = trial.fleet, set[Identity](), trial.count(12, least=2)
    connecting = set[Identity]()
    await fleet.start_all()
    asked = await trial.ask(path="flaky/1000")

    async def freeze_and_thaw(victim: Role, after: float) -> None:
        await trial.reach(asked, after)
        for _ in range(stops // 2):
            await fleet.freeze(victim)
            started.update(await oracle.under_way(fleet, victim))
            connecting.update(await oracle.due_at(fleet, victim))
            await fleet.rest(PAUSE)
            victim.signal(signal.SIGCONT)
            await fleet.rest(trial.random.uniform(1, 2))

    *victims, _ = fleet.of("dispatcher")  # one lives on
    await asyncio.gather(*(freeze_and_thaw(victim, trial.random.uniform(0, 2)) for victim in victims))
    findings = await trial.finish(asked, started)
    fenced = sum(role.said("settlement.fenced") for role in fleet.roles)
    says = (
        f"{stops} stops of {PAUSE:g} s with {len(started)} under way and {len(connecting - started)} about to be, "
        f"{findings.unexplained} of which were sent on waking; {fenced} log lines of late ends refused"
    )
    return judge(findings, most_doubled=len(started), says=says)


async def expanders_are_killed(trial: Trial) -> Row:
    """20 SIGKILLs among two expanders that open 10 s ahead: exactly the rows that were asked for."""
    fleet, kills = trial.fleet, trial.count(20, least=2)
    await fleet.start_all()
    asked = await trial.ask()
    for moment in trial.moments(kills):
        await trial.reach(asked, moment)
        await fleet.kill(await _one_of(trial, "expander"))
        trial.aside(fleet.start("expander"))
    return judge(await trial.finish(asked), most_doubled=0, says=f"{kills} kills")


async def expanders_are_gone(trial: Trial) -> Row:
    """Every expander killed for good, at the start: dispatchers open what falls due, and all of it in time."""
    fleet = trial.fleet
    await fleet.start_all()
    asked = await trial.ask()
    for role in fleet.of("expander"):
        await fleet.kill(role)
    findings = await trial.finish(asked)
    wrong = f"{findings.latest:.0f} s late" if findings.latest > STOOD_IN_WITHIN else ""
    return judge(findings, wrong, most_doubled=0, says="no expander since before the first instant")


async def an_occurrence_is_a_poison_pill(trial: Trial) -> Row:
    """Whichever dispatcher starts a certain occurrence is killed: it ends as failed, and everything else is delivered."""
    fleet, deaths, others = trial.fleet, 0, set[Identity]()
    await fleet.start_all()
    asked = await trial.ask()
    due_at = asked.first
    (event_id,) = await load.create(fleet, [load.event(fleet.hook(f"pill/{PILL}"), due_at)])
    pill = Identity(event_id, due_at)
    while await _is_under_way(trial, pill, deaths + 1):
        victim = await _holder(trial, pill)
        others |= await oracle.under_way(fleet, victim) - {pill}
        await fleet.kill(victim)
        deaths += 1
        trial.aside(fleet.start("dispatcher"))
    findings = await trial.finish(asked, others, frozenset({pill}))
    ((status, reason),) = await fleet.query("SELECT status, reason FROM occurrences WHERE event_id = %s", event_id)
    wrong = (
        f"{deaths} deaths" if deaths != DEADLY else "",
        f"it is {status}" if status != "failed" or not reason.startswith("worker lost") else "",
    )
    return judge(findings, *wrong, most_doubled=len(others), says=f"{deaths} dispatchers died, {reason!r}")


async def processes_are_replaced(trial: Trial) -> Row:
    """SIGTERM and a successor for every process, ten times over, beside callers of the API: nothing lost or doubled."""
    fleet, rounds = trial.fleet, trial.count(ROUNDS)
    await fleet.start_all(dispatchers=2, expanders=1)
    asked = await trial.ask(seconds=trial.size.seconds * 2)
    await trial.reach(asked, 0.0)
    began, callers = fleet.clock.monotonic(), Callers(fleet, trial.random)
    calling = asyncio.ensure_future(callers.call_until_stopped())
    ends: list[tuple[int, float]] = []
    for _ in range(rounds):
        for replaced in await asyncio.gather(*(_replace_all(trial, name) for name in ROLES)):
            ends += replaced
    took = fleet.clock.monotonic() - began
    callers.stop()
    await calling
    findings = await trial.finish(asked._replace(expected=asked.expected | callers.created), set())
    slowest, codes = max(seconds for _, seconds in ends), {code for code, _ in ends}
    says = f"{rounds} rounds over 5 processes in {took:.0f} s, slowest end {slowest:.1f} s; {callers}"
    wrong = (
        f"exit codes {codes}" if codes != {0} else "",
        f"an end took {slowest:.1f} s" if slowest > DRAINED_WITHIN else "",
        f"answers {dict(callers.answers)}" if callers.refusals else "",
    )
    return judge(findings, *wrong, most_doubled=0, says=says)


async def everything_at_once(trial: Trial) -> Row:
    """A dispatcher and an expander killed, Redis emptied, every connection cut, replies lost: nothing lost."""
    fleet, started = trial.fleet, set[Identity]()
    await fleet.start_all(dispatchers=2, expanders=1)
    asked = await trial.ask()
    fleet.postgres.reply_loss = fleet.redis.reply_loss = 0.01
    for moment in trial.moments(trial.count(5)):
        await trial.reach(asked, moment)
        for name in ("dispatcher", "expander"):
            victim = await _one_of(trial, name)
            await fleet.freeze(victim)
            started |= await oracle.under_way(fleet, victim)
            await fleet.kill(victim)
            trial.aside(fleet.start(name))
        await fleet.flush()
        started |= await oracle.unsettled(fleet)
        fleet.postgres.cut()
        fleet.redis.cut()
    await trial.reach(asked, trial.size.seconds)
    fleet.postgres.reply_loss = fleet.redis.reply_loss = 0.0
    findings = await trial.finish(asked)
    dropped = fleet.postgres.dropped + fleet.redis.dropped
    says = f"{len(started)} under way, {dropped} replies dropped"
    return judge(findings, most_doubled=len(started) + dropped, says=says)


async def _is_under_way(trial: Trial, pill: Identity, times: int) -> bool:
    """Whether it is requested so often before it is closed; whoever does so stands still by then."""

    async def requested() -> bool:
        return sum(one.identity == pill for one in oracle.read(trial.fleet.log)) >= times

    async def closed_or_requested() -> bool:
        closed = await trial.fleet.query("SELECT FROM occurrences WHERE event_id = %s", pill.event_id)
        return bool(closed) or await requested()

    await trial.fleet.until(closed_or_requested, 60, every=0.05)
    return await requested()


async def _holder(trial: Trial, pill: Identity) -> Role:
    ((name,),) = await trial.fleet.query(
        "SELECT w.name FROM pending AS p JOIN workers AS w ON w.id = p.worker WHERE p.event_id = %s", pill.event_id
    )
    (role,) = (one for one in trial.fleet.of("dispatcher") if one.worker == name)
    await trial.fleet.freeze(role)
    return role


async def _replace_all(trial: Trial, name: str) -> list[tuple[int, float]]:
    """One after the other."""
    return [await _replace(trial, role) for role in trial.fleet.of(name)]


async def _replace(trial: Trial, role: Role) -> tuple[int, float]:
    """The successor first, but for the one whose port it needs."""
    if role.name == "api":
        ended = await trial.fleet.terminate(role)
        await trial.fleet.start(role.name)
        await trial.fleet.must("GET", "/events?limit=1")
        return ended
    await trial.fleet.start(role.name)
    return await trial.fleet.terminate(role)


async def _one_of(trial: Trial, name: str) -> Role:
    """A random one of the role, as soon as one is at work."""

    async def any_ready() -> bool:
        return bool(trial.fleet.of(name))

    async with asyncio.timeout(60):
        await trial.fleet.until(any_ready, 60, every=0.05)
    return trial.random.choice(trial.fleet.of(name))
