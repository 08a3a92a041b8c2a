"""`qhronos occurrence`: each instant of each event, and what became of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.output import when, words
from qhronos.cli.params import Json, Time

LIST: output.Columns = {
    "ID": lambda occurrence: occurrence["id"],
    "EVENT": lambda occurrence: occurrence["event_id"],
    "SCHEDULED": lambda occurrence: when(occurrence["scheduled_at"]),
    "STATUS": lambda occurrence: occurrence["status"],
    "ATTEMPTS": lambda occurrence: str(occurrence["attempt"]),
    "REASON": lambda occurrence: words(occurrence["reason"]),
}
SHOW: output.Columns = {
    "id": lambda occurrence: occurrence["id"],
    "event": lambda occurrence: occurrence["event_id"],
    "scheduled": lambda occurrence: when(occurrence["scheduled_at"]),
    "status": lambda occurrence: occurrence["status"],
    "reason": lambda occurrence: words(occurrence["reason"]),
    "attempts": lambda occurrence: str(occurrence["attempt"]),
    "local time": lambda occurrence: words(occurrence["local"]),
    "origin": lambda occurrence: occurrence["origin"],
    "moved to": lambda occurrence: when(occurrence["move_to"]),
    "next try": lambda occurrence: when(occurrence["next_attempt_at"]),
    "finished": lambda occurrence: when(occurrence["finished_at"]),
}
ATTEMPTS: output.Columns = {
    "ATTEMPT": lambda attempt: str(attempt["attempt"]),
    "OUTCOME": lambda attempt: attempt["outcome"],
    "CODE": lambda attempt: words(attempt["status_code"]),
    "STARTED": lambda attempt: when(attempt["started_at"]),
    "REASON": lambda attempt: words(attempt["reason"]),
    "TOOK": lambda attempt: f"{attempt['duration_ms']:.0f} ms",
    "ANSWER": lambda attempt: words(attempt["response"])[:60],
}


@click.group()
def occurrence() -> None:
    """See, change, replay and cancel occurrences."""


@occurrence.command("list")
@click.argument("event_id", required=False)
@click.option(
    "--status", multiple=True, help="scheduled, dispatched, completed, failed, skipped or cancelled; repeatable."
)
@click.option("--tag", "tags", multiple=True, help="Of events with any of the tags; repeatable.")
@click.option("--since", type=Time(aware=True), metavar="TIME", help="Scheduled at this time or later.")
@click.option("--until", type=Time(aware=True), metavar="TIME", help="Scheduled before this time.")
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
@output.table_or_json
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


FAILED = [
    click.option("--event", "event_id", help="Of this event alone."),
    click.option("--tag", "tags", multiple=True, help="Of events with any of the tags; repeatable."),
    click.option("--since", type=Time(aware=True), metavar="TIME", help="Scheduled at this time or later."),
    click.option("--until", type=Time(aware=True), metavar="TIME", help="Scheduled before this time."),
    click.option("--reason", help="With this in the reason."),
    click.option("--limit", type=int, default=1000, show_default=True, help="The oldest so many."),
]


def with_failed(command: Callable[..., int | None]) -> Callable[..., int | None]:
    return functools.reduce(lambda made, option: option(made), reversed(FAILED), command)


@occurrence.command()
@with_failed
@click.option("--dry-run", is_flag=True, help="Only say which they are.")
@click.option("--rate", type=float, help="So many a second.  [default: all at once]")
@output.choice
@uses_api
def replay_failed(*, api: Api, form: str, rate: float | None, **asked: Any) -> None:
    """Do all that failed once more, each under its own id."""
    _all_failed(api, "replay", form, asked, {"rate": rate} if rate else {})


@occurrence.command()
@with_failed
@click.option("--dry-run", is_flag=True, help="Only say which they are.")
@output.choice
@uses_api
def purge_failed(*, api: Api, form: str, **asked: Any) -> None:
    """Call off for good what has failed; it stays in the history."""
    _all_failed(api, "purge", form, asked, {})


def _all_failed(api: Api, what: str, form: str, asked: dict[str, Any], more: dict[str, Any]) -> None:
    settings = {"dry_run": asked.pop("dry_run"), "limit": asked.pop("limit"), **more}
    answer = api.post(
        f"/occurrences/{what}", {"filter": {name: value for name, value in asked.items() if value}, **settings}
    )
    if form == "table":
        done = {"replay": "replayed", "purge": "purged"}[what]
        click.echo(f"{answer['matched']} failed, {answer[done]} {done}")
    else:
        output.plain(answer, [{"id": identifier} for identifier in answer["ids"]], form)


@occurrence.command()
@click.argument("occurrence_id")
@output.choice
@uses_api
def cancel(*, api: Api, occurrence_id: str, form: str) -> None:
    """Call off an occurrence that is still waiting."""
    output.one(api.post(f"/occurrences/{segment(occurrence_id)}/cancel"), SHOW, form)


@occurrence.command()
@click.argument("occurrence_id")
@click.argument("time", type=Time(aware=True), required=False)
@click.option("--back", is_flag=True, help="To its own instant.")
@output.choice
@uses_api
def move(*, api: Api, occurrence_id: str, time: str | None, back: bool, form: str) -> None:
    """Let an occurrence that is waiting happen at TIME instead; its id stays."""
    if bool(time) is back:
        raise click.UsageError("name either TIME or --back")
    output.one(api.patch(f"/occurrences/{segment(occurrence_id)}", {"move_to": time}), SHOW, form)


@occurrence.command()
@click.argument("occurrence_id")
@click.argument("metadata", type=Json())
@output.choice
@uses_api
def payload(*, api: Api, occurrence_id: str, metadata: Any, form: str) -> None:
    """Let an occurrence that is waiting carry METADATA (JSON) instead of those of its event; null: those again."""
    output.one(api.patch(f"/occurrences/{segment(occurrence_id)}", {"metadata": metadata}), SHOW, form)


@occurrence.command()
@click.argument("event_id")
@click.argument("instant", type=Time(aware=True))
@click.option("--move-to", type=Time(aware=True), metavar="TIME", help="When it happens instead.")
@click.option("--metadata", type=Json(), metavar="JSON", help="Goes out instead of the metadata of the event.")
@output.choice
@uses_api
def override(*, api: Api, event_id: str, instant: str, move_to: str | None, metadata: Any, form: str) -> None:
    """Move or change the occurrence of an event at INSTANT, also one that is too far ahead to be listed."""
    said = {field: value for field, value in (("move_to", move_to), ("metadata", metadata)) if value is not None}
    if not said:
        raise click.UsageError("nothing to change; name --move-to or --metadata")
    body = {"scheduled_at": instant, **said}
    output.one(api.post(f"/events/{segment(event_id)}/override", body), SHOW, form)
