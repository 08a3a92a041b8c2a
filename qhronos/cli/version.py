"""`qhronos version`."""

from __future__ import annotations

import platform

import click
import tzdata

from qhronos import __version__


@click.command()
def version() -> None:
    """Print the versions of Qhronos and of its zone data."""
    click.echo(sentence())


def sentence() -> str:
    # The same package that the recurrences read; asking them would load all of it.
    return f"qhronos {__version__} (Python {platform.python_version()}, tzdata {tzdata.IANA_VERSION})"
