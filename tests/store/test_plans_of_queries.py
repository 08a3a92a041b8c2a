"""No statement reads a table from end to end that grows with use: each is explained over tables with many rows.

Twice: as it is planned for what it is asked with, and as Postgres plans it for whatever it may be asked with once a
connection has prepared it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from qhronos.store import load_sql
from tests.store.samples import MANY, samples, ways

STORE = Path(__file__).parents[2] / "qhronos" / "store"
GROWS = re.compile(
    r"(events|event_versions|pending|gaps|occurrence_overrides|idempotency_keys|audit|tzdata_changes|tallies|tokens|feeds|outbox"
    r"|(occurrences|attempts)(_past|_\d{4}_\d{2}_\d{2})?)"
)
PARAMETER = re.compile(r"%\((\w+)\)[sb]")
BLOCK = re.compile(r"^-- name: *(\w+) *\n", re.MULTILINE)
# Whole tables are what they are about.
ABOUT_EVERYTHING = frozenset({"fsck", "migrate"})
# Never prepared, as a filter that is not asked for has to go: planned for what they are asked with alone.
NEVER_PREPARED = frozenset(
    {
        "audit.list_changes",
        "events.list_events",
        "events.search_events",
        "feeds.list_feeds",
        "feeds.stamp_feed",
        "occurrences.find_closed",
        "occurrences.list_occurrences",
        "tallies.count_events",
        "tallies.count_open",
        "tallies.count_open_in_scope",
        "zonerules.find_behind",
        "zonerules.list_changes",
    }
)
# Statement → why it may read a table, or an index, from end to end.
ALLOWED = {
    "lanes.free_stray": "its index has what waits in lanes, and nothing else",
    "outbox.find_stale": "it looks at every client, and there are as many as there are names",
    "tokens.list_revoked": "its index has the tokens that were revoked, and nothing else",
    "tallies.count_events": "it stops at its limit, and nearly every row counts",
    "tallies.count_open": "it stops at its limit, and nearly every row counts",
    "upkeep.hold_ended_events": "one janitor, once a minute, compares all that may have ended with all that is open",
}


class Fault(NamedTuple):
    statement: str
    table: str
    how: str


def statements() -> dict[str, str]:
    nouns = [path.stem for path in sorted(STORE.glob("*.sql")) if path.stem not in ABOUT_EVERYTHING]
    return {f"{noun}.{name}": text for noun in nouns for name, text in load_sql(noun).items()}


@pytest.fixture
def seeded(database: str) -> Iterator[psycopg.Connection[Any]]:
    texts = BLOCK.split(Path(__file__).with_name("seed.sql").read_text())[2::2]
    with psycopg.connect(database, options="-c timezone=UTC") as conn:
        now = conn.execute("SELECT date_trunc('hour', clock_timestamp())").fetchone()
        for text in texts:
            conn.execute(text, {"now": now[0], "many": MANY})
        conn.execute("ANALYZE")
        conn.commit()
        yield conn
        conn.rollback()


def test_no_statement_reads_a_growing_table_from_end_to_end(seeded):
    now = seeded.execute("SELECT max(created_at) FROM events").fetchone()[0]
    usual, own = samples(now), ways(now)
    found = [
        fault for name, text in statements().items() for fault in faults(seeded, name, text, usual, own.get(name, [{}]))
    ]

    assert [] == [fault for fault in found if fault.statement not in ALLOWED]
    assert set(ALLOWED) == {fault.statement for fault in found if fault.statement in ALLOWED}


def test_every_parameter_of_every_statement_has_a_sample():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    usual, own = samples(now), ways(now)
    unknown = {
        (name, parameter)
        for name, text in statements().items()
        for way in own.get(name, [{}])
        for parameter in PARAMETER.findall(text)
        if parameter not in {**usual, **way}
    }

    assert set() == unknown
    assert set() == set(own) - set(statements())


@pytest.mark.parametrize("statement", ["outbox.connect", "outbox.look", "upkeep.purge_clients"])
def test_whom_events_tell_is_found_by_its_index(seeded, statement):
    now = seeded.execute("SELECT max(created_at) FROM events").fetchone()[0]
    (way,) = ways(now).get(statement, [{}])
    plan = plan_of(seeded, statements()[statement], samples(now) | way)

    assert "events_client" in set(indexes(plan))


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_waits_in_other_modes_is_not_read_on_the_way_to_the_next_message(seeded, is_shared):
    now = seeded.execute("SELECT max(created_at) FROM events").fetchone()[0]
    plan = plan_of(seeded, statements()["outbox.pull"], samples(now) | {"shared": is_shared})

    assert {"outbox_latest", "outbox_one_of", "outbox_fan_out"} <= set(indexes(plan))


def indexes(node: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for child in node.get("Plans", []):
        yield from indexes(child)


def faults(
    conn: psycopg.Connection[Any], name: str, text: str, usual: dict[str, Any], asked: Iterable[Any]
) -> Iterator[Fault]:
    for way in asked:
        params = usual | dict(way)
        yield from scans(name, "asked", plan_of(conn, text, params))
    if name not in NEVER_PREPARED:
        yield from scans(name, "prepared", generic_plan_of(conn, text, params))


def plan_of(conn: psycopg.Connection[Any], text: str, params: dict[str, Any]) -> Any:
    with conn.transaction(force_rollback=True):
        return conn.execute(f"EXPLAIN (FORMAT JSON) {text.rstrip(';')}", params).fetchone()[0][0]["Plan"]


def generic_plan_of(conn: psycopg.Connection[Any], text: str, params: dict[str, Any]) -> Any:
    """By what the driver has prepared, so with the types that it says."""
    with conn.transaction(force_rollback=True):
        conn.execute(text, params, prepare=True)
        name, types = conn.execute(
            "SELECT name, parameter_types::text[] FROM pg_prepared_statements WHERE NOT from_sql ORDER BY prepare_time DESC LIMIT 1"
        ).fetchone()
        conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        values = ", ".join(f"NULL::{kind}" for kind in types)
        return conn.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name}" + (f"({values})" if types else "")).fetchone()[0][
            0
        ]["Plan"]


def scans(statement: str, how: str, node: dict[str, Any], *, is_cut: bool = False) -> Iterator[Fault]:
    kind = node["Node Type"]
    if kind == "Seq Scan" and GROWS.fullmatch(node["Relation Name"]):
        yield Fault(statement, node["Relation Name"], how)
    if kind.endswith(("Index Scan", "Index Only Scan")) and "Index Cond" not in node and not is_cut:
        yield Fault(statement, node["Index Name"], how)
    for child in node.get("Plans", []):
        yield from scans(statement, how, child, is_cut=is_cut or kind == "Limit")
