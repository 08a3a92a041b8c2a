"""`qhronos tzdata`: the zone rules, and what a new release of them has moved."""

from __future__ import annotations

from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, uses_api
from qhronos.cli.output import when, words

REPORT: output.Columns = {
    "EVENT": lambda change: words(change["event_name"]),
    "CHANGE": lambda change: change["change"].replace("_", " "),
    "LOCAL": lambda change: f"{change['local'].replace('T', ' ')} {change['timezone']}" if change["local"] else "",
    "BEFORE": lambda change: when(change["before"]),
    "AFTER": lambda change: when(change["after"]),
    "RULES": lambda change: f"{change['tzdata_before']} → {change['tzdata_after']}",
    "EVENT ID": lambda change: change["event_id"],
}


@click.group()
def tzdata() -> None:
    """Show what new zone rules have moved, or go back to older ones."""


@tzdata.command()
@click.option("--event", "event_id", help="Of one event.")
@click.option("--since", help="Of what was changed at or after this instant, such as 2026-11-01T00:00:00Z.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.table_or_json
@uses_api
def report(*, api: Api, form: str, **query: Any) -> None:
    """Show which occurrences new zone rules have moved, newest first."""
    changes = api.get("/tzdata/changes", **query)
    output.page(changes, REPORT, form)
    if form == "table":
        rules = api.get("/tzdata")
        click.echo(f"zone rules {rules['tzdata']}; {_apart(rules)}", err=True)


def _apart(rules: dict[str, Any]) -> str:
    """How many events have others."""
    if rules["ahead"]:
        return f"{rules['ahead']} events have newer ones and wait for nodes that have them"
    return f"{rules['behind']} events are still to follow" if rules["behind"] else "all events have them"


@tzdata.command()
@uses_api
def adopt(*, api: Api) -> None:
    """Let events with newer zone rules follow to those of the server.

    For who goes back to an older release on purpose: a node leaves events alone whose zone rules are newer than its own.
    """
    adopted = api.post("/tzdata/adopt")
    click.echo(f"zone rules {adopted['tzdata']}; {adopted['adopted']} events will follow", err=True)
