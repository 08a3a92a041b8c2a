"""The roles, each as a process of its own, against stores that others keep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qhronos.cli import options

if TYPE_CHECKING:
    from qhronos.config import Config


@click.command()
@options.host
@options.port
@click.option("--workers", type=click.IntRange(1, 256), help="How many processes share the port.  [default: 1]")
@options.config_file
@options.log_level
def api(
    host: str | None, port: int | None, workers: int | None, config_path: Path | None, log_level: str | None
) -> None:
    """Run the HTTP API."""
    flags = {"server.host": host, "server.port": port, "server.workers": workers, "logging.level": log_level}
    config = options.settings(config_path, flags)
    _run("api", config, config.server.workers)


@click.command()
@options.config_file
@options.log_level
def expander(config_path: Path | None, log_level: str | None) -> None:
    """Run an expander: it turns rules into occurrences."""
    _run("expander", options.settings(config_path, {"logging.level": log_level}))


@click.command()
@click.option("--processes", type=click.IntRange(1, 256), help="How many share the work.  [default: 1]")
@click.option("--lifeline", is_flag=True, hidden=True, help="One process, which ends when its standard input does.")
@options.config_file
@options.log_level
def dispatcher(*, processes: int | None, lifeline: bool, config_path: Path | None, log_level: str | None) -> None:
    """Run a dispatcher: it performs what is due."""
    flags = {"scheduler.dispatcher_processes": processes, "logging.level": log_level}
    config = options.settings(config_path, flags)
    if lifeline:
        from qhronos.wiring import run_roles

        run_roles(config, ["dispatcher"], lifeline=sys.stdin.fileno())
    else:
        _run("dispatcher", config, config.scheduler.dispatcher_processes)


@click.command()
@options.config_file
@options.log_level
def janitor(config_path: Path | None, log_level: str | None) -> None:
    """Run a janitor: it keeps partitions and retention."""
    _run("janitor", options.settings(config_path, {"logging.level": log_level}))


@click.command()
@options.host
@options.port
@options.config_file
@options.log_level
def gateway(host: str | None, port: int | None, config_path: Path | None, log_level: str | None) -> None:
    """Run a gateway: websockets at /ws, for clients and listeners."""
    flags = {"server.host": host, "server.port": port, "logging.level": log_level}
    _run("gateway", options.settings(config_path, flags))


def _run(role: str, config: Config, count: int = 1) -> None:
    from qhronos.wiring import run_copies, run_roles

    if count == 1:
        run_roles(config, [role])
    else:
        run_copies(config, role, count)
