"""All that a run has measured, as it is kept in JSON."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

from tests.benchmarks.limit import Limit
from tests.benchmarks.work import Figures

QHRONOS = "Qhronos"
LEAST, JUDGED = 10_000, 1_000_000  # stored, where growth is judged


class Contender(Struct, frozen=True):
    """Who a row of the report is about."""

    durable: str
    is_durable: bool
    settings: str
    is_tuned: bool = False  # with a client that users of it seldom take


class Case(Struct):
    """The same work, given to everyone in turn."""

    title: str
    count: int
    spread: float
    rounds: dict[str, list[Figures]] = {}

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.count:,} items"

    def median(self, name: str, field: str) -> float:
        return median(getattr(one, field) for one in self.rounds[name])

    def peers(self) -> list[str]:
        return [name for name in self.rounds if name != QHRONOS]


class Results(Struct, kw_only=True):
    began_at: str
    command: str
    rounds: int
    machine: dict[str, str]
    contenders: dict[str, Contender]
    cases: dict[str, Case] = {}
    limits: dict[str, list[Limit]] = {}
    numbers: dict[str, dict[str, float]] = {}  # of a scenario, by what they are
    remarks: list[str] = []
    broken: list[str] = []  # of ours, which nothing may be
    seconds: float = 0.0

    def doubts(self) -> list[str]:
        """What cannot be true, and so was measured wrongly."""
        least = min((one.cpu_us for one in self.limits.get("bare engine", [])), default=0.0)
        return [
            f"{QHRONOS}, {case.heading}: {one.cpu_us:.0f} µs of processor time for each is less than the bare"
            " engine takes, and not to be believed"
            for case in self.cases.values()
            for one in case.rounds.get(QHRONOS, [])
            if one.cpu_us < least
        ]

    def said(self) -> list[str]:
        """What is to be known beside the figures."""
        return self.broken + self.remarks + self.doubts()

    def limit(self, name: str, field: str = "rate") -> float:
        return median(getattr(one, field) for one in self.limits[name])


class Growth(Struct):
    """µs of processor time for each, by what is done and how much is stored."""

    began_at: str
    machine: dict[str, str]
    rounds: int
    costs: dict[str, dict[int, float]] = {}
    stored: dict[str, dict[int, float]] = {}  # bytes for each event or entry
    seconds: float = 0.0

    def ratios(self) -> dict[str, float]:
        return {what: of[JUDGED] / of[LEAST] for what, of in self.costs.items() if JUDGED in of}


class Sockets(Struct, kw_only=True):
    """What the gateway was measured at."""

    began_at: str
    machine: dict[str, str]
    rounds: int = 0
    numbers: dict[str, dict[str, float]] = {}  # of a scenario, by what they are
    seconds: float = 0.0
