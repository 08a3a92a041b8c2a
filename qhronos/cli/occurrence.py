"""`qhronos occurrence`: each instant of each event, and what became of it."""

from __future__ import annotations

from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.output import when, words

LIST: output.Columns = {
    "ID": lambda occurrence: occurrence["id"],
    "EVENT": lambda occurrence: words(occurrence.get("event_name") or occurrence["event_id"]),
    "SCHEDULED": lambda occurrence: when(occurrence["scheduled_at"]),
    "STATUS": lambda occurrence: occurrence["status"],
    "ATTEMPTS": lambda occurrence: str(occurrence["attempt"]),
    "REASON": lambda occurrence: words(occurrence.get("reason")),
}
SHOW: output.Columns = {
    "id": lambda occurrence: occurrence["id"],
    "event": lambda occurrence: occurrence["event_id"],
    "scheduled": lambda occurrence: when(occurrence["scheduled_at"]),
    "status": lambda occurrence: occurrence["status"],
    "reason": lambda occurrence: words(occurrence.get("reason")),
    "attempts": lambda occurrence: str(occurrence["attempt"]),
    "origin": lambda occurrence: occurrence["origin"],
    "next try": lambda occurrence: when(occurrence.get("fire_at")),
    "finished": lambda occurrence: when(occurrence.get("finished_at")),
}
ATTEMPTS: output.Columns = {
    "ATTEMPT": lambda attempt: str(attempt["attempt"]),
    "OUTCOME": lambda attempt: attempt["outcome"],
    "STATUS CODE": lambda attempt: words(attempt["status_code"]),
    "STARTED": lambda attempt: when(attempt["started_at"]),
    "REASON": lambda attempt: words(attempt["reason"]),
    "ANSWER": lambda attempt: words(attempt["excerpt"])[:60],
}


@click.group()
def occurrence() -> None:
    """See, replay and cancel occurrences."""


@occurrence.command("list")
@click.argument("event_id", required=False)
@click.option("--status", help="scheduled, dispatched, completed, failed, skipped or cancelled.")
@click.option("--tag", "tags", multiple=True, help="Of events with any of the tags.")
@click.option("--since", help="Scheduled at this time or later.")
@click.option("--until", help="Scheduled before this time.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.choice
@uses_api
def list_occurrences(*, api: Api, event_id: str | None, form: str, tags: tuple[str, ...], **query: Any) -> None:
    """List occurrences, of one event or of all, latest first."""
    path = f"/events/{segment(event_id)}/occurrences" if event_id else "/occurrences"
    output.page(api.get(path, tags=tags, **query), LIST, form)


@occurrence.command()
@click.argument("occurrence_id")
@output.choice
@uses_api
def show(*, api: Api, occurrence_id: str, form: str) -> None:
    """Show an occurrence."""
    output.one(api.get(f"/occurrences/{segment(occurrence_id)}"), SHOW, form)


@occurrence.command()
@click.argument("occurrence_id")
@output.choice
@uses_api
def attempts(*, api: Api, occurrence_id: str, form: str) -> None:
    """List what was tried, and how it ended."""
    output.page(api.get(f"/occurrences/{segment(occurrence_id)}/attempts"), ATTEMPTS, form)


@occurrence.command()
@click.argument("occurrence_id")
@output.choice
@uses_api
def replay(*, api: Api, occurrence_id: str, form: str) -> None:
    """Do it once more, under the same id."""
    output.one(api.post(f"/occurrences/{segment(occurrence_id)}/replay"), SHOW, form)


@occurrence.command()
@click.argument("occurrence_id")
@output.choice
@uses_api
def cancel(*, api: Api, occurrence_id: str, form: str) -> None:
    """Call off an occurrence that is still waiting."""
    output.one(api.post(f"/occurrences/{segment(occurrence_id)}/cancel"), SHOW, form)
