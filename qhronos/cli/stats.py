"""`qhronos stats`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import click

from qhronos.cli.client import Api, uses_api
from qhronos.cli.output import aligned, table_or_json


@click.command()
@table_or_json
@uses_api
def stats(*, api: Api, form: str) -> None:
    """Show how much is waiting and what was done."""
    answer = api.get("/stats")
    if form == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(aligned(list(_lines(answer))))
    if not answer["exact"]:
        click.echo("there is more than was counted", err=True)


def _lines(answer: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in answer.items():
        title = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _lines(value, f"{title}, ")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{title}:", str(value)
