"""`qhronos version`."""

from __future__ import annotations

import platform

import click

from qhronos import __version__


@click.command()
def version() -> None:
    """Print the versions of Qhronos and of its zone data."""
    click.echo(sentence())


def sentence() -> str:
    return f"qhronos {__version__} (Python {platform.python_version()}, tzdata {tzdata_version()})"


def tzdata_version() -> str:
    from qhronos.core.recurrence import tzdata_version as known

    return known()
