"""Rules from the tests of other engines and from real calendars, kept in a folder outside of the project.

`make corpora` says where it is. What is in dispute is decided in `decisions.toml`, by id: neither the rules nor what
others make of them is in the project.
"""

from __future__ import annotations

import itertools
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qhronos.core.recurrence import Instant, Recurrence, expand, local, parse, start
from qhronos.errors import Invalid

FOLDER = Path(os.environ["QHRONOS_CORPORA"])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DECISIONS = tomllib.loads(Path(__file__).with_name("decisions.toml").read_text())["decision"]
MORE = 3  # looked for, beyond what is expected
PASSES = 500


def cases_of(corpus: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / f"{corpus}.jsonl").read_text().splitlines()]


def each_of(corpus: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in cases_of(corpus)])


def recurrence_of(case: dict) -> Recurrence:
    return parse(
        {name: case[name] for name in ("rrule", "rdate", "exdate")},
        now=NOW,
        start_time=datetime.fromisoformat(case["dtstart"]),
        timezone=case["tzid"] or "UTC",
    )


def found(case: dict) -> list[str]:
    """As the corpus writes it: a date for days, with an offset only where there is a zone."""
    recurrence = recurrence_of(case)
    instants = itertools.islice(instants_of(recurrence), len(case["expected"]) + MORE)
    return [shown(case, local(recurrence, instant.at)) for instant in instants]


def instants_of(recurrence: Recurrence) -> Iterator[Instant]:
    since = start(recurrence)
    for _ in range(PASSES):
        expansion = expand(recurrence, since, None, 500)
        yield from expansion.instants
        if expansion.ended:
            return
        since = expansion.covered


def shown(case: dict, when: datetime) -> str:
    if case["kind"] == "date" and not (when.hour or when.minute):
        return when.date().isoformat()
    return (when if case["tzid"] else when.replace(tzinfo=None)).isoformat()


def is_as_expected(case: dict) -> bool:
    ours = found(case)
    return case["expected"] == (ours if case["exhaustive"] else ours[: len(case["expected"])])


@each_of("rfc5545")
def test_the_examples_of_the_rfc_hold(case):
    assert is_as_expected(case)


@each_of("wild_consensus")
def test_rules_of_real_calendars_mean_what_other_engines_agree_on(case):
    assert is_as_expected(case)


@each_of("extensions_byeaster")
def test_a_part_that_no_rfc_has_is_refused_by_name(case):
    with pytest.raises(Invalid, match=r"BYEASTER=.*: no such part"):
        recurrence_of(case)


def test_every_disputed_rule_has_one_decision_and_no_other_has_one():
    decided = Counter(name for decision in DECISIONS for name in decision["ids"])

    assert {case["id"]: 1 for case in cases_of("disputed")} == decided
    assert all(decision["reason"] for decision in DECISIONS)


@each_of("disputed")
def test_a_disputed_rule_means_what_was_decided(case):
    decision = next(decision for decision in DECISIONS if case["id"] in decision["ids"])
    match decision["we"]:
        case "do as expected":
            assert is_as_expected(case)
        case "refuse":
            with pytest.raises(Invalid, match=f"RRULE: {decision['part']}="):
                recurrence_of(case)
        case "differ":
            ours = decision["instants"][case["id"]]
            assert ours == found(case)[: len(ours)]
            assert not is_as_expected(case)
