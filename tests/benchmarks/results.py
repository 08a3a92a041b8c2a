"""All that a run has measured, as it is kept in JSON."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

from tests.benchmarks.limit import Limit
from tests.benchmarks.work import Figures

QHRONOS = "Qhronos"


class Contender(Struct, frozen=True):
    """Who a row of the report is about."""

    durable: str
    is_durable: bool
    settings: str


class Case(Struct):
    """The same work, given to everyone in turn."""

    title: str
    count: int
    spread: float
    rounds: dict[str, list[Figures]] = {}

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
    seconds: float = 0.0

    def limit(self, name: str) -> float:
        return median(one.rate for one in self.limits[name])
