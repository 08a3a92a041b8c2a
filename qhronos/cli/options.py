"""Flags that several commands share, and how they become a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qhronos.cli.home import data_dir

if TYPE_CHECKING:
    from qhronos.config import Config

LEVELS = ("debug", "info", "warning", "error")

config_file = click.option(
    *("--config", "-c", "config_path"),
    type=click.Path(dir_okay=False, path_type=Path),
    help="A configuration file; environment and flags beat it.",
)
log_level = click.option("--log-level", "-l", type=click.Choice(LEVELS), help="How much to log.  [default: info]")
host = click.option("--host", metavar="ADDRESS", help="The address to listen on.  [default: 127.0.0.1]")
port = click.option("--port", "-p", type=click.IntRange(0, 65_535), help="The port to listen on.  [default: 8080]")
home = click.option(
    *("--data-dir", "home"),
    type=click.Path(file_okay=False, path_type=Path),
    default=data_dir,
    help="Where `up` keeps its data.  [default: $QHRONOS_DATA_DIR, else /var/lib/qhronos for root, else "
    "~/.local/share/qhronos]",
)


def settings(config_path: Path | None, flags: Mapping[str, object]) -> Config:
    """The configuration from file, environment and flags (by dotted key; None: not given)."""
    from qhronos.config import load

    return load(config_path, os.environ, flags)
