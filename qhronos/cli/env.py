"""`qhronos env`: what another process needs to join a running `up`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from qhronos.cli import options
from qhronos.cli.home import read_environment
from qhronos.errors import ConfigError


@click.command()
@options.home
def env(home: Path) -> None:
    """Print what another process needs to join a running `up`.

    For a shell:  eval "$(qhronos env)"; qhronos dispatcher. The output contains secrets.
    """
    environment = read_environment(home)
    if environment is None:
        raise ConfigError(f"no `qhronos up` runs on {home}; start it, or name its directory by --data-dir")
    for name, value in environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
