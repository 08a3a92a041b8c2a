"""Scenarios that nothing but what is asked for makes hard: herds, hostile rules, dead letters."""

from __future__ import annotations

from datetime import datetime, timedelta

from qhronos.core.occurrence import Identity
from tests.chaos import load, oracle
from tests.chaos.load import Load, event
from tests.chaos.trial import Row, Trial, judge
from tests.hostile import RULES

ATTEMPTED_WITHIN = 60.0
HOSTS = 100
ANSWERED_WITHIN = 2.0
DEAD_LETTERS = 1_000


async def a_herd(trial: Trial) -> Row:
    """Everything in the same second, for 100 hosts: all attempted within a minute."""
    fleet, count = trial.fleet, trial.size.occurrences
    await fleet.start_all()
    at = (fleet.clock.now() + timedelta(seconds=8 + count / 500)).replace(microsecond=0)
    ids = await load.create(fleet, [event(fleet.hook("ok/20", 2 + n % HOSTS), at) for n in range(count)])
    findings = await trial.finish(Load(at, {Identity(one, at) for one in ids}))
    wrong = f"the last after {findings.latest:.0f} s" if findings.latest > ATTEMPTED_WITHIN else ""
    return judge(findings, wrong, most_doubled=0, says=f"{count / max(findings.latest, 0.1):.0f}/s")


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
