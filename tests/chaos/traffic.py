"""Scenarios that nothing but what is asked for makes hard: bad endpoints, herds, races, hostile rules, dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from qhronos.core.occurrence import Identity
from tests.chaos import load, oracle
from tests.chaos.load import Load, event
from tests.chaos.oracle import Delivery, quantile
from tests.chaos.trial import Row, Trial, judge
from tests.hostile import RULES

HEALTHY = 500  # a minute
WORSE_BY = 1.5
NOISE = 0.005  # seconds; a p99 of a few milliseconds is not told from another within that
GROWTH = 64 << 20  # bytes
POISONS = 7
POISONED = 50  # occurrences for each way to be bad
ATTEMPTED_WITHIN = 60.0
HOSTS = 100
ANSWERED_WITHIN = 2.0
AHEAD = 1.0  # seconds that a dispatcher claims ahead
DEAD_LETTERS = 1_000


async def endpoints_are_poisonous(trial: Trial) -> Row:
    """Endpoints that hang, drip, flood, reset and babble, beside 500 healthy events a minute that must not notice."""
    fleet, count = trial.fleet, max(50, round(HEALTHY * trial.size.seconds / 60))
    await fleet.start_all()
    alone = await _healthy(trial, count)
    await trial.reach(alone, trial.size.seconds)
    before = [role.memory for role in fleet.of("dispatcher")]
    beside = await _healthy(trial, count)
    poison = await _poison(trial, beside.first)
    await trial.reach(beside, trial.size.seconds)
    growth = max(role.memory - was for role, was in zip(fleet.of("dispatcher"), before, strict=True))
    everything = Load(beside.first, alone.expected | beside.expected)
    await oracle.all_closed(fleet, everything.expected | poison, 180)
    findings = await oracle.compare(fleet, everything.expected, ignored=frozenset(poison))
    log = oracle.read(fleet.log)
    base, now = (_p99(log, one.expected) for one in (alone, beside))
    wrong = (
        f"p99 {now * 1e3:.0f} ms > {WORSE_BY} × {base * 1e3:.0f} ms" if now > WORSE_BY * base + NOISE else "",
        f"a dispatcher grew by {growth >> 20} MiB" if growth > GROWTH else "",
        f"{await _attempts_too_long(trial)} attempts beyond their deadline" if await _attempts_too_long(trial) else "",
    )
    ratio = now / base if base else 0.0
    says = (
        f"healthy p99 {base * 1e3:.1f} ms alone, {now * 1e3:.1f} ms ({ratio:.2f} ×) beside {len(poison)} poisoned; "
        f"memory +{growth >> 20} MiB"
    )
    return judge(findings, *wrong, most_doubled=0, says=says)


async def a_herd(trial: Trial) -> Row:
    """Everything in the same second, for 100 hosts: all attempted within a minute."""
    fleet, count = trial.fleet, trial.size.occurrences
    await fleet.start_all()
    at = (fleet.clock.now() + timedelta(seconds=8 + count / 500)).replace(microsecond=0)
    ids = await load.create(fleet, [event(fleet.hook("ok/20", 2 + n % HOSTS), at) for n in range(count)])
    findings = await trial.finish(Load(at, {Identity(one, at) for one in ids}))
    wrong = f"the last after {findings.latest:.0f} s" if findings.latest > ATTEMPTED_WITHIN else ""
    return judge(findings, wrong, most_doubled=0, says=f"{count / max(findings.latest, 0.1):.0f}/s")


async def edits_race_with_claims(trial: Trial) -> Row:
    """Events edited or deleted within 50 ms of their instant: what was answered holds, but for a second at most."""
    fleet, count = trial.fleet, max(50, trial.size.occurrences // 10)
    await fleet.start_all()
    first = fleet.clock.now() + timedelta(seconds=6)
    gap = trial.size.seconds / 2 / count
    ats = [first + timedelta(seconds=gap * n) for n in range(count)]
    ids = await load.create(fleet, [event(fleet.hook("ok/20/old"), at) for at in ats])
    answered: dict[Identity, float] = {}

    async def change(n: int) -> None:
        identity, moment = Identity(ids[n], ats[n]), ats[n] + timedelta(seconds=trial.random.uniform(-0.05, 0.05))
        await fleet.rest((moment - fleet.clock.now()).total_seconds())
        method, body = ("DELETE", None) if n % 2 else ("PATCH", {"webhook": fleet.hook("ok/20/new")})
        status, _ = await fleet.call(method, f"/events/{ids[n]}", body)
        if status < 300:
            answered[identity] = fleet.clock.now().timestamp()

    for n in range(count):
        trial.aside(change(n))
    everything = {Identity(*pair) for pair in zip(ids, ats, strict=True)}
    findings = await trial.finish(Load(first, everything))
    log = oracle.read(fleet.log)
    deleted = {Identity(ids[n], ats[n]) for n in range(1, count, 2)}
    # What was sent between the deletion's look at it and its commit is on record as cancelled, which is documented.
    findings = findings._replace(
        lost=len(everything - deleted - {one.identity for one in log}),
        unrecorded=max(0, findings.unrecorded - len(deleted & {one.identity for one in log})),
    )
    return _judge_race(findings, log, answered)


def _judge_race(findings: oracle.Findings, log: list[Delivery], answered: dict[Identity, float]) -> Row:
    after = [
        one.arrived_at - answered[one.identity]
        for one in log
        if one.path.endswith("old") and one.identity in answered and one.arrived_at > answered[one.identity]
    ]
    new = {one.identity for one in log if one.path.endswith("new")}
    both = new & {one.identity for one in log if one.path.endswith("old")}
    latest = max(after, default=0.0)
    says = (
        f"{len(answered)} changes answered, {len(new)} delivered as edited, {len(both)} both as they were and as edited, "
        f"{len(after)} as they were after the answer, the last {latest * 1e3:.0f} ms after"
    )
    return judge(findings, f"{latest:.1f} s after the answer" if latest > AHEAD else "", says=says)


async def rules_are_hostile(trial: Trial) -> Row:
    """Rules that look for much and find little, posted while others are due: each answered within 2 s."""
    fleet = trial.fleet
    await fleet.start_all()
    asked = await trial.ask(path="ok/20")
    slowest, statuses = 0.0, dict[int, int]()
    hostile = (RULES * 20)[: trial.count(200, least=20)]
    for rule in hostile:
        began = fleet.clock.monotonic()
        # Far ahead, so that none of what it gives is due in this run.
        body = event(fleet.hook("poison/3"), datetime.fromisoformat("2090-01-01T00:00:00+00:00"), schedule=rule)
        status, _ = await fleet.call("POST", "/events", body)
        slowest = max(slowest, fleet.clock.monotonic() - began)
        statuses[status] = statuses.get(status, 0) + 1
    findings = await trial.finish(asked)
    wrong = (
        f"an answer took {slowest:.1f} s" if slowest > ANSWERED_WITHIN else "",
        f"answers {statuses}" if set(statuses) - {201, 422} else "",
    )
    return judge(
        findings, *wrong, most_doubled=0, says=f"{len(hostile)} rules answered {statuses}, slowest {slowest:.2f} s"
    )


async def dead_letters_are_replayed(trial: Trial) -> Row:
    """Deliveries that failed for good, replayed together once the endpoint is mended: all delivered, ids unchanged."""
    fleet, count = trial.fleet, max(50, round(DEAD_LETTERS * trial.size.share))
    await fleet.start_all(dispatchers=2, expanders=1)
    at = fleet.clock.now() + timedelta(seconds=4 + count / 500)
    retry = {"max_attempts": 2, "backoff": {"base": 1}, "retry_on": ["404"]}  # nothing to open a breaker for
    ids = await load.create(fleet, [event(fleet.hook("later/mended"), at, retry=retry) for _ in range(count)])
    expected = {Identity(one, at) for one in ids}
    await oracle.all_closed(fleet, expected, 120)
    ((failed,),) = await fleet.query("SELECT count(*) FROM occurrences WHERE status = 'failed'")
    await fleet.open_later("mended")
    began = fleet.clock.monotonic()
    answer = await fleet.must("POST", "/occurrences/replay", {"filter": {"status": ["failed"]}, "limit": 10_000})
    await oracle.all_closed(fleet, expected, 120)
    took = fleet.clock.monotonic() - began
    findings = await oracle.compare(fleet, expected)
    wrong = f"{failed} failed, {answer['replayed']} replayed" if not count == failed == answer["replayed"] else ""
    return judge(findings, wrong, most_doubled=0, says=f"{failed} dead letters replayed and delivered in {took:.1f} s")


async def _healthy(trial: Trial, count: int) -> Load:
    fleet = trial.fleet
    first = fleet.clock.now() + timedelta(seconds=4)
    ats = [first + timedelta(seconds=trial.random.uniform(0, trial.size.seconds)) for _ in range(count)]
    ids = await load.create(fleet, [event(fleet.hook("ok/20"), at) for at in ats])
    return Load(first, {Identity(*pair) for pair in zip(ids, ats, strict=True)})


async def _poison(trial: Trial, first: datetime) -> set[Identity]:
    """For each way to be bad an address of its own."""
    fleet, each = trial.fleet, trial.count(POISONED, least=5)
    ats = [first + timedelta(seconds=trial.random.uniform(0, trial.size.seconds)) for _ in range(each * POISONS)]
    retry = {"max_attempts": 1}
    events = [event(fleet.hook(f"poison/{n % POISONS}", 2 + n % POISONS), at, retry=retry) for n, at in enumerate(ats)]
    return {Identity(*pair) for pair in zip(await load.create(fleet, events), ats, strict=True)}


async def _attempts_too_long(trial: Trial) -> int:
    """Every attempt has one deadline, 15 s."""
    ((count,),) = await trial.fleet.query(
        "SELECT count(*) FROM attempts WHERE finished_at - started_at > interval '16 seconds'"
    )
    return int(count)


def _p99(log: Iterable[Delivery], expected: set[Identity]) -> float:
    return quantile(sorted(one.lateness for one in log if one.identity in expected) or [0.0], 0.99)
