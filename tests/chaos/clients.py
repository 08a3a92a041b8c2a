"""Scenarios of clients by name: cut off at random, or away for a week."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from qhronos.core.occurrence import Identity, occurrence_id
from tests.chaos import clocks, load, oracle
from tests.chaos.clocks import SKEWED
from tests.chaos.fleet import TOKEN, Fleet
from tests.chaos.role import Role
from tests.chaos.trial import SETTLED_WITHIN, Row, Trial
from tests.e2e.processes import free_port
from tests.service.flighty import WINDOW, Flighty
from tests.service.sockets import Peer, connect

CLIENTS = 200
EACH = 100  # messages
KILLS = 10
GOT_WITHIN = 120.0
BACKLOG = 10_000  # what is kept unless the action says otherwise
AWAY = timedelta(days=6, hours=23)  # an hour less than what is kept for a client


async def clients_are_cut(trial: Trial) -> Row:
    """200 clients cut off at random between two gateways that are killed, too: nothing lost, the order of each kept."""
    fleet, kills = trial.fleet, trial.count(KILLS, least=2)
    count, each = max(4, round(CLIENTS * trial.size.share)), EACH
    await fleet.start_all(dispatchers=2, expanders=1)
    ports = [free_port(), free_port()]
    gateways = dict(zip(ports, await asyncio.gather(*map(fleet.start_gateway, ports)), strict=True))
    urls = [_url(port) for port in ports]
    flighty = [Flighty(f"client-{n}", f"{trial.seed} {n}", urls, each, TOKEN) for n in range(count)]
    lives = [asyncio.create_task(one.live()) for one in flighty]
    first, expected = await _ask(trial, [one.name for one in flighty], each)
    for moment in trial.moments(kills):
        await fleet.rest((first - fleet.clock.now()).total_seconds() + moment)
        await _kill_one(trial, gateways)
    async with asyncio.timeout(trial.size.seconds + GOT_WITHIN):
        await asyncio.gather(*lives)
    await asyncio.gather(*trial.background)
    await asyncio.gather(*(one.finish() for one in flighty))
    await oracle.all_closed(fleet, expected, SETTLED_WITHIN)
    return await _judge_cut(fleet, flighty, expected, kills)


async def _ask(trial: Trial, names: list[str], each: int) -> tuple[datetime, set[Identity]]:
    """So many messages for each, spread over the scenario."""
    fleet, count = trial.fleet, len(names) * each
    first = fleet.clock.now() + timedelta(seconds=load.LEAD + count / 2_000)
    ats = [first + timedelta(seconds=trial.random.uniform(0, trial.size.seconds)) for _ in range(count)]
    ids = await load.create(fleet, [_event(names[n % len(names)], at) for n, at in enumerate(ats)])
    return first, {Identity(*pair) for pair in zip(ids, ats, strict=True)}


async def _kill_one(trial: Trial, gateways: dict[int, Role]) -> None:
    """Any of those that are there; it comes back at the same address."""
    port = trial.random.choice(sorted(gateways))
    await trial.fleet.kill(gateways.pop(port))

    async def back() -> None:
        gateways[port] = await trial.fleet.start_gateway(port)

    returning = asyncio.ensure_future(back())
    trial.aside(returning)
    if not gateways:
        await returning


async def _judge_cut(fleet: Fleet, flighty: list[Flighty], expected: set[Identity], kills: int) -> Row:
    got = {one for each in flighty for one in each.got}
    lost = len({occurrence_id(one) for one in expected} - got)
    again, cuts = sum(one.again for one in flighty), sum(one.connections for one in flighty)
    ((completed, further),) = await fleet.query(
        "SELECT count(*) FILTER (WHERE status = 'completed'), coalesce(sum(attempt - 1), 0)::int FROM occurrences"
    )
    missing, disordered = sum(one.missing for one in flighty), sum(one.disordered for one in flighty)
    most = max(one.again / one.connections for one in flighty)
    wrong = (
        f"lost {lost}" if lost else "",
        f"completed {completed}" if completed != len(expected) else "",
        f"out of order {disordered}" if disordered else "",
        f"{missing} numbers missing, {further} further attempts" if missing > further else "",
        f"{most:.0f} sent again for each cut" if most > WINDOW else "",
        *await oracle.broken_invariants(fleet),
    )
    return Row(
        f"{len(expected)} messages for {len(flighty)} clients, {lost} lost, {disordered} out of order, {missing} numbers "
        f"missing; {cuts} connections, {kills} gateways killed; {again} sent again, {most:.1f} for each cut at most",
        tuple(one for one in wrong if one),
    )


async def a_client_is_away(trial: Trial) -> Row:
    """10,001 messages for a client that comes a week later: 10,000 in order, and one dead letter that says why."""
    fleet, port = trial.fleet, free_port()
    for text in clocks.BENT:
        await fleet.command(text)
    await fleet.start_all(dispatchers=1, expanders=1)
    first = fleet.clock.now() + timedelta(seconds=load.LEAD + BACKLOG / 1_000)
    ats = [first + timedelta(milliseconds=n) for n in range(BACKLOG + 1)]
    ids = await load.create(fleet, [_event("away", at) for at in ats])
    order = [occurrence_id(Identity(*pair)) for pair in zip(ids, ats, strict=True)]
    assert await fleet.until(lambda: _has_failed(fleet), SETTLED_WITHIN), "nothing was given up"
    await _a_week_passes(fleet)
    await fleet.start_gateway(port, module=SKEWED)
    began = fleet.clock.monotonic()
    heard = await _drained(port, BACKLOG)
    took = fleet.clock.monotonic() - began
    await oracle.all_closed(fleet, map(Identity, ids, ats), SETTLED_WITHIN)
    ends = dict(await fleet.query("SELECT status, count(*) FROM occurrences GROUP BY status"))
    ((at, reason),) = await fleet.query("SELECT due_at, reason FROM occurrences WHERE status = 'failed'")
    wrong = (
        "" if order[1:] == heard else f"{len(heard)} heard, not those and in that order",
        "" if {"completed": BACKLOG, "failed": 1} == ends else f"they ended as {ends}",
        "" if reason.startswith("backlog: ") and at == ats[0] else f"the dead letter is {reason!r}",
        *await oracle.broken_invariants(fleet),
    )
    says = f"{AWAY.days} days and {AWAY.seconds // 3600} hours later {len(heard)} of {len(order)} in order in {took:.1f} s; one failed, {reason!r}"
    return Row(says, tuple(one for one in wrong if one))


async def _has_failed(fleet: Fleet) -> bool:
    ((waiting, failed),) = await fleet.query(
        "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM occurrences WHERE status = 'failed')"
    )
    return waiting == BACKLOG and failed == 1


async def _a_week_passes(fleet: Fleet) -> None:
    """While nothing runs; then everything runs by the clocks of a week later."""
    await asyncio.gather(*(fleet.terminate(role) for role in list(fleet.roles)))
    await fleet.command("UPDATE bent.by SET ahead = %s", AWAY)
    fleet.environment["CHAOS_SKEW"] = str(AWAY.total_seconds())
    await asyncio.gather(*(fleet.start(name, module=SKEWED) for name in ("janitor", "dispatcher", "expander")))


async def _drained(port: int, count: int) -> list[str]:
    """What a client is told, each once; it acknowledges as it goes."""
    found: list[str] = []
    async with connect(_url(port), compression=None) as connection:
        peer = Peer(connection)
        await peer.say(type="client-hook", client_name="away", token=TOKEN)
        while len(found) < count:
            frame = await peer.hear_event()
            found.append(frame["occurrence_id"])
            if len(found) % (WINDOW // 2) == 0 or len(found) == count:
                await peer.say(type="ack", seq=frame["seq"])
        while (await peer.hear()).get("seq") != frame["seq"]:
            pass
    return found


def _event(client: str, at: datetime) -> dict[str, Any]:
    action = {"type": "websocket", "params": {"client_name": client}}
    return {"name": "chaos", "action": action, "start_time": at.isoformat()}


def _url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws"
