"""Scenarios in which the stores are killed, emptied, away, or heard only in part."""

from __future__ import annotations

import signal

import redis.asyncio

from tests.chaos import load, oracle
from tests.chaos.load import Load
from tests.chaos.trial import Row, Trial, judge

LOSS = 0.01
DOWN = 60.0
BACK_WITHIN = 5.0  # seconds from Postgres' return to the first delivery


async def redis_is_emptied(trial: Trial) -> Row:
    """Five FLUSHALLs and a SIGKILL of a Redis that keeps nothing: nothing lost, nothing doubled."""
    fleet, flushes = trial.fleet, trial.count(5)
    await fleet.start_all()
    asked = await trial.ask()
    *moments, last = trial.moments(flushes + 1)
    for moment in moments:
        await trial.reach(asked, moment)
        await fleet.flush()
    await trial.reach(asked, last)
    fleet.stop_store(fleet.index, signal.SIGKILL)
    await fleet.rest(2)
    await fleet.restart_store(fleet.index)
    return judge(await trial.finish(asked), most_doubled=0, says=f"{flushes} FLUSHALLs and a SIGKILL")


async def redis_comes_back_older(trial: Trial) -> Row:
    """A failover to a replica that lacks the last second: the old epoch, an older plan, another process."""
    fleet = trial.fleet
    await fleet.start_all()
    asked = await trial.ask()
    await trial.reach(asked, trial.size.seconds * 0.4)
    async with redis.asyncio.from_url(fleet.index.redis_url) as client:
        older = {key: await client.dump(key) async for key in client.scan_iter(count=1000)}
    await fleet.rest(1)
    fleet.redis.down()
    fleet.stop_store(fleet.index, signal.SIGKILL)
    await fleet.restart_store(fleet.index)
    async with redis.asyncio.from_url(fleet.index.redis_url) as client:
        for key, value in older.items():
            if value is not None:
                await client.restore(key, 0, value)
    fleet.redis.up()
    return judge(await trial.finish(asked), most_doubled=0, says=f"{len(older)} keys as they were a second before")


async def redis_is_away(trial: Trial) -> Row:
    """Redis away for a minute: nothing lost or doubled, and events can be created meanwhile."""
    fleet, down = trial.fleet, _down(trial)
    await fleet.start_all()
    asked = await trial.ask()
    await trial.reach(asked, trial.size.seconds * 0.2)
    fleet.redis.down()
    await fleet.rest(down / 2)
    meanwhile = fleet.clock.now()
    (created,) = await load.create(fleet, [load.event(fleet.hook("ok/0"), meanwhile)])
    asked.expected.add(oracle.Identity(created, meanwhile))
    await fleet.rest(down / 2)
    fleet.redis.up()
    back = fleet.clock.now().timestamp()
    findings = await trial.finish(asked)
    return judge(findings, most_doubled=0, says=f"away {down:.0f} s, {_return(trial, back, asked)}")


async def postgres_is_away(trial: Trial) -> Row:
    """Postgres stopped at once and away for a minute: nothing lost, nothing doubled, no process ended."""
    fleet, down = trial.fleet, _down(trial)
    await fleet.start_all()
    asked = await trial.ask()
    pids = {role.pid for role in fleet.roles}
    await trial.reach(asked, trial.size.seconds * 0.2)
    fleet.stop_store(fleet.truth, signal.SIGQUIT)
    await fleet.rest(down)
    await fleet.restart_store(fleet.truth)
    back = fleet.clock.now().timestamp()
    findings = await trial.finish(asked)
    first = min((one.arrived_at for one in oracle.read(fleet.log) if one.arrived_at > back), default=back)
    wrong = (
        f"first delivery {first - back:.1f} s after" if first - back > BACK_WITHIN else "",
        "a process ended"
        if pids != {role.pid for role in fleet.roles} or not all(role.lives for role in fleet.roles)
        else "",
    )
    return judge(findings, *wrong, most_doubled=0, says=f"away {down:.0f} s, {_return(trial, back, asked)}")


async def postgres_restarts_again_and_again(trial: Trial) -> Row:
    """Postgres stopped at once every few seconds: nothing lost, doubled only what was under way."""
    fleet, started, restarts = trial.fleet, set[oracle.Identity](), trial.count(10, least=2)
    await fleet.start_all()
    asked = await trial.ask()
    for moment in trial.moments(restarts):
        await trial.reach(asked, moment)
        started |= await oracle.unsettled(fleet)
        fleet.stop_store(fleet.truth, signal.SIGQUIT)
        await fleet.restart_store(fleet.truth)
    findings = await trial.finish(asked)
    return judge(findings, most_doubled=len(started), says=f"{restarts} restarts with {len(started)} under way")


async def replies_are_lost(trial: Trial) -> Row:
    """One in a hundred replies of both stores is dropped, after the request was carried out: nothing lost."""
    fleet, seconds = trial.fleet, trial.size.seconds * 5
    await fleet.start_all()
    asked = await trial.ask(seconds=seconds)
    fleet.postgres.reply_loss = fleet.redis.reply_loss = LOSS
    await trial.reach(asked, seconds)
    fleet.postgres.reply_loss = fleet.redis.reply_loss = 0.0
    findings = await trial.finish(asked)
    dropped = fleet.postgres.dropped, fleet.redis.dropped
    says = f"{dropped[0]} replies of Postgres and {dropped[1]} of Redis dropped in {seconds:.0f} s"
    return judge(findings, most_doubled=sum(dropped), says=says)


async def the_network_is_bad(trial: Trial) -> Row:
    """Latency, cuts, slow ends and silences of five seconds towards both stores: nothing lost."""
    fleet, faults = trial.fleet, trial.count(12, least=4)
    await fleet.start_all()
    asked = await trial.ask()
    proxies = (fleet.postgres, fleet.redis)
    for proxy in proxies:
        proxy.latency, proxy.slow_close = 0.005, 0.5
    for number, moment in enumerate(trial.moments(faults)):
        await trial.reach(asked, moment)
        proxy = proxies[number // 2 % 2]
        if number % 2:
            proxy.hold()
            await fleet.rest(3)
            proxy.release()
        proxy.cut()
    findings = await trial.finish(asked)
    return judge(findings, says=f"5 ms each way, {faults} cuts, half of them after a silence of 3 s")


def _down(trial: Trial) -> float:
    return max(3.0, DOWN * trial.size.share)


def _return(trial: Trial, back: float, asked: Load) -> str:
    """How long after its return the last of what had fallen due before was delivered."""
    late = [
        one.arrived_at - back
        for one in oracle.read(trial.fleet.log)
        if one.identity in asked.expected and one.identity.due_at.timestamp() < back < one.arrived_at
    ]
    return f"backlog of {len(late)} done {max(late, default=0.0):.1f} s after its return"
