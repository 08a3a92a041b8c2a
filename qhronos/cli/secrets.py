"""`qhronos secrets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qhronos.cli import options
from qhronos.errors import ConfigError

if TYPE_CHECKING:
    from qhronos.core.vault import Vault
    from qhronos.engine.sealing import Page


@click.group()
def secrets() -> None:
    """Put what is stored of secrets under the newest key."""


@secrets.command()
@options.config_file
def rotate(*, config_path: Path | None) -> int:
    """Put what is stored of secrets under the newest key of secrets.keys, and seal what is plain.

    The janitor does the same by itself. Harmless to repeat. When it ends with 0, older keys can be removed.
    """
    config = options.settings(config_path, {})
    import asyncio

    from qhronos.config import database_url
    from qhronos.core.vault import MAKE_ONE, Vault

    vault = Vault.read(config.secrets.keys)
    if vault.is_empty:
        raise ConfigError(f"secrets.keys is not set ({MAKE_ONE})")
    done = asyncio.run(_rotate(database_url(config.database), vault))
    click.echo(f"events put under the newest key: {done.renewed}")
    for event_id, reason in done.locked:
        click.echo(f"the secrets of event {event_id} cannot be opened: {reason}", err=True)
    if done.passed_over:
        click.echo(f"events that were being edited meanwhile: {done.passed_over}; run it again", err=True)
    if done.locked or done.passed_over:
        return 1
    click.echo("everything is under the newest key; older ones can be removed")
    return 0


async def _rotate(url: str, vault: Vault) -> Page:
    from qhronos.clock import SystemClock
    from qhronos.engine.sealing import Page, Sealing
    from qhronos.store import Database

    database, total = Database(url, size=1), Page(is_last=False)
    await database.open()
    try:
        sealing = Sealing(database, vault)
        while not total.is_last:
            total = total.joined(await sealing.proceed(SystemClock().now()))
    finally:
        await database.close()
    return total
