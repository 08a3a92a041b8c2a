"""`qhronos migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from qhronos.cli import options


@click.command()
@options.config_file
@click.option("--check", is_flag=True, help="Change nothing; end with 1 if something is left to apply.")
def migrate(*, config_path: Path | None, check: bool) -> int:
    """Bring the database schema up to date.

    Forward only, and harmless to repeat; any number may run at once, one does the work.
    """
    config = options.settings(config_path, {})
    # After the settings, so that a bad one is said at once.
    import asyncio

    from qhronos.config import database_url
    from qhronos.store import migrate as schema

    url = database_url(config.database)
    names = asyncio.run(schema.check(url) if check else schema.migrate(url))
    for name in names:
        click.echo(f"{'to apply' if check else 'applied'}: {name}")
    if not names:
        click.echo("the schema is up to date")
    return 1 if check and names else 0
