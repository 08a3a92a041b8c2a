"""A scenario in which events are changed at the very moment in which they are due."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import NamedTuple

from qhronos.core.occurrence import Identity
from tests.chaos import load, oracle
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load, event
from tests.chaos.oracle import Delivery, Findings
from tests.chaos.trial import Row, Trial, judge

CLOSE = 0.05  # seconds between a change and the instant, at most
DOUBT = 0.01  # seconds between two readings of Postgres' clock, at most
AHEAD = 1.0  # seconds that a dispatcher claims ahead
OLD, NEW = "ok/20/old", "ok/20/new"

# Postgres itself notes every claim, beside the version of the event that was live in that moment.
NOTED = (
    """
    CREATE TABLE claims (
        event_id uuid, due_at timestamptz, version int, live int, deleted bool, at timestamptz DEFAULT clock_timestamp()
    )""",
    """
    CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO claims (event_id, due_at, version, live, deleted)
        SELECT NEW.event_id, NEW.due_at, NEW.version, e.version, e.status = 'deleted'
        FROM events AS e WHERE e.id = NEW.event_id;
        RETURN NULL;
    END $$""",
    """
    CREATE TRIGGER note_claim AFTER UPDATE ON pending FOR EACH ROW
    WHEN (NEW.lease_until IS NOT NULL AND NEW.fence <> OLD.fence) EXECUTE FUNCTION note_claim()""",
)


class Changed(NamedTuple):
    answered: dict[Identity, float]  # when the edit or the deletion was answered
    deleted: set[Identity]


async def edits_race_with_claims(trial: Trial) -> Row:
    """Events edited or deleted within 50 ms of their instant: nothing is claimed as it was, and nothing done fires again."""
    fleet, count = trial.fleet, max(50, trial.size.occurrences // 10)
    for text in NOTED:
        await fleet.command(text)
    await fleet.start_all()
    first = fleet.clock.now() + timedelta(seconds=6)
    gap = trial.size.seconds / 2 / count
    ats = [first + timedelta(seconds=gap * n) for n in range(count)]
    ids = await load.create(fleet, [event(fleet.hook(OLD), at) for at in ats])
    everything = [Identity(*pair) for pair in zip(ids, ats, strict=True)]
    changed = Changed({}, set(everything[1::2]))
    for identity in everything:
        moment = identity.due_at + timedelta(seconds=trial.random.uniform(-CLOSE, CLOSE))
        trial.aside(_change(fleet, identity, moment, changed))
    findings = await trial.finish(Load(first, set(everything)))
    return await _judge(fleet, findings, everything, changed)


async def _change(fleet: Fleet, identity: Identity, moment: datetime, changed: Changed) -> None:
    await fleet.rest((moment - fleet.clock.now()).total_seconds())
    method, body = ("DELETE", None) if identity in changed.deleted else ("PATCH", {"webhook": fleet.hook(NEW)})
    status, _ = await fleet.call(method, f"/events/{identity.event_id}", body)
    if status < 300:
        changed.answered[identity] = fleet.clock.now().timestamp()


async def _judge(fleet: Fleet, findings: Findings, everything: list[Identity], changed: Changed) -> Row:
    requests = defaultdict[Identity, list[Delivery]](list)
    for one in oracle.read(fleet.log):
        requests[one.identity].append(one)
    # It was on its way as it was when the change was made, and came as edited under the same id.
    both = {one for one, sent in requests.items() if [request.path for request in sent] == [OLD, NEW]}
    doubled = {one for one, sent in requests.items() if len(sent) > 1}
    late = [
        one.arrived_at - changed.answered[one.identity]
        for sent in requests.values()
        for one in sent
        if one.path == OLD and one.arrived_at > changed.answered.get(one.identity, one.arrived_at)
    ]
    stale, again = await _claimed_as_it_was(fleet, requests), await _done_and_sent_again(fleet, requests)
    asked = set(changed.answered)
    # What of it was on its way for longer than a recall takes is on record as cancelled, which is documented.
    cancelled = min(findings.unrecorded, len(changed.deleted & set(requests)))
    findings = findings._replace(
        lost=len(set(everything) - changed.deleted - set(requests)),
        unrecorded=findings.unrecorded - cancelled,
        unexplained=len(doubled - both),
    )
    latest = max(late, default=0.0)
    says = (
        f"{len(asked - changed.deleted)} edits and {len(asked & changed.deleted)} deletions answered; claimed as it was "
        f"after the commit {stale}, completed and sent again {again}; {len(both)} were on their way as they were and came as "
        f"edited, too; {cancelled} came and are cancelled on record; {len(late)} came as they were after the answer, the last "
        f"{latest * 1e3:.0f} ms after"
    )
    wrong = (
        f"claimed as it was after the commit: {stale}" if stale else "",
        f"completed and sent again: {again}" if again else "",
        f"{latest:.1f} s after the answer" if latest > AHEAD else "",
    )
    return judge(findings, *wrong, says=says)


async def _claimed_as_it_was(fleet: Fleet, requests: dict[Identity, list[Delivery]]) -> int:
    """Claims of an older version than that which was live, and requests that follow a claim of what was deleted: such a
    claim is there to cancel it."""
    ((stale,),) = await fleet.query("SELECT count(*) FROM claims WHERE version < live AND NOT deleted")
    orphans = await fleet.query("SELECT event_id, due_at, at FROM claims WHERE deleted")
    sent = sum(
        one.arrived_at > at.timestamp()
        for event_id, due_at, at in orphans
        for one in requests[Identity(event_id, due_at)]
    )
    return int(stale) + sent


async def _done_and_sent_again(fleet: Fleet, requests: dict[Identity, list[Delivery]]) -> int:
    """The end is by the clock of a dispatcher and the arrival by the receiver's, so the very first is left out."""
    done = await fleet.query("SELECT event_id, due_at, finished_at FROM occurrences WHERE status = 'completed'")
    return sum(
        one.arrived_at > at.timestamp() + DOUBT
        for event_id, due_at, at in done
        for one in requests[Identity(event_id, due_at)][1:]
    )
