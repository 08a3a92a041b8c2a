"""`qhronos calendar`: the days on which business rests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.files import text_of
from qhronos.cli.output import when, words

LIST: output.Columns = {
    "NAME": lambda calendar: calendar["name"],
    "OF": lambda calendar: words(" ".join(filter(None, map(calendar.get, ("country", "subdivision", "url"))))),
    "WEEKEND": lambda calendar: words(calendar["weekend"]),
    "CLOSED": lambda calendar: f"{calendar['closed']} days",
    "KNOWN UNTIL": lambda calendar: calendar["known_until"],
}
SHOW: output.Columns = {
    "name": lambda calendar: calendar["name"],
    "country": lambda calendar: words(calendar["country"]),
    "subdivision": lambda calendar: words(calendar["subdivision"]),
    "weekend": lambda calendar: words(calendar["weekend"]),
    "address": lambda calendar: words(calendar["url"]),
    "known until": lambda calendar: calendar["known_until"],
    "read": lambda calendar: when(calendar["fetched_at"]),
    "read again": lambda calendar: when(calendar["next_fetch_at"]),
    "error": lambda calendar: words(calendar["error"]),
    "updated": lambda calendar: when(calendar["updated_at"]),
    "closed": lambda calendar: words(calendar["dates"]),
}


@click.group()
def calendar() -> None:
    """Put, list and delete business calendars."""


@calendar.command()
@click.argument("name")
@click.option("--date", "dates", multiple=True, metavar="DATE", help="A day that is closed: 2026-12-24. Repeatable.")
@click.option("--country", metavar="CODE", help="Its public holidays are closed: DE.")
@click.option("--subdivision", metavar="CODE", help="Of the country: BY.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="The days of a calendar file are closed; - reads standard input.",
)
@click.option("--url", help="The days of the calendar file at this address, which is read again daily.")
@click.option("--weekend", multiple=True, metavar="DAY", help="A weekday that is closed: SA. Repeatable.")
@output.table_or_json
@uses_api
def put(*, api: Api, name: str, path: Path | None, form: str, **said: Any) -> None:
    """Make the calendar NAME, or replace it; the events that name it follow."""
    body = {field: value for field, value in said.items() if value}
    if path is not None:
        body["ics"] = text_of(path)
    output.one(api.put(f"/calendars/{segment(name)}", body), SHOW, form)


@calendar.command("list")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.table_or_json
@uses_api
def list_calendars(*, api: Api, form: str, **query: Any) -> None:
    """List calendars, by name."""
    output.page(api.get("/calendars", **query), LIST, form)


@calendar.command()
@click.argument("name")
@output.table_or_json
@uses_api
def show(*, api: Api, name: str, form: str) -> None:
    """Show a calendar with its days."""
    output.one(api.get(f"/calendars/{segment(name)}"), SHOW, form)


@calendar.command()
@click.argument("name")
@uses_api
def delete(*, api: Api, name: str) -> None:
    """Delete a calendar that no event names."""
    api.delete(f"/calendars/{segment(name)}")
    click.echo(f"deleted {name}", err=True)
