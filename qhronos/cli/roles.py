"""The roles, each as a process of its own, against stores that others keep."""

from __future__ import annotations

from pathlib import Path

import click

from qhronos.cli import options


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
    from qhronos.wiring import run_roles, run_workers

    if config.server.workers == 1:
        run_roles(config, ["api"])
    else:
        run_workers(config)


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
