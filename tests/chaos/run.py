"""Which scenarios there are, and running them."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NamedTuple

from tests.chaos import attacks, clients, clocks, deaths, endpoints, listeners, outages, races, traffic
from tests.chaos.fleet import Size, fleet
from tests.chaos.trial import Row, Scenario, Trial

SCENARIOS: dict[str, Scenario] = {
    "R1": deaths.dispatchers_are_killed,
    "R2": outages.redis_is_emptied,
    "R3": outages.redis_comes_back_older,
    "R4": outages.redis_is_away,
    "R5": outages.postgres_is_away,
    "R6": outages.postgres_restarts_again_and_again,
    "R7": outages.replies_are_lost,
    "R8": deaths.dispatchers_are_frozen,
    "R9": deaths.expanders_are_killed,
    "R9b": deaths.expanders_are_gone,
    "R12": races.edits_race_with_claims,
    "R13": clocks.clocks_are_wrong,
    "R13b": clocks.postgres_clock_jumps,
    "R15": traffic.rules_are_hostile,
    "R16": endpoints.endpoints_are_poisonous,
    "R17": traffic.a_herd,
    "R19": deaths.processes_are_replaced,
    "R22": traffic.dead_letters_are_replayed,
    "W2": clients.clients_are_cut,
    "W3": listeners.some_never_read,
    "W4": clients.a_client_is_away,
    "W5": attacks.sockets_attack,
    "N1": outages.the_network_is_bad,
    "N2": deaths.everything_at_once,
    "N3": deaths.an_occurrence_is_a_poison_pill,
}

# So that all of them end within half an hour.
AT_HALF_SIZE = {"R3", "R6", "R9", "R9b", "R13", "R13b", "R15", "N1", "N2", "N3"}


class Done(NamedTuple):
    name: str
    title: str
    row: Row
    seconds: float


async def run(name: str, seed: int, size: Size, keep: Path | None = None) -> Done:
    """One scenario from start to end. That it breaks is a miss, too."""
    scenario = SCENARIOS[name]
    title = (scenario.__doc__ or "").strip()
    if name in AT_HALF_SIZE and size.share == 1:
        size = Size(size.occurrences // 2, size.seconds // 2, 0.5)
    async with fleet(seed, keep / name if keep else None) as running:
        began = running.clock.monotonic()
        try:
            row = await scenario(Trial(running, seed, size))
        except Exception as error:  # noqa: BLE001 - the other scenarios still have their turn
            traceback.print_exc()
            row = Row("broken off", (f"{type(error).__name__}: {error}",))
        return Done(name, title, row, running.clock.monotonic() - began)
