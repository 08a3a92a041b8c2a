"""`qhronos config`: what the settings are, and whether they can be."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qhronos.cli import options


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@options.config_file
@click.option("--reveal", is_flag=True, help="Show secrets too.")
def show(*, config_path: Path | None, reveal: bool) -> None:
    """Print every key with its value, as file and environment set it."""
    settings = options.settings(config_path, {})
    from qhronos.config import leaves

    for key, value in leaves(settings, masked=not reveal).items():
        click.echo(f"{key}: {_yaml(value)}")


@config.command()
@options.config_file
def check(config_path: Path | None) -> None:
    """Say whether file and environment make a configuration."""
    options.settings(config_path, {})
    click.echo("the configuration can be used")


def _yaml(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(_yaml, value))}]"
        case dict():
            return json.dumps(value)
        case _:
            return str(value)
