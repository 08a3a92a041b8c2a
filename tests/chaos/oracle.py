"""What really happened: the receiver's own log, beside what Postgres says. The product's counters are never asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from qhronos.core.occurrence import Identity
from tests.chaos.fleet import Fleet
from tests.chaos.role import Role

GIVEN_UP = "worker lost"
EARLY = 0.05  # seconds; two processes read the same clock, one after the other

# What must hold of the rows once everything has ended, by query: name and how many break it.
INVARIANTS = {
    "open and closed": "SELECT count(*) FROM pending JOIN occurrences USING (event_id, due_at)",
    "held for ever": "SELECT count(*) FROM pending WHERE lease_until IS NOT NULL",
    "delivered twice on record": """
        SELECT count(*) FROM (
            SELECT FROM attempts WHERE outcome = 'delivered' GROUP BY event_id, due_at HAVING count(*) > 1
        ) AS twice""",
    "attempts that do not add up": """
        SELECT count(*) FROM occurrences AS o WHERE attempt <> (
            SELECT count(*) FROM attempts AS a WHERE a.event_id = o.event_id AND a.due_at = o.due_at
        )""",
}


class Delivery(NamedTuple):
    """A request, as the receiver noted it."""

    arrived_at: float
    webhook_id: str
    identity: Identity
    attempt: int
    status: int
    address: str
    path: str

    @property
    def lateness(self) -> float:
        return self.arrived_at - self.identity.due_at.timestamp()


class Findings(NamedTuple):
    expected: int
    lost: int  # never answered 2xx
    doubled: int  # answered 2xx more than once
    unexplained: int  # of those, not under way at any fault
    other_ids: int  # an occurrence under two ids, or an id for two occurrences
    early: int
    unrecorded: int  # answered 2xx and not `completed`
    unsent: int  # `completed` and never answered 2xx
    surplus: int  # on record or delivered, and never asked for
    open: int
    given_up: int  # three dispatchers were killed while it was under way
    broken: tuple[str, ...]  # invariants of the rows
    p50: float
    p99: float
    latest: float

    @property
    def faults(self) -> list[str]:
        """What must be nought in every scenario and is not."""
        counts = {
            name: getattr(self, name)
            for name in ("lost", "unexplained", "other_ids", "early", "unrecorded", "unsent", "surplus", "open")
        }
        return [f"{name} {count}" for name, count in counts.items() if count] + list(self.broken)

    def __str__(self) -> str:
        given_up = f" ({self.given_up} of them given up)" if self.given_up else ""
        return (
            f"{self.expected} occurrences, {self.lost} lost, {self.doubled} doubled{given_up}; "
            f"late p50 {self.p50:.2f} p99 {self.p99:.2f} max {self.latest:.1f} s"
        )


def read(log: Path) -> list[Delivery]:
    """Every request so far; a line that is just being written is left out."""
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return [_parse(line) for line in whole.splitlines()]


def _parse(line: str) -> Delivery:
    arrived_at, webhook_id, event_id, due_at, attempt, status, address, path = line.split("\t")
    identity = identify(event_id, due_at)
    return Delivery(float(arrived_at), webhook_id, identity, int(attempt), int(status), address, path)


def identify(event_id: object, due_at: str) -> Identity:
    return Identity(UUID(str(event_id)), datetime.fromisoformat(due_at).astimezone(UTC))


def delivered(log: Path) -> set[Identity]:
    return {one.identity for one in read(log) if 200 <= one.status < 300}


async def under_way(fleet: Fleet, role: Role) -> set[Identity]:
    """What this frozen dispatcher has started and Postgres has not seen the end of."""
    return await due_at(fleet, role) & delivered(fleet.log)


async def due_at(fleet: Fleet, role: Role) -> set[Identity]:
    """What this frozen dispatcher has started or was about to: it may be connecting."""
    held = await fleet.query(
        "SELECT p.event_id, p.due_at FROM pending AS p JOIN workers AS w ON w.id = p.worker"
        " WHERE w.name = %s AND p.lease_until IS NOT NULL AND p.fire_at <= clock_timestamp()",
        role.worker,
    )
    return {Identity(*row) for row in held}


async def unsettled(fleet: Fleet) -> set[Identity]:
    """What any dispatcher has started and Postgres has not seen the end of."""
    return {Identity(*row) for row in await fleet.query("SELECT event_id, due_at FROM pending")} & delivered(fleet.log)


async def all_closed(fleet: Fleet, expected: Iterable[Identity], within: float) -> bool:
    """Whether Postgres has, in time, closed as many as are expected and has nothing open."""
    count = len(set(expected))

    async def closed() -> bool:
        ((open_, ended),) = await fleet.query(
            "SELECT (SELECT count(*) FROM pending), (SELECT count(*) FROM occurrences)"
        )
        return not open_ and ended >= count

    return await fleet.until(closed, within, every=0.5)


async def broken_invariants(fleet: Fleet) -> tuple[str, ...]:
    """To be asked at the end, when nothing is under way."""
    counts = {name: (await fleet.query(text))[0][0] for name, text in INVARIANTS.items()}
    return tuple(f"{name}: {count}" for name, count in counts.items() if count)


async def compare(
    fleet: Fleet,
    expected: Iterable[Identity],
    explained: set[Identity] | None = None,
    ignored: frozenset[Identity] = frozenset(),
) -> Findings:
    """The log beside the rows. `explained`: what may have been doubled; None: anything may."""
    wanted = set(expected)
    log = [one for one in read(fleet.log) if one.identity not in ignored]
    arrivals = Counter(one.identity for one in log if 200 <= one.status < 300)
    ledger = await _ledger(fleet, ignored)
    completed = {identity for identity, status in ledger.items() if status == "completed"}
    given_up = {identity for identity, status in ledger.items() if status == GIVEN_UP}
    doubled = {identity for identity, count in arrivals.items() if count > 1}
    lateness = sorted(one.lateness for one in _firsts(log)) or [0.0]
    return Findings(
        expected=len(wanted),
        lost=len(wanted - set(arrivals)),
        doubled=len(doubled),
        unexplained=0 if explained is None else len(doubled - explained),
        other_ids=_other_ids(log),
        early=sum(one.lateness < -EARLY for one in log),
        given_up=len(given_up),
        unrecorded=len((set(arrivals) & wanted) - completed - given_up),
        unsent=len(completed - set(arrivals)),
        surplus=len((set(arrivals) | set(ledger)) - wanted),
        open=(await fleet.query("SELECT count(*) FROM pending"))[0][0],
        broken=await broken_invariants(fleet),
        p50=quantile(lateness, 0.5),
        p99=quantile(lateness, 0.99),
        latest=lateness[-1],
    )


async def _ledger(fleet: Fleet, ignored: frozenset[Identity]) -> dict[Identity, str]:
    """The status of everything that is closed."""
    rows = await fleet.query(
        "SELECT event_id, due_at, CASE WHEN reason LIKE 'worker lost%%' THEN %s ELSE status END FROM occurrences",
        GIVEN_UP,
    )
    found = {Identity(event_id, due_at): status for event_id, due_at, status in rows}
    return {identity: status for identity, status in found.items() if identity not in ignored}


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _firsts(log: list[Delivery]) -> list[Delivery]:
    """The first request of each occurrence."""
    firsts: dict[Identity, Delivery] = {}
    for one in log:
        firsts.setdefault(one.identity, one)
    return list(firsts.values())


def _other_ids(log: list[Delivery]) -> int:
    ids: dict[Identity, set[str]] = defaultdict(set)
    meanings: dict[str, set[Identity]] = defaultdict(set)
    for one in log:
        ids[one.identity].add(one.webhook_id)
        meanings[one.webhook_id].add(one.identity)
    return sum(len(names) > 1 for names in [*ids.values(), *meanings.values()])
