"""`qhronos import` and `qhronos export`: events from files, and into them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, uses_api
from qhronos.cli.event import action_of, with_action
from qhronos.cli.output import table_or_json, when, words

FORMATS = ("ics", "crontab", "json")
WHAT = {200: "edit", 201: "create"}
RESULTS: output.Columns = {
    "NAME": lambda result: words(result["name"]),
    "": lambda result: WHAT.get(result["status"], "REFUSE"),
    "WHEN": lambda result: words(result.get("words")),
    "NEXT": lambda result: when(next(iter(result.get("next", ())), None)),
    "NOTE": lambda result: words("; ".join([*filter(None, [result.get("error")]), *result.get("warnings", ())])),
}


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "kind", type=click.Choice(FORMATS), help="What FILE is.  [default: as it looks]")
@with_action
@click.option("--tz", metavar="ZONE", help="Of times that name no zone of their own.  [default: UTC]")
@click.option("--tag", "tags", multiple=True, help="Given to each event, beside its own; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would be, and end.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@table_or_json
@uses_api
def import_file(*, api: Api, file: Path, kind: str | None, dry_run: bool, yes: bool, form: str, **content: Any) -> int:
    """Import a calendar, a crontab or an export.

    FILE may be - for standard input. Shows first what would be, and asks. Importing a file again edits what it made.
    Ends with 1 if any event was refused.
    """
    text = text_of(file)
    action = action_of(content)
    said = {
        "format": kind or _format_of(text),
        "text": text,
        "tags": list(content["tags"]),
        **({"action": action} if action else {}),
        **({"timezone": content["tz"]} if content["tz"] else {}),
    }
    if dry_run or not yes:
        answer = _import(api, said, form if dry_run else "table", dry_run=True)
        if dry_run:
            return _code(answer)
        if not answer["created"] + answer["edited"]:
            raise click.ClickException("nothing to import")
        _ask(answer)
    return _code(_import(api, said, form, dry_run=False))


@click.command()
@click.option("--format", type=click.Choice(["json", "ics"]), default="json", show_default=True)
@click.option("--tag", "tags", multiple=True, help="Events with any of the tags; repeatable.")
@click.option("--status", multiple=True, help="active, paused, completed or error; repeatable.  [default: all of them]")
@click.option("--output", "-o", "path", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@uses_api
def export(*, api: Api, path: Path | None, **query: Any) -> None:
    """Export events, as JSON or as a calendar.

    JSON holds everything but secrets, and `import` takes it. Without --output it goes to standard output.
    """
    content = api.fetch("/events/export", **query)
    if path is None:
        sys.stdout.buffer.write(content)
        return
    path.write_bytes(content)
    click.echo(f"wrote {path}", err=True)


def _import(api: Api, said: dict[str, Any], form: str, *, dry_run: bool) -> dict[str, Any]:
    """Send the file, and print what came of it: the table to whoever is about to be asked, data to standard output."""
    # No Idempotency-Key: the file itself says what is the same.
    answer: dict[str, Any] = api.request("POST", "/events/import", {**said, "dry_run": dry_run})
    if form == "json":
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        click.echo(output.table(RESULTS, answer["results"]))
    for warning in answer["warnings"]:
        click.echo(warning, err=True)
    if not dry_run:
        click.echo(f"{answer['created']} created, {answer['edited']} edited, {answer['failed']} refused", err=True)
    return answer


def _ask(answer: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nothing is written: nobody can be asked here, so say --yes, or --dry-run to only look")
    refused = f", leave out {answer['failed']}" if answer["failed"] else ""
    click.confirm(f"Create {answer['created']}, edit {answer['edited']}{refused}?", abort=True, err=True)


def _code(answer: dict[str, Any]) -> int:
    return 1 if answer["failed"] else 0


def text_of(file: Path) -> str:
    """Of a file, or of standard input for `-`."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # what old programs write


def _format_of(text: str) -> str:
    begins = text.lstrip()[:15].upper()
    if begins == "BEGIN:VCALENDAR":
        return "ics"
    return "json" if begins[:1] in ("{", "[") else "crontab"
