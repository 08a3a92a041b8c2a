"""`qhronos feed`: calendars to subscribe to."""

from __future__ import annotations

from typing import Any

import click

from qhronos.cli import output
from qhronos.cli.client import Api, segment, uses_api
from qhronos.cli.output import when, words

LIST: output.Columns = {
    "ID": lambda feed: feed["id"],
    "NAME": lambda feed: words(feed["name"]),
    "TAGS": lambda feed: words(feed["tags"]),
    "SCOPE": lambda feed: words(feed["scope"]),
    "BY": lambda feed: words(feed["created_by"]),
    "CREATED": lambda feed: when(feed["created_at"]),
    "REVOKED": lambda feed: when(feed["revoked_at"]),
}


@click.group()
def feed() -> None:
    """Create, list and delete calendars to subscribe to."""


@feed.command()
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="Show events with any of the tags; repeatable.  [default: all]")
@click.option("--match", type=click.Choice(["any", "all"]), default="any", show_default=True, help="Of several tags.")
@output.choice
@uses_api
def create(*, api: Api, name: str, tags: tuple[str, ...], match: str, form: str) -> None:
    """Create the feed NAME and print its address; it is shown this once.

    Whoever knows the address may read the feed.
    """
    made = api.post("/feeds", {"name": name, "tags": list(tags), "tags_match": match})
    if form == "table":
        click.echo(f"feed {made['id']}; to end it: qhronos feed delete {made['id']}", err=True)
        click.echo(made["url"])
    else:
        output.one(made, {}, form)


@feed.command("list")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@output.choice
@uses_api
def list_feeds(*, api: Api, form: str, **query: Any) -> None:
    """List feeds, newest first, without their addresses."""
    output.page(api.get("/feeds", **query), LIST, form)


@feed.command()
@click.argument("feed_id")
@uses_api
def delete(*, api: Api, feed_id: str) -> None:
    """Let the address of a feed show nothing any longer."""
    api.delete(f"/feeds/{segment(feed_id)}")
    click.echo(f"deleted {feed_id}", err=True)
