"""What a fresh checkout installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED_FOR = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["test"],
    *PROJECT["build-system"]["requires"],
    "editables",  # hatchling needs it for an editable install
]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    entries = [Requirement(line.removesuffix("\\")) for line in LOCK.splitlines() if line[0] not in "# "]
    return {normal(entry.name): str(entry.specifier).removeprefix("==") for entry in entries}


@pytest.mark.parametrize("text", ASKED_FOR)
def test_the_lock_holds_what_is_asked_for_in_a_version_that_will_do(text):
    requirement = Requirement(text)

    assert requirement.specifier.contains(locked()[normal(requirement.name)])


def test_each_package_is_locked_to_one_version_and_hashed():
    blocks = re.split(r"\n(?=\S)", LOCK)[2:]

    assert len(locked()) == len(blocks)
    assert all(re.match(r"\S+==\S+ .*\n    --hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_the_lock_names_no_place_that_packages_come_from():
    assert not re.search(r"https?:|file:|--index|--find-links|/", LOCK)
