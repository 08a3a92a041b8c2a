"""The roles, each as a process of its own, against stores that others keep."""

from __future__ import annotations

from pathlib import Path

import click

from qhronos.cli import options


@click.command()
@options.host
@options.port
@options.config_file
@options.log_level
def api(host: str | None, port: int | None, config_path: Path | None, log_level: str | None) -> None:
    """Run the HTTP API."""
    _run("api", config_path, {"server.host": host, "server.port": port, "logging.level": log_level})


@click.command()
@options.config_file
@options.log_level
def expander(config_path: Path | None, log_level: str | None) -> None:
    """Run an expander: it turns rules into occurrences."""
    _run("expander", config_path, {"logging.level": log_level})


@click.command()
@options.config_file
@options.log_level
def dispatcher(config_path: Path | None, log_level: str | None) -> None:
    """Run a dispatcher: it performs what is due."""
    _run("dispatcher", config_path, {"logging.level": log_level})


@click.command()
@options.config_file
@options.log_level
def janitor(config_path: Path | None, log_level: str | None) -> None:
    """Run a janitor: it keeps partitions and retention."""
    _run("janitor", config_path, {"logging.level": log_level})


def _run(role: str, config_path: Path | None, flags: dict[str, object]) -> None:
    config = options.settings(config_path, flags)
    from qhronos.wiring import run_roles

    run_roles(config, [role])
